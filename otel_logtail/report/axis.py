"""The axis of time: buckets of a round width, and places for labels, in a zone's own time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import count, takewhile

from otel_logtail.report.words import SPACE, date, day, moment, month

SECOND_NS = 10**9
DAY_S = 86_400
MOST, LEAST = 224, 24
"""The number of buckets, at most and at least."""

_EACH = 120  # samples in a typical bucket
_WIDTHS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 3 * 3600, 4 * 3600, 6 * 3600, 12 * 3600),
    *(DAY_S, 2 * DAY_S, *(7 * DAY_S * 2**power for power in range(12))),
)
_MONTHS = (1, 3, 6, 12, 24, 60, 120)


def edges(first_ns: int, last_ns: int, samples: int, least_ns: int, tz: tzinfo | None) -> tuple[int, list[int]]:
    """Return the width of the buckets in s, and their edges in ns, from before the first to after the last sample.

    Args:
        first_ns: The time of the first sample.
        last_ns: The time of the last sample.
        samples: The number of samples: a typical bucket has 120.
        least_ns: No bucket is narrower.
        tz: The zone whose midnight starts a day; None: the local one.
    """
    most = min(MOST, max(LEAST, samples // _EACH))
    fitting = [width for width in _WIDTHS_S if width * SECOND_NS >= least_ns] or [_WIDTHS_S[-1]]
    for at, width_s in enumerate(fitting):
        found = _edges(first_ns, last_ns, width_s, tz)
        if found is not None and len(found) - 1 <= most:
            finer = _edges(first_ns, last_ns, fitting[at - 1], tz) if at and len(found) <= LEAST else None
            return (fitting[at - 1], finer) if finer is not None else (width_s, found)
    return fitting[-1], _edges(first_ns, last_ns, fitting[-1], tz) or [first_ns, last_ns + 1]


def coarser(all_edges: list[int], width_s: int, most: int, tz: tzinfo | None) -> list[int]:
    """Return fewer edges over the same time: at most so many parts, each of whole buckets."""
    for wider_s in _WIDTHS_S:
        if wider_s >= width_s and wider_s % width_s == 0:
            found = _edges(all_edges[0], all_edges[-1] - 1, wider_s, tz)
            if found is not None and len(found) - 1 <= most:
                return found
    return all_edges


def _edges(first_ns: int, last_ns: int, width_s: int, tz: tzinfo | None) -> list[int] | None:
    """Return the edges of such buckets; None: there are too many."""
    if (last_ns - first_ns) // (width_s * SECOND_NS) > MOST:
        return None
    midnight = _midnight(moment(first_ns, tz))
    if width_s < DAY_S:
        width_ns = width_s * SECOND_NS
        start_ns = to_ns(midnight, tz)
        start_ns += (first_ns - start_ns) // width_ns * width_ns
        return [start_ns + at * width_ns for at in range((last_ns - start_ns) // width_ns + 2)]
    days = width_s // DAY_S
    if days % 7 == 0:
        midnight -= timedelta(days=midnight.weekday())
    found = [to_ns(midnight, tz)]
    while found[-1] <= last_ns:
        midnight += timedelta(days=days)
        found.append(to_ns(midnight, tz))
    return found


def labels(start_ns: int, end_ns: int, tz: tzinfo | None, most: int = 8) -> list[tuple[int, str]]:
    """Return at most so many places on the axis with their labels: ``18:16:48``, ``09:00``, ``Mon 2 Nov``, ``Jul``."""
    for step_s in _WIDTHS_S[: _WIDTHS_S.index(14 * DAY_S) + 1]:
        if (end_ns - start_ns) / SECOND_NS / step_s <= most:
            found = _edges(start_ns, end_ns, step_s, tz) or []
            return [(at, _label(moment(at, tz), step_s)) for at in found if start_ns <= at < end_ns]
    for months in _MONTHS:
        found = list(takewhile(lambda at: at < end_ns, _months(start_ns, months, tz)))
        if len(found) <= most:
            break
    inside = [at for at in found if at >= start_ns]
    return [(at, _month(moment(at, tz), is_first=place == 0)) for place, at in enumerate(inside)]


def _months(start_ns: int, step: int, tz: tzinfo | None) -> Iterator[int]:
    first = moment(start_ns, tz)
    begin = (first.year * 12 + first.month - 1) // step * step
    return (to_ns(datetime(at // 12, at % 12 + 1, 1), tz) for at in count(begin, step) if at // 12 < 9999)


def _label(at: datetime, step_s: int) -> str:
    if step_s >= DAY_S:
        return day(at)
    if step_s >= 60 and at.hour == at.minute == 0:
        return day(at)
    return f"{at:%H:%M:%S}" if step_s < 60 else f"{at:%H:%M}"


def _month(at: datetime, *, is_first: bool) -> str:
    return f"{month(at)}{SPACE}{at.year}" if is_first or at.month == 1 else month(at)


def weekends(start_ns: int, end_ns: int, tz: tzinfo | None) -> list[tuple[int, int]]:
    """Return the weekends of a range."""
    saturday = _midnight(moment(start_ns, tz))
    saturday -= timedelta(days=(saturday.weekday() - 5) % 7)
    found = []
    while (from_ns := to_ns(saturday, tz)) < end_ns:
        until_ns = to_ns(saturday + timedelta(days=2), tz)
        if until_ns > start_ns:
            found.append((max(from_ns, start_ns), min(until_ns, end_ns)))
        saturday += timedelta(days=7)
    return found


def span(start_ns: int, end_ns: int, tz: tzinfo | None) -> str:
    """Return a range of time in words, as short as it can be: its end is not part of it."""
    start, end, last = (moment(at, tz) for at in (start_ns, end_ns, end_ns - 1))
    starts, ends = (at.replace(tzinfo=None) == _midnight(at) for at in (start, end))
    if starts and ends:
        return day(start) if start.date() == last.date() else f"{date(start)} to {date(last)}"
    form = "%H:%M:%S" if end_ns - start_ns < 60 * SECOND_NS or start.second or end.second else "%H:%M"
    until = f"24{end.strftime(form)[2:]}" if ends else end.strftime(form)
    if start.date() == last.date():
        return f"{day(start)}{SPACE}{start.strftime(form)} to {until}"
    return f"{day(start)}{SPACE}{start.strftime(form)} to {day(last)}{SPACE}{until}"


def to_ns(naive: datetime, tz: tzinfo | None) -> int:
    """Return a time of a zone's clock, in whole seconds, as nanoseconds since the epoch."""
    at = naive.astimezone() if tz is None else naive.replace(tzinfo=tz)
    return round(at.astimezone(timezone.utc).timestamp()) * SECOND_NS


def _midnight(at: datetime) -> datetime:
    """Return the start of a day on the zone's clock."""
    return datetime(at.year, at.month, at.day)
