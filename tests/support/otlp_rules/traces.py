"""Rules that join signals: ids lead to spans that were sent."""

from __future__ import annotations

from typing import Any

from tests.support.otlp_rules.faults import Fault, Faults, values_of

RULES = {
    "an id has one span": "trace/api.md#spancontext",
    "a parent is a span of the same trace": "trace/api.md#determining-the-parent-span-from-a-context",
    "an exemplar leads to a span": "metrics/data-model.md#exemplars",
    "an exemplar has the trace of its span": "metrics/data-model.md#exemplars",
    "a log record leads to a span": "logs/data-model.md#trace-context-fields",
    "a breach is one event": "logs/event-api.md",
}
"""The rules, and the section of the specification that each is from."""


class Traces:
    """All spans, and the ids that lead to them."""

    def __init__(self) -> None:
        self._spans: dict[bytes, Any] = {}
        self._differing: list[bytes] = []
        self._exemplars: set[tuple[bytes, bytes]] = set()
        self._logs: set[bytes] = set()

    def add_span(self, span: Any) -> None:
        """Take a span, which may be sent again unchanged."""
        if self._spans.setdefault(span.span_id, span) != span:
            self._differing.append(span.span_id)

    def add_exemplar(self, exemplar: Any) -> None:
        """Take an exemplar."""
        if exemplar.span_id:
            self._exemplars.add((exemplar.span_id, exemplar.trace_id))

    def add_log(self, record: Any) -> None:
        """Take a log record."""
        if record.span_id:
            self._logs.add(record.span_id)

    def check(self) -> Faults:
        """Check everything that was sent. The target of a link is a span of another program."""
        linked = {link.span_id: link.trace_id for span in self._spans.values() for link in span.links}
        yield from (Fault("an id has one span", one.hex()) for one in self._differing)
        for span in self._spans.values():
            parent = self._spans.get(span.parent_span_id)
            if span.parent_span_id and (parent is None or parent.trace_id != span.trace_id):
                yield Fault("a parent is a span of the same trace", (span.name, span.span_id.hex()))
        for span_id, trace_id in sorted(self._exemplars):
            own = self._spans.get(span_id)
            found = linked.get(span_id) if own is None else own.trace_id
            if found is None:
                yield Fault("an exemplar leads to a span", span_id.hex())
            elif found != trace_id:
                yield Fault("an exemplar has the trace of its span", span_id.hex())
        for span_id in sorted(self._logs - self._spans.keys()):
            yield Fault("a log record leads to a span", span_id.hex())
        events = [values_of(e.attributes).get("log.record.uid") for s in self._spans.values() for e in s.events]
        yield from (Fault("a breach is one event", uid) for uid in set(events) if events.count(uid) > 1)
