"""Count episodes by hour and day of the local calendar, and keep the worst ones."""

from __future__ import annotations

import heapq
from collections import Counter
from datetime import date, datetime, timedelta, timezone, tzinfo

import msgspec

from otel_logtail.query import EpisodeRow
from otel_logtail.text import parse_when

WORST = 10
_HOURLY_UP_TO_S = 3 * 86_400
_MAX_DAYS = 400


class Slot(msgspec.Struct, frozen=True):
    """One hour or day of the local calendar, and the number of episodes that started in it."""

    label: str
    stalls: int = 0
    degraded: int = 0


class Calendar:
    """Counts episodes one by one; only the worst ones are kept in memory."""

    def __init__(self, tz: tzinfo | None) -> None:
        self._tz = tz
        self._days: dict[date, Counter[str]] = {}
        self._hours: dict[int, Counter[str]] = {}  # by their start in s: a local hour occurs twice when clocks go back
        self._worst: list[tuple[float, float, str, EpisodeRow]] = []
        self.stalls = 0

    def add(self, episode: EpisodeRow) -> None:
        """Count an episode."""
        hour = self._hour(parse_when(episode.start, 0) // 10**9)
        self._hours.setdefault(int(hour.timestamp()), Counter())[episode.severity] += 1
        self._days.setdefault(hour.date(), Counter())[episode.severity] += 1
        self.stalls += episode.severity == "stall"
        heapq.heappush(self._worst, (episode.peak_ms, episode.duration_ms, episode.span_id, episode))
        if len(self._worst) > WORST:
            heapq.heappop(self._worst)

    @property
    def worst(self) -> tuple[EpisodeRow, ...]:
        """The episodes with the highest peaks, the worst one first."""
        return tuple(entry[3] for entry in sorted(self._worst, key=lambda entry: entry[:3], reverse=True))

    def slots(self, first_s: int, last_s: int) -> tuple[bool, tuple[Slot, ...]]:
        """Return the hours (True) or, for a long range, the days (False) of a range, also those without an episode."""
        if not last_s:
            return True, ()
        start_s, end_s = min([first_s, *self._hours]), max([last_s, *self._hours])
        if end_s - start_s <= _HOURLY_UP_TO_S:
            start_s = int(self._hour(start_s).timestamp())
            return True, tuple(self._slot_of_hour(at) for at in range(start_s, end_s + 1, 3600))
        start, end = self._hour(start_s).date(), self._hour(end_s).date()
        dates = (end - timedelta(days=ago) for ago in range(min((end - start).days, _MAX_DAYS - 1), -1, -1))
        return False, tuple(_slot(f"{at}", self._days.get(at)) for at in dates)

    def peaks(self) -> dict[str, tuple[int, str]]:
        """Return the highest number of ``stalls`` and ``episodes`` per ``/day`` and ``/hour``, and when it was."""
        days = [_slot(f"{at}", counted) for at, counted in self._days.items()]
        hours = [self._slot_of_hour(at) for at in self._hours]
        found = {}
        for per, slots in (("day", days), ("hour", hours)):
            if slots:
                worst, fullest = max(slots, key=lambda s: s.stalls), max(slots, key=lambda s: s.stalls + s.degraded)
                found[f"stalls/{per}"] = (worst.stalls, worst.label)
                found[f"episodes/{per}"] = (fullest.stalls + fullest.degraded, fullest.label)
        return found

    def _slot_of_hour(self, at_s: int) -> Slot:
        return _slot(f"{self._hour(at_s):%Y-%m-%d %H:00}", self._hours.get(at_s))

    def _hour(self, time_s: int) -> datetime:
        moment = datetime.fromtimestamp(time_s, timezone.utc).astimezone(self._tz)
        return moment.replace(minute=0, second=0, microsecond=0)


def _slot(label: str, counted: Counter[str] | None) -> Slot:
    return Slot(label, counted["stall"], counted["degraded"]) if counted else Slot(label)
