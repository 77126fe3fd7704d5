"""The daemon's own health as OTLP metrics: sums that are always cumulative, and gauges. Pure.

The metrics of a source have the source's name and instance, but none of the other attributes of its resource. From
these, Prometheus derives a series (``target_info``) that must not go back in time. Health has the current time, while
the intervals of a source have the log's time (docs/decisions/0088). All other metrics are of ``otel-logtail`` itself.
"""

from __future__ import annotations

import msgspec
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
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

from otel_logtail.exporters.otlp.encoding import ITSELF, Encoding, resource_of, scope_of
from otel_logtail.model import HealthRecord, HealthValue


def encode_health(record: HealthRecord, encoding: Encoding) -> ExportMetricsServiceRequest:
    """Return the health metrics of one moment as one message."""
    return encode_metrics(health_data(record, encoding))


def health_data(record: HealthRecord, encoding: Encoding) -> MetricsData:
    """Return the health metrics of one moment as the SDK's record."""
    scope = scope_of(encoding)
    by_source: dict[str, dict[str, list[HealthValue]]] = {}
    for value in record.values:
        by_source.setdefault(value.source or ITSELF, {}).setdefault(value.name, []).append(value)
    bare = msgspec.structs.replace(encoding, host="", resource=())
    data = []
    for source, metrics in by_source.items():
        resource = resource_of(source, record.instance, encoding if source == ITSELF else bare)
        own = [_metric(values, record, encoding) for values in metrics.values()]
        data.append(ResourceMetrics(resource, [ScopeMetrics(scope, own, "")], ""))
    return MetricsData(data)


def _metric(values: list[HealthValue], record: HealthRecord, encoding: Encoding) -> Metric:
    first = values[0]
    if first.kind == "histogram":
        histograms = [_histogram(value, record) for value in values]
        return Metric(
            first.name, first.description, first.unit, Histogram(histograms, AggregationTemporality.CUMULATIVE)
        )
    start_ns = {"counter": record.start_ns, "gauge": 0}.get(first.kind)
    if start_ns is None:  # as in an SDK, a value that can fall is that of this process: the store is not its start
        start_ns = min(encoding.started_ns or record.start_ns, record.time_ns)
    points = [NumberDataPoint(dict(value.attributes), start_ns, record.time_ns, value.value) for value in values]
    data: Sum | Gauge = Gauge(points)
    if first.kind != "gauge":
        data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=first.kind == "counter")
    return Metric(first.name, first.description, first.unit, data)


def _histogram(value: HealthValue, record: HealthRecord) -> HistogramDataPoint:
    least, greatest = value.extremes or (None, None)  # the encoder takes None, the SDK's record does not
    return HistogramDataPoint(
        attributes=dict(value.attributes),
        start_time_unix_nano=record.start_ns,
        time_unix_nano=record.time_ns,
        count=sum(value.buckets),
        sum=value.value,
        bucket_counts=value.buckets,
        explicit_bounds=value.bounds,
        min=least,  # type: ignore[arg-type]
        max=greatest,  # type: ignore[arg-type]
    )
