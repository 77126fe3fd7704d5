"""Encodes points as OTLP metrics. Pure.

- For a receiver, a series is its name and attributes. Two :class:`~otel_logtail.model.SeriesKey` that differ only in
  their bounds are the same series there, and never share a request.
- Cumulative points carry the totals of the series, so sending one twice is harmless. Delta points (optional) carry the
  counts since the last point of the series: a receiver that gets one twice counts it twice.
- The longest sample (stall) of each interval is a gauge: the maximum in a cumulative histogram is since the series'
  start, and Prometheus drops it (docs/decisions/0125).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
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

from otel_logtail.counts import SCALE
from otel_logtail.exporters.otlp.encoding import Encoding, only, scope_of, source_resource
from otel_logtail.model import BreachRecord, Counts, Instrument, Point
from otel_logtail.trace import ids_of

_DataPoint = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint
_NO_BUCKETS = Buckets(0, ())
_ROOM = 20 << SCALE
"""The buckets of 20 octaves, such as 1 ms to 15 minutes, at the store's resolution."""


class Described(NamedTuple):
    """A data point, and the metric that it belongs to: the part of the name behind the event's, unit, description."""

    suffix: str
    unit: str
    text: str
    data: _DataPoint
    is_gauge: bool = False


def identity(point: Point) -> Hashable:
    """Return the name of a series at a receiver."""
    source = point.source
    return source.name, source.instance, source.event, point.series.instrument, point.series.attributes


def weight_of(point: Point) -> int:
    """Return the number of data points of a point."""
    own = 2 if point.series.instrument is Instrument.EPISODES else 1
    return own + has_maximum(point)


def encode_points(points: Iterable[Point], encoding: Encoding) -> ExportMetricsServiceRequest:
    """Return the points as one message; no series may occur twice among them."""
    return encode_metrics(points_data(points, encoding))


def points_data(points: Iterable[Point], encoding: Encoding) -> MetricsData:
    """Return the points as the SDK's record; no series may occur twice among them."""
    resources: dict[tuple[str, str], Resource] = {}
    metrics: dict[tuple[str, str], dict[str, list[Described]]] = {}
    for point in points:
        key = (point.source.name, point.source.instance)
        if key not in resources:
            resources[key] = source_resource(point.source, encoding)
            metrics[key] = {}
        for one in data_points(point, encoding):
            metrics[key].setdefault(f"{point.source.event}.{one.suffix}", []).append(one)
    scope = scope_of(encoding)
    temporality = AggregationTemporality.DELTA if encoding.delta else AggregationTemporality.CUMULATIVE
    data = []
    for key, resource in resources.items():
        own = [_metric(name, points, temporality) for name, points in metrics[key].items()]
        data.append(ResourceMetrics(resource, [ScopeMetrics(scope, own, "")], ""))
    return MetricsData(data)


def data_points(point: Point, encoding: Encoding) -> Iterator[Described]:
    """Yield the data points of a point."""
    instrument = point.series.instrument
    start_ns, counts = counted(point, encoding)
    number = NumberDataPoint(dict(point.series.attributes), start_ns, point.time_ns, counts.count)
    if instrument is Instrument.BREACHES:
        yield Described("breaches", "{sample}", "Samples that reached the threshold.", number)
        return
    if instrument is Instrument.EPISODE_TIME:
        time_s = NumberDataPoint(dict(point.series.attributes), start_ns, point.time_ns, counts.sum_ns / 1e9)
        yield Described("episode.time", "s", "Time within episodes of at least this severity, open ones too.", time_s)
        return
    if encoding.exponential:
        histogram: _DataPoint = _exponential(point, start_ns, counts, encoding.max_buckets)
    else:
        histogram = _explicit(point, start_ns, counts)
    if instrument is Instrument.DURATION:
        yield Described("duration", "s", "How long each sample took.", histogram)
        yield from _maximum(point, "max_duration", "The longest sample of an interval.")
    elif instrument is Instrument.STAGE:
        yield Described("stage.duration", "s", "How long each stage of a sample took.", histogram)
    else:
        yield Described("episodes", "{episode}", "Episodes: breaches close together are one.", number)
        yield Described("episode.duration", "s", "How long each episode lasted.", histogram)
        yield from _maximum(point, "episode.max_duration", "The longest episode that ended in an interval.")


