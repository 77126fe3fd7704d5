"""Breaches and marks as OTLP log records; a breach has the ids of its episode's span. Pure.

The messages are built directly: the OpenTelemetry package has its encoder for logs in private modules only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.trace import TraceFlags

from otel_logtail.exporters.otlp.encoding import SCHEMA_URL, SCOPE, Encoding, resource_of
from otel_logtail.exporters.otlp.spans import event_attributes
from otel_logtail.model import BreachRecord, MarkRecord, Severity

_Record = TypeVar("_Record", BreachRecord, MarkRecord)

_SEVERITY = {
    Severity.OK: (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO"),
    Severity.DEGRADED: (SeverityNumber.SEVERITY_NUMBER_WARN, "WARN"),
    Severity.STALL: (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR"),
}


def encode_breaches(records: Iterable[BreachRecord], encoding: Encoding) -> ExportLogsServiceRequest:
    """Return the breaches as one message: one event each, with the source's event name."""
    return _encode(records, _breach, encoding)


def encode_marks(records: Iterable[MarkRecord], encoding: Encoding) -> ExportLogsServiceRequest:
    """Return the marks as one message: one event each, with the text as its body."""
    return _encode(records, _mark, encoding)


def _encode(
    records: Iterable[_Record], encode: Callable[[_Record], LogRecord], encoding: Encoding
) -> ExportLogsServiceRequest:
    scope = InstrumentationScope(name=SCOPE, version=encoding.version)
    by_resource: dict[tuple[str, str], ScopeLogs] = {}
    request = ExportLogsServiceRequest()
    for record in records:
        key = (record.source.name, record.source.instance)
        if key not in by_resource:
            resource = Resource(attributes=_pairs(resource_of(*key, encoding).attributes))
            by_resource[key] = ScopeLogs(scope=scope, schema_url=SCHEMA_URL)
            request.resource_logs.append(ResourceLogs(resource=resource, schema_url=SCHEMA_URL))
        by_resource[key].log_records.append(encode(record))
    for holder, logs in zip(request.resource_logs, by_resource.values(), strict=True):
        holder.scope_logs.append(logs)
    return request


def _breach(breach: BreachRecord) -> LogRecord:
    number, text = _SEVERITY[breach.severity]
    return LogRecord(
        time_unix_nano=breach.time_ns,
        observed_time_unix_nano=breach.time_ns,  # the program observed itself: its log is the event's source
        severity_number=number,
        severity_text=text,
        event_name=breach.source.event,
        attributes=_pairs(event_attributes(breach)),
        trace_id=breach.trace_id,
        span_id=breach.span_id,
        flags=TraceFlags.SAMPLED,  # as the span has it
    )


def _mark(mark: MarkRecord) -> LogRecord:
    number, text = _SEVERITY[Severity.OK]
    return LogRecord(
        time_unix_nano=mark.time_ns,
        observed_time_unix_nano=mark.time_ns,
        severity_number=number,
        severity_text=text,
        event_name=f"{mark.source.event}.mark",
        body=_value(mark.text),
        attributes=_pairs({"log.record.uid": mark.uid.hex()}),
    )


def _pairs(attributes: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: object) -> AnyValue:
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bool):  # of the series beyond the limit
        return AnyValue(bool_value=value)
    if isinstance(value, tuple):  # of a resource
        return AnyValue(array_value=ArrayValue(values=map(_value, value)))
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=str(value))
