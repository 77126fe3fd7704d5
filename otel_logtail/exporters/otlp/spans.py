"""Encodes episodes as OTLP spans, with a link to each trace of a slow line. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel_logtail.exporters.otlp.encoding import SCOPE, Encoding, source_resource
from otel_logtail.model import (
    BreachRecord,
    EpisodeRecord,
    Severity,
)
from otel_logtail.trace import ids_of

MAX_LINKS = 128
"""Links of a span (OpenTelemetry's limit). A record has as many breaches at most, so no link is left out."""


def weight_of(record: EpisodeRecord) -> int:
    """Return the number of spans and span events of an episode."""
    return 1 + len(record.breaches)


def encode_episodes(records: Iterable[EpisodeRecord], encoding: Encoding) -> ExportTraceServiceRequest:
    """Return the episodes as one message: one span each, with an event for each breach in the record."""
    resources: dict[tuple[str, str], Resource] = {}
    scope = InstrumentationScope(SCOPE, encoding.version)
    spans = []
    for record in records:
        key = (record.source.name, record.source.instance)
        if key not in resources:
            resources[key] = source_resource(record.source, encoding)
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
        context=_context(episode.trace_id, episode.span_id, is_remote=False),
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
        links=_links(record.breaches),
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR if stalled else StatusCode.UNSET),
        start_time=episode.start_ns,
        end_time=episode.end_ns,
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
