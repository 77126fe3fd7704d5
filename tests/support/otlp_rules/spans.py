"""Rules of spans, their events and links."""

from __future__ import annotations

from typing import Any

from tests.support.otlp_rules.envelope import check_attributes
from tests.support.otlp_rules.faults import Fault, Faults, values_of

RULES = {
    "a span has a trace id": "trace/api.md#spancontext",
    "a span has an id": "trace/api.md#spancontext",
    "a parent's id has 8 bytes": "trace/api.md#spancontext",
    "a span has a name": "trace/api.md#span",
    "a span has a kind": "trace/api.md#spankind",
    "a span has a start and an end": "trace/api.md#span",
    "a span ends after its start": "trace/api.md#span",
    "a span is sampled": "trace/sdk.md#sampling",
    "a description is that of an error": "trace/api.md#set-status",
    "an error has a type": "semantic-conventions general/recording-errors.md",
    "an error has a description": "semantic-conventions general/recording-errors.md",
    "the description says more than the type": "semantic-conventions general/recording-errors.md",
    "nothing of a span is dropped": "common/README.md#attribute-limits",
    "a span event has a name": "trace/api.md#add-events",
    "a span event is within its span": "trace/api.md#add-events",
    "a link leads to a span": "trace/api.md#link",
}
"""The rules, and the section of the specification that each is from."""

SAMPLED, ERROR = 1, 2


def check_span(span: Any) -> Faults:
    """Check one span."""
    yield from check_attributes(span.attributes, "span")
    yield from _check_ids(span)
    if not span.name:
        yield Fault("a span has a name", span)
    if not span.kind:
        yield Fault("a span has a kind", span.name)
    if not span.start_time_unix_nano or not span.end_time_unix_nano:
        yield Fault("a span has a start and an end", span.name)
    elif span.end_time_unix_nano < span.start_time_unix_nano:
        yield Fault("a span ends after its start", span.name)
    if span.dropped_attributes_count or span.dropped_events_count or span.dropped_links_count:
        yield Fault("nothing of a span is dropped", span.name)
    yield from _check_status(span)
    for event in span.events:
        yield from check_attributes(event.attributes, "span event")
        if not event.name:
            yield Fault("a span event has a name", span.name)
        if not span.start_time_unix_nano <= event.time_unix_nano <= span.end_time_unix_nano:
            times = span.start_time_unix_nano, event.time_unix_nano, span.end_time_unix_nano
            yield Fault("a span event is within its span", (span.name, times))


def _check_ids(span: Any) -> Faults:
    if len(span.trace_id) != 16 or not any(span.trace_id):
        yield Fault("a span has a trace id", span.name)
    if len(span.span_id) != 8 or not any(span.span_id):
        yield Fault("a span has an id", span.name)
    if span.parent_span_id and (len(span.parent_span_id) != 8 or not any(span.parent_span_id)):
        yield Fault("a parent's id has 8 bytes", span.name)
    if not span.flags & SAMPLED:
        yield Fault("a span is sampled", (span.name, hex(span.flags)))
    for link in span.links:
        if len(link.trace_id) != 16 or len(link.span_id) != 8 or not any(link.trace_id) or not any(link.span_id):
            yield Fault("a link leads to a span", (span.name, link))


def _check_status(span: Any) -> Faults:
    kind = values_of(span.attributes).get("error.type")
    if span.status.code != ERROR:
        if span.status.message:
            yield Fault("a description is that of an error", span.name)
        return
    if not kind:
        yield Fault("an error has a type", span.name)
    if not span.status.message:
        yield Fault("an error has a description", span.name)
    elif span.status.message == kind:
        yield Fault("the description says more than the type", span.name)
