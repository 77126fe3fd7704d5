"""Count episodes by hour and day of the local calendar."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta, timezone, tzinfo

import msgspec

from otel_logtail.query import EpisodeSpan
from otel_logtail.report.judge import Periods
from otel_logtail.report.slo import IN_EPISODES, IN_STALLS

_QUARTER_NS = 900 * 10**9
_HOURLY_UP_TO_S = 3 * 86_400
_MAX_DAYS = 400


class Slot(msgspec.Struct, frozen=True):
    """One hour or day of the local calendar, and the number of episodes that started in it."""

    label: str
    stalls: int = 0
    degraded: int = 0


class Began(msgspec.Struct, frozen=True):
    """The start of an episode, and its longest sample."""

    time_ns: int
    is_stall: bool
    peak_ms: float


class Calendar:
    """Counts episodes one by one; of most of them only start, peak and length are kept in memory."""

    def __init__(self, tz: tzinfo | None) -> None:
        self._tz = tz
        self._quarters: dict[int, tuple[int, date]] = {}
        self._days: dict[date, Counter[str]] = defaultdict(Counter)
        # by their start in s: a local hour occurs twice when clocks go back
        self._hours: dict[int, Counter[str]] = defaultdict(Counter)
        self.stalls = 0
        self.began: list[Began] = []
        self.lengths_s: dict[str, list[float]] = {IN_STALLS: [], IN_EPISODES: []}

    def add(self, episode: EpisodeSpan) -> None:
        """Count an episode."""
        at_s, day = self._hour_and_day(episode.start_ns // _QUARTER_NS)
        is_stall = episode.is_stall
        severity = "stall" if is_stall else "degraded"
        self._hours[at_s][severity] += 1
        self._days[day][severity] += 1
        self.stalls += is_stall
        self.began.append(Began(episode.start_ns, is_stall, episode.peak_ns / 1e6))
        length_s = (episode.end_ns - episode.start_ns) / 1e9
        self.lengths_s[IN_EPISODES].append(length_s)
        if is_stall:
            self.lengths_s[IN_STALLS].append(length_s)

    def _hour_and_day(self, quarter: int) -> tuple[int, date]:
        """Return the start of the local hour (s) and the date of a quarter of an hour since the epoch.

        Every offset is a multiple of a quarter, and many episodes are in one quarter.
        """
        found = self._quarters.get(quarter)
        if found is None:
            hour = self._hour(quarter * 900)
            found = self._quarters[quarter] = (int(hour.timestamp()), hour.date())
        return found

    def slots(self, first_s: int, last_s: int) -> tuple[bool, tuple[Slot, ...]]:
        """Return the hours (True) or, for a long range, the days (False) of a range, also those without an episode."""
        if not last_s:
            return True, ()
        start_s, end_s = min([first_s, *self._hours]), max([last_s, *self._hours])
        if end_s - start_s <= _HOURLY_UP_TO_S:
            start_s = int(self._hour(start_s).timestamp())
            return True, tuple(self._slot_of_hour(at) for at in range(start_s, end_s + 1, 3600))
        return False, self.days(first_s, last_s)

    def days(self, first_s: int, last_s: int) -> tuple[Slot, ...]:
        """Return the days of a range, also those without an episode; at most the latest 400."""
        if not last_s:
            return ()
        start = self._hour(min([first_s, *self._hours])).date()
        end = self._hour(max([last_s, *self._hours])).date()
        dates = (end - timedelta(days=ago) for ago in range(min((end - start).days, _MAX_DAYS - 1), -1, -1))
        return tuple(_slot(f"{at}", self._days.get(at)) for at in dates)

    def week(self) -> tuple[tuple[int, ...], ...]:
        """Return the number of stalls that began in each hour of each day of the week, from Monday on."""
        found = [[0] * 24 for _ in range(7)]
        for at_s, counted in self._hours.items():
            hour = self._hour(at_s)
            found[hour.weekday()][hour.hour] += counted["stall"]
        return tuple(map(tuple, found))

    def peaks(self) -> dict[str, tuple[int, str]]:
        """Return the highest number of ``stalls`` per ``/day`` and ``/hour``, and when it was."""
        days = [_slot(f"{at}", counted) for at, counted in self._days.items()]
        hours = [self._slot_of_hour(at) for at in self._hours]
        worst = {per: max(slots, key=lambda s: s.stalls) for per, slots in (("day", days), ("hour", hours)) if slots}
        return {f"stalls/{per}": (slot.stalls, slot.label) for per, slot in worst.items()}

    def periods(self, first_s: int, last_s: int, sampled: Iterable[int]) -> dict[str, Periods]:
        """Return the days and hours with their numbers of ``stalls`` and ``episodes``, whole and cut ones.

        Args:
            first_s: The start of the time that the log covers, in seconds since the epoch.
            last_s: Its end.
            sampled: The starts of the hours that have samples. A day without any is not covered.
        """
        dates = {self._hour(at_s).date() for at_s in sampled}
        slots: dict[str, dict[bool, list[Slot]]] = {per: {True: [], False: []} for per in ("day", "hour")}
        for at in sorted(dates | self._days.keys()):
            start, end = (self._midnight(at + timedelta(days=ahead)) for ahead in (0, 1))
            is_whole = at in dates and first_s <= start and end <= last_s
            slots["day"][is_whole].append(_slot(f"{at}", self._days.get(at)))
        start_s = int(self._hour(first_s).timestamp())
        for at_s in sorted({*range(start_s, last_s, 3600), *self._hours}):
            is_whole = first_s <= at_s and at_s + 3600 <= last_s and self._hour(at_s).date() in dates
            slots["hour"][is_whole].append(self._slot_of_hour(at_s))
        stalls = {f"stalls/{per}": _periods(slots[per], lambda slot: slot.stalls) for per in slots}
        return stalls | {f"episodes/{per}": _periods(slots[per], lambda s: s.stalls + s.degraded) for per in slots}

    def _midnight(self, at: date) -> float:
        midnight = datetime(at.year, at.month, at.day)
        return (midnight.astimezone() if self._tz is None else midnight.replace(tzinfo=self._tz)).timestamp()

    def _slot_of_hour(self, at_s: int) -> Slot:
        return _slot(f"{self._hour(at_s):%Y-%m-%d %H:00}", self._hours.get(at_s))

    def _hour(self, time_s: int) -> datetime:
        moment = datetime.fromtimestamp(time_s, timezone.utc).astimezone(self._tz)
        return moment.replace(minute=0, second=0, microsecond=0)


def _slot(label: str, counted: Counter[str] | None) -> Slot:
    return Slot(label, counted["stall"], counted["degraded"]) if counted else Slot(label)


def _periods(slots: Mapping[bool, Iterable[Slot]], number: Callable[[Slot], int]) -> Periods:
    return Periods(*(tuple((number(slot), slot.label) for slot in slots[is_whole]) for is_whole in (True, False)))
