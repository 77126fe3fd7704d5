"""Encodes episodes as OTLP spans, with a link to each trace of a slow line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel_logtail.exporters.otlp.encoding import Encoding, scope_of, source_resource
from otel_logtail.model import Attributes, BreachRecord, Episode, EpisodeRecord, Part, PartRecord, Severity
from otel_logtail.trace import ids_of

MAX_LINKS = 128
"""Links of a span (OpenTelemetry's limit). A record has as many breaches at most, so no link is left out."""


class _Content(NamedTuple):
    """The content of a span: an episode, or a part of one, with the span that it belongs to."""

    name: str
    one: Episode | Part
    live: str
    attributes: Attributes
    trace_id: bytes
    parent_id: bytes | None
    breaches: Sequence[BreachRecord]
    more: Mapping[str, int]


def weight_of(record: EpisodeRecord | PartRecord) -> int:
    """Return the number of spans and span events of an episode or a part of one."""
    return 1 + len(record.breaches)


def encode_episodes(records: Iterable[EpisodeRecord | PartRecord], encoding: Encoding) -> ExportTraceServiceRequest:
    """Return episodes and parts as one message."""
    request = encode_spans(spans_of(records, encoding))
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.flags |= TraceFlags.SAMPLED  # the encoder of the package omits it
    return request


def spans_of(records: Iterable[EpisodeRecord | PartRecord], encoding: Encoding) -> list[ReadableSpan]:
    """Return episodes and parts as one span each, with an event for each breach in the record."""
    resources: dict[tuple[str, str], Resource] = {}
    scope = scope_of(encoding)
    spans = []
    for record in records:
        key = (record.source.name, record.source.instance)
        if key not in resources:
            resources[key] = source_resource(record.source, encoding)
        content = _episode(record) if isinstance(record, EpisodeRecord) else _part(record)
        events = _events(record, content.one.count) if encoding.events in ("span", "both") else _no_events()
        spans.append(_span(content, resources[key], scope, events))
        if encoding.events == "spans":
            spans += [_breach(breach, content, resources[key], scope) for breach in record.breaches]
    return spans


def _episode(record: EpisodeRecord) -> _Content:
    one, name = record.episode, f"{record.source.event}.episode"
    more = {"parts": record.parts} if record.parts else {}
    return _Content(name, one, one.live, one.attributes, one.trace_id, None, record.breaches, more)


def _part(record: PartRecord) -> _Content:
    return _Content(
        name=f"{record.source.event}.episode.part",
        one=record.part,
        live=record.live,
        attributes=record.attributes,
        trace_id=record.trace_id,
        parent_id=record.parent_id,
        breaches=record.breaches,
        more={"part": record.part.number},
    )


def _events(record: EpisodeRecord | PartRecord, count: int) -> BoundedList[Event]:
    events: BoundedList[Event] = BoundedList.from_seq(None, [_event(record.source.event, b) for b in record.breaches])
    # the encoder takes the count of dropped events from here: breaches that were deleted from the store before
    in_parts = isinstance(record, EpisodeRecord) and record.parts
    events.dropped = 0 if in_parts else max(0, count - len(events))
    return events


def _no_events() -> BoundedList[Event]:
    return BoundedList.from_seq(None, [])


def _breach(breach: BreachRecord, content: _Content, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    """Return a breach as a child span, for a receiver that shows no span events."""
    parent = _context(content.trace_id, content.one.span_id, is_remote=False)
    return ReadableSpan(
        name=breach.source.event,
        context=_context(breach.trace_id, breach.uid[8:], is_remote=False),
        parent=parent,
        resource=resource,
        attributes={**event_attributes(breach), **_error(breach.severity)},
        links=_links([breach]),
        kind=SpanKind.INTERNAL,
        status=_status(breach.severity, breach.duration_ns),
        start_time=breach.time_ns - breach.duration_ns,
        end_time=breach.time_ns,
        instrumentation_scope=scope,
    )


def _status(severity: Severity, peak_ns: int) -> Status:
    """Return the status: a stall is an error. The attribute ``error.type`` is then ``stall``."""
    if severity is not Severity.STALL:
        return Status(StatusCode.UNSET)
    return Status(StatusCode.ERROR, f"a sample of {peak_ns / 1e6:.0f} ms")


def _error(severity: Severity) -> dict[str, str]:
    return {"error.type": severity.label} if severity is Severity.STALL else {}


def _span(
    content: _Content, resource: Resource, scope: InstrumentationScope, events: BoundedList[Event]
) -> ReadableSpan:
    one = content.one
    parent_id = content.parent_id
    return ReadableSpan(
        name=content.name,
        context=_context(content.trace_id, one.span_id, is_remote=False),
        parent=None if parent_id is None else _context(content.trace_id, parent_id, is_remote=False),
        resource=resource,
        attributes={
            **dict(content.attributes),
            "count": one.count,
            "peak_ms": one.peak_ns / 1e6,
            "severity": one.severity.label,
            "cause": one.cause,
            "dominant_stage": one.stage,
            "log.file.name": PurePath(content.live).name,
            "log.file.path": content.live,
            **_error(one.severity),
            **content.more,
        },
        events=events,
        links=_links(content.breaches),
        kind=SpanKind.INTERNAL,
        status=_status(one.severity, one.peak_ns),
        start_time=one.start_ns,
        end_time=one.end_ns,
        instrumentation_scope=scope,
    )


def _context(trace_id: bytes, span_id: bytes, *, is_remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int.from_bytes(trace_id, "big"), int.from_bytes(span_id, "big"), is_remote, flags)


def _links(breaches: Iterable[BreachRecord]) -> list[Link]:
    """Return a link to each trace context of the breaches, in their order."""
    traces = list(dict.fromkeys(breach.trace for breach in breaches if breach.trace))
    return [Link(_context(*ids_of(trace), is_remote=True)) for trace in traces[:MAX_LINKS]]


def _event(name: str, breach: BreachRecord) -> Event:
    return Event(name, event_attributes(breach), breach.time_ns)


def event_attributes(breach: BreachRecord) -> dict[str, str | int | float]:
    """Return the attributes of a breach, as a span event or as a log record.

    The trace context of its line is an attribute: a record with the ids of that trace would be part of a trace that a
    client chose.
    """
    trace_id, span_id = ids_of(breach.trace)
    link = {"link.trace_id": trace_id.hex(), "link.span_id": span_id.hex()} if breach.trace else {}
    return {
        **dict(breach.attributes),
        **link,
        "severity": breach.severity.label,
        "value_ms": breach.duration_ns / 1e6,
        "cause": breach.cause,
        "stage": breach.stage,
        "log.record.uid": breach.uid.hex(),
    }
