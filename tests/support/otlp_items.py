"""Items for the OTLP tests, with numbers that are easy to recognise, and a certificate."""

from __future__ import annotations

from collections.abc import Sequence

from otel_logtail.counts import bounds, count
from otel_logtail.engine.columns import columns_of
from otel_logtail.engine.intervals import aggregate
from otel_logtail.model import (
    Attributes,
    BreachRecord,
    Counts,
    Episode,
    EpisodeRecord,
    ExportBatch,
    Instrument,
    Part,
    PartRecord,
    Point,
    Sample,
    SeriesKey,
    Severity,
    Shape,
    SourceInfo,
    Stream,
)
from tests.support.hits import Hit, slow_of

MS = 1_000_000
T0 = 1_790_000_000_000_000_000
BOUNDS = bounds(500 * MS, 2000 * MS)
LABELS: Attributes = (("cause", "compress"), ("severity", "stall"))

SOURCE = SourceInfo(
    id=1,
    name="headroom-proxy",
    observer="headroom",
    event="log.overhead",
    instance="6f1c",
    threshold_ns=500 * MS,
    stall_ns=2000 * MS,
    quiet_ns=3000 * MS,
)


def point(
    values_ms: Sequence[float],
    *,
    id: int = 1,
    instrument: Instrument = Instrument.DURATION,
    attributes: Attributes = (("headroom.path", "/v1/messages"),),
    time_ns: int = T0,
    start_ns: int = T0 - 60_000 * MS,
    previous_ns: int = T0 - 10_000 * MS,
    delta_ms: Sequence[float] = (),
    source: SourceInfo = SOURCE,
    bounds_ns: tuple[int, ...] = BOUNDS,
) -> Point:
    """A point whose totals are those of the values, and whose own counts those of ``delta_ms``."""
    own_bounds = () if instrument is Instrument.BREACHES else bounds_ns
    series = SeriesKey(instrument, attributes, own_bounds)
    total, delta = (
        count([round(value * MS) for value in values], own_bounds) if values else Counts()
        for values in (values_ms, delta_ms)
    )
    return Point(id, source, series, start_ns, previous_ns, time_ns, delta=delta, total=total)


def real_points(values_ms: Sequence[int]) -> list[Point]:
    """Return the engine's output for samples of these durations, one per second, two stages each."""
    shape = Shape(("read", "compress"), (("headroom.path", "/v1/messages"),))
    hits = []
    for number, value in enumerate(values_ms):
        severity = Severity.OK if value < 500 else Severity.DEGRADED if value < 2000 else Severity.STALL
        time_ns = T0 + number * 1000 * MS
        stages = (value * MS // 4, value * MS - value * MS // 4)
        hits.append(Hit(0, Sample(time_ns, value * MS, time_ns, "compress", "compress", shape, stages), severity))
    samples = columns_of((hit.offset, hit.sample) for hit in hits)
    attributes = (("server.port", 8787),)
    intervals = aggregate(
        samples, slow_of(hits), attributes=attributes, interval_ns=10_000 * MS, bounds_ns=BOUNDS
    ).counts
    return [
        Point(number, SOURCE, key.series, T0 - 60_000 * MS, key.start_ns, key.end_ns, delta=counts, total=counts)
        for number, (key, counts) in enumerate(sorted(intervals.items(), key=lambda item: item[0].end_ns), start=1)
    ]


def breach(number: int, value_ms: float, *, time_ns: int) -> BreachRecord:
    return BreachRecord(
        id=number,
        source=SOURCE,
        live="/var/log/headroom/proxy-8787.log",
        path="/var/log/headroom/proxy-8787.log",
        offset=100 * number,
        uid=number.to_bytes(16, "big"),
        time_ns=time_ns,
        duration_ns=round(value_ms * MS),
        severity=Severity.STALL if value_ms >= 2000 else Severity.DEGRADED,
        cause="compress",
        stage="deep_copy",
        attributes=(("headroom.path", "/v1/messages"), ("server.port", 8787)),
        trace_id=bytes(range(1, 17)),
        span_id=bytes(range(1, 9)),
    )


def episode(
    values_ms: Sequence[float], *, id: int = 1, dropped: int = 0, span_id: bytes = bytes(range(1, 9))
) -> EpisodeRecord:
    """An episode with one breach for each value, and some that are only counted."""
    breaches = tuple(breach(n, value, time_ns=T0 + n * 100 * MS) for n, value in enumerate(values_ms, start=1))
    peak_ns = max(one.duration_ns for one in breaches)
    record = Episode(
        live="/var/log/headroom/proxy-8787.log",
        attributes=(("server.port", 8787),),
        trace_id=bytes(range(1, 17)),
        span_id=span_id,
        start_ns=min(one.time_ns - one.duration_ns for one in breaches),
        end_ns=max(one.time_ns for one in breaches),
        last_ns=max(one.time_ns for one in breaches),
        count=len(breaches) + dropped,
        peak_ns=peak_ns,
        severity=max(one.severity for one in breaches),
        cause="compress",
        stage="deep_copy",
    )
    return EpisodeRecord(id, SOURCE, record, breaches)


def part(values_ms: Sequence[float], *, number: int = 1) -> PartRecord:
    """A part of the same episode, with one breach for each value."""
    record = episode(values_ms)
    one = record.episode
    content = Part(
        number,
        bytes([number] * 8),
        T0,
        one.start_ns,
        one.end_ns,
        one.count,
        one.peak_ns,
        one.severity,
        one.cause,
        one.stage,
    )
    return PartRecord(number, SOURCE, one.live, one.attributes, one.trace_id, one.span_id, content, record.breaches)


def intervals(*points: Point) -> ExportBatch:
    return ExportBatch(Stream.INTERVALS, points)


def episodes(*records: EpisodeRecord) -> ExportBatch:
    return ExportBatch(Stream.EPISODES, records)
