"""The content of a report, as the options of the command line select it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from otel_logtail.cli.options import open_reader
from otel_logtail.errors import UsageError

if TYPE_CHECKING:
    from otel_logtail.model import Mark
    from otel_logtail.query import Reader
    from otel_logtail.report.compare import Comparison
    from otel_logtail.report.data import Report
    from otel_logtail.report.periods import Period
    from otel_logtail.report.slo import Slo


class Question(NamedTuple):
    """The options that select the content of a report."""

    db: str | None
    since: str | None
    until: str | None
    source: str | None
    slos: Sequence[Slo]
    compare: str | None
    before: str | None
    after: str | None
    marks: Sequence[Mark] = ()

    @property
    def store_options(self) -> tuple[str, ...]:
        """The options that another command needs to read the same store."""
        return (*(("--db", self.db) if self.db else ()), *(("--source", self.source) if self.source else ()))

    def open(self) -> Reader:
        """Open the store; the range is the last week if it is not given."""
        from otel_logtail.report.periods import WEEK_NS

        reader = open_reader(self.db, self.since, self.until, self.source)
        if self.since is None and self.before is None and self.after is None:
            until_ns = time.time_ns() if reader.until_ns is None else reader.until_ns
            reader.since_ns = until_ns - WEEK_NS
        return reader

    def answer(self) -> tuple[Report, Comparison | None, str]:
        """Return the report of now, its comparison, and what is damaged in the store."""
        from otel_logtail.report.compared import compare_periods
        from otel_logtail.report.data import gather
        from otel_logtail.report.marked import with_marks

        with self.open() as reader, reader.snapshot():
            periods = _periods(reader, self.compare, self.before, self.after)
            later = reader if periods is None else reader.within(periods[1].since_ns, reader.until_ns)
            comparison = None if periods is None else compare_periods(reader, *periods)
            return with_marks(gather(later, self.slos), later, self.marks), comparison, str(reader.damage)


def _periods(
    reader: Reader, compare: str | None, before: str | None, after: str | None
) -> tuple[Period, Period] | None:
    """Return the two periods to compare, the earlier one first; None: there is no comparison."""
    from otel_logtail.query import extent
    from otel_logtail.report import periods
    from otel_logtail.text import parse_when

    if compare is not None and (before, after) != (None, None):
        raise UsageError(
            "--compare excludes --before and --after",
            hint="use --compare previous, or --before TIME for the weeks before and the time since",
        )
    if compare is None and before is None and after is None:
        return None
    now_ns = time.time_ns()
    until_ns = now_ns if reader.until_ns is None else reader.until_ns
    first_ns = extent(reader).first_ns
    if compare is not None:
        later = periods.Period(reader.bounds[0], until_ns)
        return periods.other(compare, later, now_ns if first_ns is None else first_ns, now_ns), later
    start, end = after or before or "", before or after or ""
    start_ns = parse_when(start, now_ns, where="--after" if after else "--before")
    end_ns = parse_when(end, now_ns, where="--before" if before else "--after")
    if not end_ns <= start_ns < until_ns:
        raise UsageError(
            f"no later period from {start}: it starts before the earlier one ends, or is not before the end",
            hint="give one time, such as --before 2026-11-18T10:20, or an --after that is later",
        )
    earlier = periods.before(end_ns, end_ns if first_ns is None else first_ns)
    if reader.since_ns is not None:
        if reader.since_ns >= end_ns:
            raise UsageError(f"--since is not before {end}", hint="it is the start of the earlier period")
        earlier = periods.Period(reader.since_ns, end_ns)
    return earlier, periods.Period(start_ns, until_ns)
