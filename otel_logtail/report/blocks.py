"""Hours of two periods as blocks that can be compared: the same hours of the week on both sides, then days. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timezone, tzinfo
from itertools import zip_longest

import msgspec

from otel_logtail.counts import add_to
from otel_logtail.query import Hour

HOUR_S = 3600
DAY_S = 86_400
LEAST_DAYS = 5
"""The number of days from which a period shows how much its days vary."""

_GAP_S = DAY_S
_ZERO = -4000
"""The bucket of samples of 0 ns: far below that of 1 ns."""

Slot = tuple[bool, int]
"""An hour of the calendar: is it on a weekend, and the local hour."""


class Bucket(msgspec.Struct):
    """The weighted sums of one block, a day or an hour. ``days`` is its covered time, ``time_s`` that in episodes."""

    days: float = 0.0
    histogram: Counter[int] = msgspec.field(default_factory=Counter)
    count: float = 0.0
    sum_s: float = 0.0
    slow: float = 0.0
    stalls: float = 0.0
    episodes: float = 0.0
    time_s: float = 0.0
    causes: Counter[str] = msgspec.field(default_factory=Counter)


class Covered(msgspec.Struct, frozen=True):
    """One hour of a period: its place in the calendar, its covered time in days, and its sums (None: it was idle)."""

    day: date
    slot: Slot
    days: float
    hour: Hour | None


def cover(hours: Iterable[Hour], tz: tzinfo | None) -> list[Covered]:
    """Return all hours of a period, idle ones included, from its first to its last sample.

    More than a day without a sample is a gap, in which the log was not followed. The first and the last hour are
    covered in part.
    """
    sampled = [hour for hour in hours if hour.count]
    found: list[Covered] = []
    for hour, following in zip_longest(sampled, sampled[1:]):
        start_s = hour.start_ns // 10**9
        first_s = hour.first_ns / 1e9 if hour is sampled[0] else start_s
        last_s = max(hour.last_ns / 1e9, first_s + 1) if following is None else start_s + HOUR_S
        found.append(_covered(start_s, (last_s - first_s) / DAY_S, hour, tz))
        if following is not None and following.start_ns // 10**9 - start_s <= _GAP_S:
            idle = range(start_s + HOUR_S, following.start_ns // 10**9, HOUR_S)
            found += [_covered(at_s, HOUR_S / DAY_S, None, tz) for at_s in idle]
    return found


def _covered(start_s: int, days: float, hour: Hour | None, tz: tzinfo | None) -> Covered:
    local = datetime.fromtimestamp(start_s, timezone.utc).astimezone(tz)
    return Covered(local.date(), (local.weekday() >= 5, local.hour), days, hour)


def match(
    before: Sequence[Covered], after: Sequence[Covered]
) -> tuple[list[Covered], list[Covered], dict[Slot, float]]:
    """Give both periods the same hours of the week.

    Returns:
        The hours that both have, and the weight of each slot in the first period, so that it has the second one's mix.
    """
    times = [_times(side) for side in (before, after)]
    shared = times[0].keys() & times[1].keys()
    if not shared:
        return [], [], {}
    kept = tuple([hour for hour in side if hour.slot in shared] for side in (before, after))
    weights = {slot: times[1][slot] / times[0][slot] for slot in shared}
    total = sum(hour.days for hour in kept[0])
    mean = sum(weights[hour.slot] * hour.days for hour in kept[0]) / total
    return kept[0], kept[1], {slot: weight / mean for slot, weight in weights.items()}


def _times(side: Sequence[Covered]) -> dict[Slot, float]:
    times: dict[Slot, float] = {}
    for hour in side:
        times[hour.slot] = times.get(hour.slot, 0.0) + hour.days
    return times


def blocks_of(side: Sequence[Covered], weights: dict[Slot, float], *, by_day: bool) -> list[Bucket]:
    """Add up the hours of a period by local day, or leave each on its own."""
    found: dict[object, Bucket] = {}
    for place, hour in enumerate(side):
        bucket = found.setdefault(hour.day if by_day else place, Bucket())
        _add(bucket, hour, weights.get(hour.slot, 1.0))
    return list(found.values())


def _add(bucket: Bucket, covered: Covered, weight: float) -> None:
    bucket.days += weight * covered.days
    hour = covered.hour
    if hour is None:
        return
    is_plain = weight == 1.0
    histogram = hour.histogram if is_plain else {index: weight * number for index, number in hour.histogram.items()}
    add_to(bucket.histogram, histogram)
    if hour.zeros:
        bucket.histogram[_ZERO] += weight * hour.zeros  # type: ignore[assignment]
    bucket.count += weight * hour.count
    bucket.sum_s += weight * hour.sum_ns / 1e9
    bucket.slow += weight * hour.slow
    bucket.stalls += weight * hour.stalls
    bucket.episodes += weight * hour.episodes
    bucket.time_s += weight * hour.episode_ns / 1e9
    for cause, number in hour.causes.items():
        bucket.causes[cause] += weight * number  # type: ignore[assignment]
