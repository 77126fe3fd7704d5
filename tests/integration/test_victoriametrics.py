"""A real VictoriaMetrics has exactly the store's counts, sums, buckets and times: cumulative, delta and exponential."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pytest

from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.exporter import make
from otel_logtail.model import Delivered, Instrument, Point, Stream
from otel_logtail.store.outbox import Outbox
from tests.support import pieces
from tests.support.pieces import INTERVAL, SECOND, Piece, line, opened
from tests.support.victoriametrics import Series, VictoriaMetrics

DURATION, BREACHES = "log_overhead_duration_seconds", "log_overhead_breaches_total"
TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
DURATIONS = [0.001, 0.003, 0.02, 0.02, 0.1, 0.6, 0.9, 2.5]


@pytest.fixture(scope="module")
def victoriametrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    with VictoriaMetrics(tmp_path_factory.mktemp("victoriametrics")) as running:
        yield running


class Sent(NamedTuple):
    """The lines of a log, as durations in seconds, and the points that were sent of them."""

    durations: list[float]
    points: list[Point]


def send(folder: Path, service: str, endpoint: str, environ: Mapping[str, str], **options: str) -> Sent:
    """Write lines, some of them late, with the commits and the closing of a daemon; send all points, in two parts."""
    rng = random.Random(service)  # noqa: S311 - not for secrets
    durations: list[float] = []
    points: list[Point] = []
    context = ExporterContext(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "none", **environ},
        options,
        host="box",
        version="1",
    )
    with opened(folder / "store.db") as store:
        piece = Piece(store, source=service)
        exporter = make(context)
        outbox = Outbox.open(store.path, exporter.name)
        try:
            outbox.register(exporter.wants, time.time_ns(), form=exporter.form)
            for second in range(3000, 3300):
                durations.append(rng.choice(DURATIONS))
                late_s = rng.choice([0, 0, 0, 15, 60])
                text = line(second - late_s, durations[-1], logged=second, key=rng.choice(["", "a"]))
                piece.commit(text, seal_s=second - 0.25)
                if second in (3100, 3299):
                    piece.seal(second + 1)
                    while (batch := outbox.read(Stream.INTERVALS, 100)) is not None:
                        assert exporter.export(batch) == Delivered()
                        outbox.advance(batch, len(batch.items), time.time_ns())
                        points += [item for item in batch.items if isinstance(item, Point)]
        finally:
            outbox.close()
            exporter.close()
    return Sent(durations, points)


@pytest.fixture
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are of the last hour."""
    monkeypatch.setattr(pieces, "NOON", (time.time_ns() // INTERVAL * INTERVAL) - 3600 * SECOND)


def labels(point: Point, **more: str) -> frozenset[tuple[str, str]]:
    own = {name.replace(".", "_"): str(value) for name, value in point.series.attributes}
    return frozenset({**own, **more}.items())


def expected(points: list[Point], *, delta: bool, buckets: bool) -> dict[Series, dict[int, float]]:
    """Return the samples of durations and breaches, as the store has them."""
    found: dict[Series, dict[int, float]] = {}

    def add(name: str, point: Point, value: float, **more: str) -> None:
        found.setdefault((name, labels(point, **more)), {})[point.time_ns // 1_000_000] = value

    for point in points:
        counts = point.delta if delta else point.total
        if delta and not counts.count:
            continue
        if point.series.instrument is Instrument.BREACHES:
            add(BREACHES, point, counts.count)
        elif point.series.instrument is Instrument.DURATION:
            add(f"{DURATION}_count", point, counts.count)
            add(f"{DURATION}_sum", point, counts.sum_ns / 1e9)
            bounds = [f"{bound / 1e9:g}" for bound in point.series.bounds_ns]
            below = accumulate(counts.explicit or [0] * (len(bounds) + 1))
            for bound, number in zip([*bounds, "+Inf"], below if buckets else (), strict=buckets):
                add(f"{DURATION}_bucket", point, number, le=bound)
    return found


def stored(found: dict[Series, dict[int, float]], *, buckets: bool) -> dict[Series, dict[int, float]]:
    names = {f"{DURATION}_count", f"{DURATION}_sum", BREACHES} | ({f"{DURATION}_bucket"} if buckets else set())
    return {series: values for series, values in found.items() if series[0] in names}


def in_all(found: dict[Series, dict[int, float]], name: str, *, delta: bool) -> float:
    """Return the sum of all series, of their last values or of all of them."""
    values = [list(dict(sorted(one.items())).values()) for series, one in found.items() if series[0] == name]
    return sum(sum(one) if delta else one[-1] for one in values)


@pytest.mark.usefixtures("_now")
@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_counts_sums_buckets_and_times_are_those_of_the_store(
    tmp_path: Path, victoriametrics: VictoriaMetrics, temporality: str
) -> None:
    delta = temporality == "delta"
    sent = send(tmp_path, temporality, victoriametrics.endpoint, {TEMPORALITY: temporality})
    found = victoriametrics.samples(temporality)
    wanted = expected(sent.points, delta=delta, buckets=True)
    assert stored(found, buckets=True) == {
        series: pytest.approx(values, rel=1e-12, abs=1e-12) for series, values in wanted.items()
    }
    assert in_all(found, f"{DURATION}_count", delta=delta) == 300
    assert in_all(found, f"{DURATION}_sum", delta=delta) == pytest.approx(sum(sent.durations))
    assert in_all(found, BREACHES, delta=delta) == sum(one >= 0.5 for one in sent.durations) > 50


@pytest.mark.usefixtures("_now")
@pytest.mark.parametrize(("most", "error"), [("160", 0.09), ("1280", 0.02)])
def test_exponential_histograms_have_every_count_and_good_quantiles(
    tmp_path: Path, victoriametrics: VictoriaMetrics, most: str, error: float
) -> None:
    service = f"exponential-{most}"
    sent = send(tmp_path, service, victoriametrics.endpoint, {}, histogram="exponential", max_buckets=most)
    found = victoriametrics.samples(service)
    wanted = expected(sent.points, delta=False, buckets=False)
    assert stored(found, buckets=False) == {
        series: pytest.approx(values, rel=1e-12, abs=1e-12) for series, values in wanted.items()
    }
    assert in_all(found, f"{DURATION}_count", delta=False) == 300
    assert in_all(found, f"{DURATION}_bucket", delta=False) == 300
    last_ms = max(point.time_ns for point in sent.points) // 1_000_000
    for quantile in (0.5, 0.9, 0.99):
        query = f'histogram_quantile({quantile}, sum by (vmrange) ({DURATION}_bucket{{service_name="{service}"}}))'
        exact = sorted(sent.durations)[int(quantile * 300)]
        assert victoriametrics.ask(query, last_ms) == pytest.approx(exact, rel=error)
