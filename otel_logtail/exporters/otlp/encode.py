"""Encodes the items of a batch as OTLP requests: the same items are always the same bytes. Pure.

- The items keep their order. No series occurs twice in one request, so a receiver never gets two timestamps of a
  series at once (Prometheus rejects a whole request because of one sample).
- For a receiver, a series is its name and attributes. Two :class:`~otel_logtail.model.SeriesKey` that differ only in
  their bounds are the same series there, and never share a request.
- Cumulative points carry the totals of the series, so sending one twice is harmless. Delta points (optional) carry the
  counts since the last point of the series: a receiver that gets one twice counts it twice.
- Equal resources and scopes are merged here, since the encoder of the OpenTelemetry package drops all but the last.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TypeVar

import msgspec
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel_logtail.counts import SCALE
from otel_logtail.model import (
    BreachRecord,
    Counts,
    EpisodeRecord,
    ExportBatch,
    Instrument,
    Point,
    Severity,
    SourceInfo,
    Stream,
)

SCOPE = "otel_logtail"

MAX_BYTES = 4 * 1024 * 1024 - 64 * 1024
"""A gRPC receiver accepts messages of 4 MiB by default; the margin is for the overhead of the protocol."""

MAX_RECORDS = 4000
"""The most points, spans and span events of one request, which limits memory here and at the receiver."""

MAX_BUCKETS = 160
"""The most buckets of an exponential histogram: the default of the OpenTelemetry SDKs."""

_T = TypeVar("_T")
_DataPoint = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint
ExportRequest = ExportMetricsServiceRequest | ExportTraceServiceRequest | ExportLogsServiceRequest

_NO_BUCKETS = Buckets(0, ())


class Encoding(msgspec.Struct, frozen=True):
    """The form of requests. ``resource`` holds the attributes that the user gave.

    ``span_events`` is true if breaches are events of their episode's span, ``exemplars`` if points have them.
    """

    version: str
    host: str = ""
    resource: tuple[tuple[str, str], ...] = ()
    exponential: bool = False
    delta: bool = False
    span_events: bool = True
    exemplars: bool = True
    max_bytes: int = MAX_BYTES
    max_records: int = MAX_RECORDS

    @property
    def form(self) -> str:
        """The settings that are part of a series at a receiver: kind of histogram, temporality, resource, scope."""
        return repr((self.exponential, self.delta, sorted(self.resource), self.host, self.version))


class Request(msgspec.Struct, frozen=True):
    """One message, and the number of items of the batch in it."""

    count: int
    message: ExportRequest


def encode(batch: ExportBatch, encoding: Encoding) -> Iterator[Request]:
    """Yield the requests that carry a batch, in order."""
    if batch.stream is Stream.INTERVALS:
        # as a delta, a point that fills a gap is empty
        kept = [(i, p) for i, p in enumerate(only(Point, batch.items), 1) if p.delta.count or not encoding.delta]
        told = sent = 0
        for group in groups([p for _, p in kept], encoding.max_records, key=_identity, weight=_point_weight):
            for request in fit(group, lambda part: encode_points(part, encoding), encoding.max_bytes):
                sent += request.count
                yield Request(kept[sent - 1][0] - told, request.message)
                told = kept[sent - 1][0]
    elif batch.stream is Stream.EPISODES:
        episodes = only(EpisodeRecord, batch.items)
        for records in groups(episodes, encoding.max_records, key=lambda record: record.id, weight=_episode_weight):
            yield from fit(records, lambda part: encode_episodes(part, encoding), encoding.max_bytes)
    else:
        raise ValueError(f"stream {batch.stream.value} has no place in OTLP metrics and traces")


def only(kind: type[_T], items: Iterable[object]) -> list[_T]:
    """Return the items, all of this kind; raise TypeError for another one."""
    kept = []
    for item in items:
        if not isinstance(item, kind):
            raise TypeError(f"{type(item).__name__} among {kind.__name__} items")
        kept.append(item)
    return kept


def groups(
    items: Sequence[_T], most: int, *, key: Callable[[_T], Hashable], weight: Callable[[_T], int]
) -> Iterator[list[_T]]:
    """Yield runs of items in their order: no key twice in a run, and a weight of at most ``most`` (or one item)."""
    group: list[_T] = []
    seen: set[Hashable] = set()
    total = 0
    for item in items:
        if group and (key(item) in seen or total + weight(item) > most):
            yield group
            group, seen, total = [], set(), 0
        group.append(item)
        seen.add(key(item))
        total += weight(item)
    if group:
        yield group


def fit(items: Sequence[_T], make: Callable[[Sequence[_T]], ExportRequest], most: int) -> Iterator[Request]:
    """Yield the items as one message, or in halves while a message is larger than ``most`` (an item is never split)."""
    message = make(items)
    if len(items) == 1 or message.ByteSize() <= most:
        yield Request(len(items), message)
        return
    middle = len(items) // 2
    yield from fit(items[:middle], make, most)
    yield from fit(items[middle:], make, most)


def _resource(source: SourceInfo, encoding: Encoding) -> Resource:
    return resource_of(source.name, source.instance, encoding)


def resource_of(service: str, instance: str, encoding: Encoding) -> Resource:
    """Return the resource of a service. ``Resource.create`` would add a random instance id."""
    host = {"host.name": encoding.host} if encoding.host else {}
    own = {"service.name": service, "service.instance.id": instance}
    return Resource({**host, **dict(encoding.resource), **own})


# --- intervals are metrics --------------------------------------------------------------------------------------


def _identity(point: Point) -> Hashable:
    source = point.source
    return source.name, source.instance, source.event, point.series.instrument, point.series.attributes


def _point_weight(point: Point) -> int:
    return 2 if point.series.instrument is Instrument.EPISODES else 1


def encode_points(points: Iterable[Point], encoding: Encoding) -> ExportMetricsServiceRequest:
    """Return the points as one message; no series may occur twice among them."""
    resources: dict[tuple[str, str], Resource] = {}
    metrics: dict[tuple[str, str], dict[str, tuple[str, str, list[_DataPoint]]]] = {}
    for point in points:
        key = (point.source.name, point.source.instance)
        if key not in resources:
            resources[key] = _resource(point.source, encoding)
            metrics[key] = {}
        for suffix, unit, description, data_point in data_points(point, encoding):
            name = f"{point.source.event}.{suffix}"
            metrics[key].setdefault(name, (unit, description, []))[2].append(data_point)
    scope = InstrumentationScope(SCOPE, encoding.version)
    temporality = AggregationTemporality.DELTA if encoding.delta else AggregationTemporality.CUMULATIVE
    data = []
    for key, resource in resources.items():
        own = [_metric(name, *metric, temporality) for name, metric in metrics[key].items()]
        data.append(ResourceMetrics(resource, [ScopeMetrics(scope, own, "")], ""))
    return encode_metrics(MetricsData(data))


def data_points(point: Point, encoding: Encoding) -> Iterator[tuple[str, str, str, _DataPoint]]:
    """Yield the data points of a point: suffix of the metric's name, unit, description, data point."""
    instrument = point.series.instrument
    start_ns, counts = (point.previous_ns, point.delta) if encoding.delta else (point.start_ns, point.total)
    number = NumberDataPoint(dict(point.series.attributes), start_ns, point.time_ns, counts.count)
    if instrument is Instrument.BREACHES:
        yield "breaches", "{sample}", "Samples that reached the threshold.", number
        return
    make = _exponential if encoding.exponential else _explicit
    histogram = make(point, start_ns, counts)
    if instrument is Instrument.DURATION:
        yield "duration", "s", "How long each sample took.", histogram
    elif instrument is Instrument.STAGE:
        yield "stage.duration", "s", "How long each stage of a sample took.", histogram
    else:
        yield "episodes", "{episode}", "Stalls: breaches close together are one.", number
        yield "episode.duration", "s", "How long each stall lasted.", histogram