def counted(point: Point, encoding: Encoding) -> tuple[int, Counts]:
    """Return the start and the counts that a point carries: since the last point, or since the series' start."""
    return (point.previous_ns, point.delta) if encoding.delta else (point.start_ns, point.total)


def has_maximum(point: Point) -> bool:
    """Return whether a point carries the maximum of its interval: a repeat has no counts of its own."""
    # not of stages: they are most of the points, and their maxima would make requests half as large again
    return point.delta.count > 0 and point.series.instrument in (Instrument.DURATION, Instrument.EPISODES)


def _maximum(point: Point, suffix: str, text: str) -> Iterator[Described]:
    """Yield the longest duration among a point's own counts; repeated points have none."""
    if has_maximum(point):
        data = NumberDataPoint(dict(point.series.attributes), 0, point.time_ns, point.delta.max_ns / 1e9)
        yield Described(suffix, "s", text, data, is_gauge=True)


def _metric(name: str, points: Sequence[Described], temporality: AggregationTemporality) -> Metric:
    first, values = points[0], [one.data for one in points]
    data: Sum | Gauge | Histogram | ExponentialHistogram
    if first.is_gauge:
        data = Gauge(only(NumberDataPoint, values))
    elif isinstance(first.data, NumberDataPoint):
        data = Sum(only(NumberDataPoint, values), temporality, is_monotonic=True)
    elif isinstance(first.data, HistogramDataPoint):
        data = Histogram(only(HistogramDataPoint, values), temporality)
    else:
        data = ExponentialHistogram(only(ExponentialHistogramDataPoint, values), temporality)
    return Metric(name, first.text, first.unit, data)


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


def _exponential(point: Point, start_ns: int, counts: Counts, max_buckets: int) -> ExponentialHistogramDataPoint:
    scale, buckets = downscale(counts.exponential, max_buckets)
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


def exemplars_of(point: Point, start_ns: int) -> Iterator[tuple[BreachRecord, bytes, bytes]]:
    """Yield breaches within (start, time] of the data point, with their trace and span ids.

    Intervals are [start, end), and late lines are before. An exemplar leads to the trace of its line, which shows the
    request itself; without one, to the episode.
    """
    for breach in point.exemplars:
        if start_ns < breach.time_ns <= point.time_ns:
            yield (breach, *ids_of(breach.trace or breach.trace_id + breach.span_id))


def _exemplars(point: Point, start_ns: int) -> list[Exemplar]:
    return [
        Exemplar(
            filtered_attributes={},
            value=breach.duration_ns / 1e9,
            time_unix_nano=breach.time_ns,
            span_id=int.from_bytes(span_id, "big"),
            trace_id=int.from_bytes(trace_id, "big"),
        )
        for breach, trace_id, span_id in exemplars_of(point, start_ns)
    ]


def downscale(sparse: Mapping[int, int], max_buckets: int) -> tuple[int, Buckets]:
    """Return the scale and sparse counts by index as dense buckets, at most ``max_buckets`` of them.

    The scale has room for 20 octaves, and is coarser only if the counts need more: so buckets keep their bounds while a
    series grows. The next coarser scale merges buckets 2i and 2i + 1 into i: it shifts the index by one bit, also a
    negative one.
    """
    low, high = (min(sparse), max(sparse)) if sparse else (0, 0)
    shift = 0
    while max((high >> shift) - (low >> shift) + 1, _ROOM >> shift) > max_buckets:
        shift += 1
    if not sparse:
        return SCALE - shift, _NO_BUCKETS
    offset = low >> shift
    dense = [0] * ((high >> shift) - offset + 1)
    for index, number in sparse.items():
        dense[(index >> shift) - offset] += number
    return SCALE - shift, Buckets(offset, dense)
