"""Findings for headings: a pattern in the data, or nothing. Pure.

Each rule needs a number of stalls that chance alone does not explain easily, and a part of the time that is small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import tzinfo

from otel_logtail.report.axis import span
from otel_logtail.report.calendar import Slot
from otel_logtail.report.slo import Slo
from otel_logtail.report.timeline import Timeline

_LEAST = 5  # stalls
_MOST_HOURS = 6
_DAYS = (("on weekdays", range(5)), ("at weekends", range(5, 7)), ("", range(7)))


def stalls_in_time(line: Timeline, tz: tzinfo | None) -> str:
    """Return where most stalls are: the shortest time with two thirds of them, if it is a fifth of all or less."""
    stalls = [bucket.stalls for bucket in line.buckets]
    total = sum(stalls)
    if not total:
        return "no stall"
    needed = -(-2 * total // 3)
    if total < _LEAST or (found := _shortest(stalls, needed)) is None:
        return ""
    start, end = found
    if 5 * (end - start) > len(stalls):
        return ""
    within = sum(stalls[start:end])
    times = span(line.buckets[start].start_ns, line.buckets[end - 1].end_ns, tz)
    number = f"all {total:,}" if within == total else f"{within:,} of {total:,}"
    return f"{number} stalls {'from' if ' to ' in times else 'on'} {times}"


def _shortest(numbers: Sequence[int], needed: int) -> tuple[int, int] | None:
    """Return the shortest part of some numbers whose sum is large enough."""
    best: tuple[int, int] | None = None
    start = total = 0
    for end, number in enumerate(numbers, 1):
        total += number
        while total - numbers[start] >= needed:
            total -= numbers[start]
            start += 1
        if total >= needed and (best is None or end - start < best[1] - best[0]):
            best = (start, end)
    return best


def days_over(days: Sequence[Slot], target: Slo | None) -> str:
    """Return the number of days that missed a target; without a target, or without such a day, of days with stalls."""
    missed = sum(target is not None and not target.is_met(slot.stalls) for slot in days)
    if missed:
        return f"{missed:,} of {len(days):,} days missed the target"
    return f"stalls on {sum(slot.stalls > 0 for slot in days):,} of {len(days):,} days"


def stalls_in_week(week: Sequence[Sequence[int]]) -> str:
    """Return the hours of the day in which most stalls began, and whether that is so on weekdays or at weekends."""
    total = sum(map(sum, week))
    if total < _LEAST:
        return ""
    best = (0.0, "")
    for days, chosen in _DAYS:
        for length in range(1, _MOST_HOURS + 1):
            for start in range(24):
                hours = [(start + at) % 24 for at in range(length)]
                number = sum(week[day][hour] for day in chosen for hour in hours)
                expected = len(chosen) * length / 168
                if number * 2 >= total and number >= 2 * expected * total:
                    surprise = _surprise(number, total, expected)
                    end = (start + length) % 24 or 24
                    words = f"{number:,} of {total:,} {days} from {start:02d}:00 to {end:02d}:00".replace("  ", " ")
                    best = max(best, (surprise, words))
    return best[1]


def _surprise(number: int, total: int, expected: float) -> float:
    """Return the logarithm of how much better a share explains a number than chance (G-test)."""
    share = number / total
    rest = (1 - share) * math.log((1 - share) / (1 - expected)) if share < 1 else 0.0
    return total * (share * math.log(share / expected) + rest)
