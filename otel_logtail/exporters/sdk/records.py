"""The items of a batch as records of OpenTelemetry's SDK, with the same content as over OTLP. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_logtail.exporters.otlp.encode import Encoder
from otel_logtail.exporters.otlp.health import health_data
from otel_logtail.exporters.otlp.logs import encode_breaches, encode_marks
from otel_logtail.exporters.otlp.metrics import points_data
from otel_logtail.exporters.otlp.spans import spans_of

Records = MetricsData | Sequence[ReadableSpan] | Sequence[ReadableLogRecord]
"""The argument of an exporter's ``export``: of metrics, spans or logs."""


def log_records(request: ExportLogsServiceRequest) -> list[ReadableLogRecord]:
    """Return the log records of a message: log records are messages from the start."""
    records = []
    for holder in request.resource_logs:
        resource = Resource(_mapping(holder.resource.attributes), holder.schema_url)
        for scoped in holder.scope_logs:
            scope = InstrumentationScope(scoped.scope.name, scoped.scope.version, scoped.schema_url)
            records += [ReadableLogRecord(_record(record), resource, scope) for record in scoped.log_records]
    return records


def _record(record: logs_pb2.LogRecord) -> LogRecord:
    return LogRecord(
        timestamp=record.time_unix_nano,
        observed_timestamp=record.observed_time_unix_nano,
        context=_context(record),
        severity_text=record.severity_text,
        severity_number=SeverityNumber(record.severity_number),
        body=_value(record.body) if record.HasField("body") else None,
        attributes=_mapping(record.attributes),
        event_name=record.event_name,
    )


def _context(record: logs_pb2.LogRecord) -> Context:
    """Return a context with the span of a record, from which the SDK reads the record's ids."""
    trace_id, span_id = int.from_bytes(record.trace_id, "big"), int.from_bytes(record.span_id, "big")
    span = NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(record.flags)))
    return set_span_in_context(span, Context())


def _mapping(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    if value.HasField("array_value"):  # of a resource
        return tuple(map(_value, value.array_value.values))
    return getattr(value, value.WhichOneof("value") or "string_value")


SDK: Encoder[Records] = Encoder(
    points=points_data,
    episodes=spans_of,
    breaches=lambda breaches, encoding: log_records(encode_breaches(breaches, encoding)),
    marks=lambda marks, encoding: log_records(encode_marks(marks, encoding)),
    health=health_data,
    has_many=False,  # the SDK collects each series once in a call
    size=lambda _: 0,  # a record has none until the exporter encodes it; the number of records limits it
)