def _metric(
    name: str, unit: str, description: str, points: Sequence[_DataPoint], temporality: AggregationTemporality
) -> Metric:
    data: Sum | Histogram | ExponentialHistogram
    if isinstance(points[0], NumberDataPoint):
        data = Sum(only(NumberDataPoint, points), temporality, is_monotonic=True)
    elif isinstance(points[0], HistogramDataPoint):
        data = Histogram(only(HistogramDataPoint, points), temporality)
    else:
        data = ExponentialHistogram(only(ExponentialHistogramDataPoint, points), temporality)
    return Metric(name, description, unit, data)


def _explicit(point: Point, start_ns: int, counts: Counts) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=dict(point.series.attributes),
        start_time_unix_nano=start_ns,
        time_unix_nano=point.time_ns,
        count=counts.count,
        exemplars=_exemplars(point, start_ns),
        sum=counts.sum_ns / 1e9,
        bucket_counts=counts.explicit,
        explicit_bounds=[bound / 1e9 for bound in point.series.bounds_ns],
        min=_seconds(counts, counts.min_ns),
        max=_seconds(counts, counts.max_ns),
    )


def _seconds(counts: Counts, value_ns: int) -> float:
    """Return a least or greatest value in seconds, or None (no field) if nothing was counted."""
    return value_ns / 1e9 if counts.count else None  # type: ignore[return-value] # the SDK's record has float


