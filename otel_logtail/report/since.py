"""Marks of a report, and what changed since the newest one: the period since it, compared with the weeks before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import tzinfo

import msgspec

from otel_logtail import query
from otel_logtail.errors import UsageError
from otel_logtail.model import Mark
from otel_logtail.query import Reader
from otel_logtail.report.compare import Comparison, change_text
from otel_logtail.report.compared import compare_periods
from otel_logtail.report.figures import Figure, Word
from otel_logtail.report.periods import Period, before
from otel_logtail.report.words import SPACE, date, moment
from otel_logtail.text import brief, parse_past

MOST = 50
"""The most marks of a report: the newest ones."""

_VERSION = re.compile(r"\d[\w+~-]*\.[\w.+~-]+")

_CHANGED = {
    "p50": ("median lower", "median higher"),
    "p99": ("p99 lower", "p99 higher"),
    "slow samples": ("slow samples rarer", "slow samples more frequent"),
    "stalls": ("stalls rarer", "stalls more frequent"),
    "time in episodes": ("less time in episodes", "more time in episodes"),
}
"""The words for a figure that decides, if it is better and if it is worse."""


class Since(msgspec.Struct, frozen=True):
    """The newest mark of a report, and the comparison of the time since with the weeks before."""

    mark: Mark
    comparison: Comparison


def parse_mark(text: str, now_ns: int) -> Mark:
    """Parse ``upgrade 0.42=2026-11-20T10:00``: a name and a time.

    Raises:
        UsageError: the text is not a mark.
    """
    name, equals, when = text.rpartition("=")
    if not equals or not brief(name):
        raise UsageError(f"invalid --mark '{text}': expected NAME=TIME", hint="--mark 'upgrade 0.42=2026-11-20T10:00'")
    return Mark(parse_past(when, now_ns, where="--mark"), brief(name))


def marks_of(reader: Reader, given: Iterable[Mark], last_ns: int) -> tuple[Mark, ...]:
    """Return the newest marks of a range up to its last sample, oldest first; ``given`` are marks of the user.

    A line from the future, which a client may have written, is later than that sample.
    """
    since_ns, until_ns = reader.bounds
    narrow = reader.within(reader.since_ns, min(until_ns, last_ns + 1))
    stored = {Mark(row.time_unix_nano, row.text) for row in query.marks(narrow, limit=MOST)}
    found = stored | {mark for mark in given if since_ns <= mark.time_ns < until_ns}
    return tuple(sorted(found, key=lambda mark: (mark.time_ns, mark.text))[-MOST:])


def newest_of(marks: Sequence[Mark]) -> Mark | None:
    """Return the newest mark that is not only another start of the same version; None: there are no marks."""
    newest, latest = None, dict[str, str]()
    for mark in marks:
        name = _VERSION.sub("", mark.text)
        if name == mark.text or latest.get(name) != mark.text:
            newest = mark
        latest[name] = mark.text
    return newest


def since_of(reader: Reader, marks: Sequence[Mark], last_ns: int, tz: tzinfo | None) -> Since | None:
    """Compare the time since the newest mark with the weeks before it; None: there are no marks.

    Args:
        reader: The store, the range and the source.
        marks: The marks of the range, oldest first.
        last_ns: The time of the last sample.
        tz: The time zone of days and hours; None: the local one.
    """
    newest = newest_of(marks)
    if newest is None:
        return None
    first_ns = query.extent(reader).first_ns
    earlier = before(newest.time_ns, newest.time_ns if first_ns is None else first_ns)
    until_ns = last_ns + 1 if reader.until_ns is None else reader.until_ns
    return Since(
        newest, compare_periods(reader, earlier, Period(newest.time_ns, max(until_ns, newest.time_ns + 1)), tz)
    )


def since_sentence(since: Since, tz: tzinfo | None) -> str:
    """Return what changed since the mark: ``Since upgrade 0.42 (20 Nov 10:00): stalls rarer, ×0.3 (0.1 to 0.6)``.

    The date has a year if it is not that of the last sample.
    """
    at = moment(since.mark.time_ns, tz)
    until = moment(since.comparison.after.until_ns, tz)
    year = "" if at.year == until.year else f"{SPACE}{at.year}"
    return f"Since {since.mark.text} ({date(at)}{year}{SPACE}{at:%H:%M}): {_finding(since.comparison)}."


def _finding(comparison: Comparison) -> str:
    deciding = [figure for figure in comparison.figures if figure.decides]
    changed = [_changed(figure) for figure in deciding if figure.word in (Word.BETTER, Word.WORSE)]
    unjudged = [figure.name for figure in deciding if figure.word is Word.UNJUDGED]
    if len(unjudged) == len(deciding):
        return "too little data to compare"
    missing = f"; too little data for {', '.join(unjudged)}" if unjudged else ""
    return f"{'; '.join(changed) or 'no clear change'}{missing}"


def _changed(figure: Figure) -> str:
    words = _CHANGED.get(figure.name, (f"{figure.name} better", f"{figure.name} worse"))
    return f"{words[figure.word is Word.WORSE]}, {change_text(figure)}"
