"""Add up stalls one by one: the longest ones, the time of each cause, and the hours of the week. Pure."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone, tzinfo

import msgspec

from otel_logtail.model import Severity
from otel_logtail.observer import Explanation
from otel_logtail.query import EpisodeRow, EpisodeSpan, SlowSample

LONGEST = 10
SLOWEST = 8
"""The number of slow samples of a stall that are listed with their stages."""
DRAWN = 40
"""The largest number of slow samples of a stall that are drawn."""

_QUARTER_NS = 900 * 10**9
_LEAST, _SHARE = 3, 0.4  # a hint names an hour with so many stalls, and this share of all
_STALL = Severity.STALL.label
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_Hours = Mapping[tuple[date, int], int]


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One cause: its slow samples by severity, and its stalls, which are episodes.

    ``time_in_stalls_ms`` is the time of these stalls within the range. ``title``, ``meaning`` and ``advice`` are those
    of the observer; empty: it has none. ``hint`` names the hour in which many of its stalls began; it may be empty.
    """

    name: str
    degraded: int
    stall: int
    stalls: int = 0
    time_in_stalls_ms: float = 0.0
    title: str = ""
    meaning: str = ""
    advice: str = ""
    hint: str = ""


class LongStall(msgspec.Struct, frozen=True):
    """An episode, and its slowest samples, the slowest first; they may have expired."""

    episode: EpisodeRow
    slowest: tuple[SlowSample, ...] = ()


class _Sum:
    """The stalls of one cause."""

    def __init__(self) -> None:
        self.number = 0
        self.time_ns = 0
        self.quarters: Counter[int] = Counter()  # of an hour since the epoch: every offset is a multiple of one

    def hours(self, tz: tzinfo | None) -> Counter[tuple[date, int]]:
        """Return the number of stalls by local date and hour."""
        found: Counter[tuple[date, int]] = Counter()
        for quarter, number in self.quarters.items():
            began = datetime.fromtimestamp(quarter * 900, timezone.utc).astimezone(tz)
            found[began.date(), began.hour] += number
        return found


class Stalls:
    """Counts episodes one by one; of most of them only sums are kept in memory.

    Args:
        bounds: The range in ns: the time in stalls is that within it.
        tz: The time zone of hours; None: the local one.
    """

    def __init__(self, bounds: tuple[int, int], tz: tzinfo | None) -> None:
        self._bounds = bounds
        self._tz = tz
        self._sums: dict[str, _Sum] = {}
        self._longest: list[tuple[bool, int, bytes]] = []

    def add(self, episode: EpisodeSpan) -> None:
        """Count an episode."""
        start_ns, end_ns = episode.start_ns, episode.end_ns
        entry = (episode.is_stall, end_ns - start_ns, episode.span_id)
        if len(self._longest) < LONGEST:
            heapq.heappush(self._longest, entry)
        elif entry > self._longest[0]:
            heapq.heapreplace(self._longest, entry)
        if not episode.is_stall:
            return
        found = self._sums.setdefault(episode.cause, _Sum())
        found.number += 1
        found.time_ns += min(end_ns, self._bounds[1]) - max(start_ns, self._bounds[0])
        found.quarters[start_ns // _QUARTER_NS] += 1

    @property
    def longest(self) -> list[bytes]:
        """The ids of the longest stalls, the longest first; if there is no stall, of the longest episodes."""
        ordered = sorted(self._longest, reverse=True)
        return [entry[2] for entry in ordered if entry[0] == ordered[0][0]]

    def causes(
        self, breaches: Mapping[tuple[str, str], int], explained: Mapping[str, Explanation]
    ) -> tuple[Cause, ...]:
        """Return the causes, the one with the most time in stalls first.

        Args:
            breaches: The numbers of slow samples by severity and cause.
            explained: The meaning of causes, by name.
        """
        found = []
        for name in {cause for _, cause in breaches} | self._sums.keys():
            sums, text = self._sums.get(name) or _Sum(), explained.get(name) or Explanation("", "", "")
            found.append(
                Cause(
                    name=name,
                    degraded=breaches.get(("degraded", name), 0),
                    stall=breaches.get((_STALL, name), 0),
                    stalls=sums.number,
                    time_in_stalls_ms=sums.time_ns / 1e6,
                    title=text.title,
                    meaning=text.meaning,
                    advice=text.advice,
                    hint=hint_of(sums.hours(self._tz)),
                )
            )
        return tuple(sorted(found, key=lambda c: (-c.time_in_stalls_ms, -c.degraded - c.stall, c.name)))


def hint_of(hours: _Hours) -> str:
    """Return a sentence if many events began in the same hour of the week, of the day, or of one date; else nothing.

    ``hours`` has the number of events by date and hour.
    """
    total = sum(hours.values())
    if total < _LEAST:
        return ""
    of_week = _busiest(hours, lambda day, hour: f"on a {_DAYS[day.weekday()]} {_between(hour)}")
    of_day = _busiest(hours, lambda _, hour: _between(hour))
    (day, hour), number = max(hours.items(), key=lambda item: item[1])
    of_date = (number, f"on {day.day} {_MONTHS[day.month - 1]} {_between(hour)}")
    for number, text in (*of_week, *of_day, of_date):
        if number >= max(_LEAST, _SHARE * total):
            return f"{number:,} of {total:,} were {text}."
    return ""


def _busiest(hours: _Hours, name: Callable[[date, int], str]) -> list[tuple[int, str]]:
    """Return the hour with the most events out of those that occurred on several dates, if there is one."""
    numbers: Counter[str] = Counter()
    dates: dict[str, set[date]] = {}
    for (day, hour), number in hours.items():
        numbers[name(day, hour)] += number
        dates.setdefault(name(day, hour), set()).add(day)
    return [(number, text) for text, number in numbers.most_common() if len(dates[text]) > 1][:1]


def _between(hour: int) -> str:
    return f"between {hour:02}:00 and {(hour + 1) % 24:02}:00"
