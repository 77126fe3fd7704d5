"""Which two periods a comparison is about. Pure."""

from __future__ import annotations

import msgspec

from otel_logtail.errors import UsageError, invalid
from otel_logtail.text import local, parse_when

DAY_NS = 86_400 * 10**9
WEEK_NS = 7 * DAY_NS
_MOST_WEEKS = 4
_SLACK_NS = 60 * 10**9  # "7d" until now is a week, although a moment passes between the two


class Period(msgspec.Struct, frozen=True):
    """A range of time, ``[since_ns, until_ns)``."""

    since_ns: int
    until_ns: int

    @property
    def length_ns(self) -> int:
        """The length of the range."""
        return self.until_ns - self.since_ns


def previous(after: Period, first_ns: int) -> Period:
    """Return the period to compare one with: of the same length, just before it.

    If the length is not a whole number of weeks, the period is moved back by whole weeks, as far as the store goes (to
    ``first_ns``), so that both have the same hours of the week.
    """
    back_ns = -(-(after.length_ns - _SLACK_NS) // WEEK_NS) * WEEK_NS
    if after.since_ns - back_ns < first_ns or not back_ns:
        back_ns = after.length_ns
    return Period(after.since_ns - back_ns, after.until_ns - back_ns)


def before(time_ns: int, first_ns: int) -> Period:
    """Return the whole weeks before a time: one to four of them, as far as the store goes."""
    weeks = min(_MOST_WEEKS, max(1, (time_ns - first_ns) // WEEK_NS))
    return Period(time_ns - weeks * WEEK_NS, time_ns)


def other(compare: str, later: Period, first_ns: int, now_ns: int) -> Period:
    """Return the period to compare one with: a range, or ``previous``. The store begins at ``first_ns``.

    Raises:
        UsageError: the text is not such a period, or the two overlap.
    """
    if compare.strip().lower() == "previous":
        return previous(later, first_ns)
    found = parse_range(compare, now_ns, "--compare")
    if found.since_ns >= later.until_ns:
        start, end, since, until = (
            local(at_ns)[:19].replace(" ", "T")
            for at_ns in (later.since_ns, later.until_ns, found.since_ns, found.until_ns)
        )
        raise UsageError(
            f"--compare {compare}: this period is later than that of the report",
            hint=f"report the later one: --since {since} --until {until} --compare {start}..{end}",
        )
    start_ns, end_ns = max(found.since_ns, later.since_ns), min(found.until_ns, later.until_ns)
    if start_ns < end_ns:
        first, last = (local(at_ns)[:10] for at_ns in (start_ns, end_ns - 1))
        days = first if first == last else f"{first} to {last}"
        raise UsageError(
            f"--compare {compare}: both periods include {days}",
            hint="choose periods that do not overlap; a day at the end of a range is included",
        )
    return found


def parse_range(text: str, now_ns: int, where: str) -> Period:
    """Parse ``2026-11-01..2026-11-07``: two points in time. A day without a time of day is included as the end.

    Raises:
        UsageError: the text is not such a range.
    """
    start, dots, end = text.partition("..")
    if not dots or not start.strip() or not end.strip():
        raise invalid(where, text, "expected 'previous' or a range", "use previous, or 2026-11-01..2026-11-07")
    since_ns = parse_when(start.strip(), now_ns, where=where)
    until_ns = parse_when(end.strip(), now_ns, where=where)
    if len(end.strip()) == len("2026-11-07") and end.strip().count("-") == 2:
        until_ns += DAY_NS
    if since_ns >= until_ns:
        raise invalid(where, text, "the range is empty", "put the earlier time first")
    return Period(since_ns, until_ns)