def _exponential(point: Point, start_ns: int, counts: Counts) -> ExponentialHistogramDataPoint:
    scale, buckets = downscale(counts.exponential)
    return ExponentialHistogramDataPoint(
        attributes=dict(point.series.attributes),
        start_time_unix_nano=start_ns,
        time_unix_nano=point.time_ns,
        count=counts.count,
        sum=counts.sum_ns / 1e9,
        scale=scale,
        zero_count=counts.zeros,
        positive=buckets,
        negative=_NO_BUCKETS,
        flags=0,
        min=_seconds(counts, counts.min_ns),
        max=_seconds(counts, counts.max_ns),
        exemplars=_exemplars(point, start_ns),
    )


def _exemplars(point: Point, start_ns: int) -> list[Exemplar]:
    """Return those within (start, time] of the data point: intervals are [start, end), late lines are before."""
    return [
        Exemplar(
            filtered_attributes={},
            value=breach.duration_ns / 1e9,
            time_unix_nano=breach.time_ns,
            span_id=int.from_bytes(breach.span_id, "big"),
            trace_id=int.from_bytes(breach.trace_id, "big"),
        )
        for breach in point.exemplars
        if start_ns < breach.time_ns <= point.time_ns
    ]


def downscale(sparse: Mapping[int, int], *, scale: int = SCALE, max_buckets: int = MAX_BUCKETS) -> tuple[int, Buckets]:
    """Return sparse counts by index as dense buckets, at the finest scale with at most ``max_buckets`` of them.

    The next coarser scale merges buckets 2i and 2i + 1 into i, so it shifts the index by one bit, also a negative one.
    """
    if not sparse:
        return scale, _NO_BUCKETS
    low, high = min(sparse), max(sparse)
    shift = 0
    while (high >> shift) - (low >> shift) >= max_buckets:
        shift += 1
    offset = low >> shift
    dense = [0] * ((high >> shift) - offset + 1)
    for index, number in sparse.items():
        dense[(index >> shift) - offset] += number
    return scale - shift, Buckets(offset, dense)


# --- episodes are spans -----------------------------------------------------------------------------------------


def _episode_weight(record: EpisodeRecord) -> int:
    return 1 + len(record.breaches)


def encode_episodes(records: Iterable[EpisodeRecord], encoding: Encoding) -> ExportTraceServiceRequest:
    """Return the episodes as one message: one span each, with an event for each breach in the record."""
    resources: dict[tuple[str, str], Resource] = {}
    scope = InstrumentationScope(SCOPE, encoding.version)
    spans = []
    for record in records:
        key = (record.source.name, record.source.instance)
        if key not in resources:
            resources[key] = _resource(record.source, encoding)
        spans.append(_span(record, resources[key], scope, span_events=encoding.span_events))
    return encode_spans(spans)


def _span(record: EpisodeRecord, resource: Resource, scope: InstrumentationScope, *, span_events: bool) -> ReadableSpan:
    episode, event = record.episode, record.source.event
    told = record.breaches if span_events else ()
    events: BoundedList[Event] = BoundedList.from_seq(None, [_event(event, breach) for breach in told])
    # the encoder takes the count of dropped events from here: breaches that were counted but are not in the record
    events.dropped = max(0, episode.count - len(told)) if span_events else 0
    stalled = episode.severity is Severity.STALL
    return ReadableSpan(
        name=f"{event}.episode",
        context=SpanContext(
            trace_id=int.from_bytes(episode.trace_id, "big"),
            span_id=int.from_bytes(episode.span_id, "big"),
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        ),
        resource=resource,
        attributes={
            **dict(episode.attributes),
            "count": episode.count,
            "peak_ms": episode.peak_ns / 1e6,
            "severity": episode.severity.label,
            "cause": episode.cause,
            "dominant_stage": episode.stage,
            "log.file.name": PurePath(episode.live).name,
            "log.file.path": episode.live,
        },
        events=events,
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR if stalled else StatusCode.UNSET),
        start_time=episode.start_ns,
        end_time=episode.end_ns,
        instrumentation_scope=scope,
    )


def _event(name: str, breach: BreachRecord) -> Event:
    return Event(name, event_attributes(breach), breach.time_ns)


def event_attributes(breach: BreachRecord) -> dict[str, str | int | float]:
    """Return the attributes of a breach, as a span event or as a log record."""
    return {
        **dict(breach.attributes),
        "severity": breach.severity.label,
        "value_ms": breach.duration_ns / 1e6,
        "cause": breach.cause,
        "stage": breach.stage,
        "log.record.uid": breach.uid.hex(),
    }
