"""A report with its marks, and with what changed since the newest one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo

import msgspec

from otel_logtail.model import Mark
from otel_logtail.query import Reader
from otel_logtail.report.data import Report
from otel_logtail.report.since import marks_of, since_of
from otel_logtail.text import parse_when


def with_marks(report: Report, reader: Reader, given: Iterable[Mark] = (), *, tz: tzinfo | None = None) -> Report:
    """Return a report with the marks of its range.

    Args:
        report: The report.
        reader: The store, the range and the source of the report.
        given: Marks that the store does not have.
        tz: The time zone of days and hours; None: the local one.
    """
    if not report.summary.to:
        return report
    last_ns = parse_when(report.summary.to, 0)
    with reader.snapshot():
        marks = marks_of(reader, given, last_ns)
        return msgspec.structs.replace(report, marks=marks, since=since_of(reader, marks, last_ns, tz))
