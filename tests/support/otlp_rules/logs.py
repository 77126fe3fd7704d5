"""Rules of log records that are events."""

from __future__ import annotations

from typing import Any

from tests.support.otlp_rules.envelope import check_attributes
from tests.support.otlp_rules.faults import Fault, Faults

RULES = {
    "a log record has a time": "logs/data-model.md#field-timestamp",
    "a log record has an observed time": "logs/data-model.md#field-observedtimestamp",
    "a log record has a severity": "logs/data-model.md#field-severitynumber",
    "a log record has the name of its event": "logs/data-model.md#field-eventname",
    "a log record has ids of 16 and 8 bytes, or none": "logs/data-model.md#trace-context-fields",
    "a log record with ids is sampled": "logs/data-model.md#field-traceflags",
}
"""The rules, and the section of the specification that each is from."""

SAMPLED = 1


def check_log(record: Any) -> Faults:
    """Check one log record."""
    yield from check_attributes(record.attributes, "log record")
    name = record.event_name
    if not record.time_unix_nano:
        yield Fault("a log record has a time", name)
    if not record.observed_time_unix_nano:
        yield Fault("a log record has an observed time", name)
    if not record.severity_number:
        yield Fault("a log record has a severity", name)
    if not name:
        yield Fault("a log record has the name of its event", record)
    if (len(record.trace_id), len(record.span_id)) not in ((0, 0), (16, 8)):
        yield Fault("a log record has ids of 16 and 8 bytes, or none", name)
    elif record.trace_id and not record.flags & SAMPLED:
        yield Fault("a log record with ids is sampled", (name, record.flags))
