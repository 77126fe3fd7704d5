"""The finding of a section: a heading that states it, by a rule from the data. Pure.

A heading is the bare noun if the data has no finding. A pattern in the time needs a number of stalls that chance alone
does not explain easily, and a part of the time that is small.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo

from otel_logtail.model import Mark
from otel_logtail.report.axis import span
from otel_logtail.report.calendar import Slot
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.figures import Word
from otel_logtail.report.slo import Slo
from otel_logtail.report.stalls import Cause
from otel_logtail.report.timeline import Timeline
from otel_logtail.report.words import count, date, day, measured, moment, share
from otel_logtail.text import parse_when, printable

_IN_P99 = 100  # samples from which p99 is more than the maximum
_LEAST, _SHARE = 3, 0.4  # a heading names a day with so many of the longest stalls, and this share of them
_LEAST_STALLS = 5  # from which a pattern in the time is not by chance alone
_DEVIATIONS = 3  # standard deviations of the number of stalls in a part of the time
_LONGEST_NAME = 24  # characters of the name of a mark
_MOST_HOURS = 6
_DAYS = (("on weekdays", range(5)), ("at weekends", range(5, 7)), ("", range(7)))


def why_heading(report: Report) -> str:
    """Return the cause that took most of the time in stalls; without a stall, the one of most slow samples."""
    with_stalls = [cause for cause in report.causes if cause.stalls]
    if with_stalls:
        first, total_ms = with_stalls[0], sum(cause.time_in_stalls_ms for cause in with_stalls)
        if len(with_stalls) == 1:
            return f"Why: {name_of(first)} caused {'the stall' if first.stalls == 1 else 'all stalls'}"
        if total_ms:
            return f"Why: {name_of(first)} took {share(first.time_in_stalls_ms / total_ms)} of the time in stalls"
    slow = sum(cause.degraded + cause.stall for cause in report.causes)
    if slow and not with_stalls:
        first = report.causes[0]
        return f"Why: {name_of(first)} caused {share((first.degraded + first.stall) / slow)} of the slow samples"
    return "Why"


def name_of(cause: Cause) -> str:
    """Return the title of a cause, or its name if its observer does not explain it."""
    return printable(cause.title or f"the cause {cause.name}")


def stalls_heading(report: Report, tz: tzinfo | None) -> str:
    """Return the day of most of the longest stalls, or the duration of the longest one."""
    found = [stall.episode for stall in report.longest]
    if not found:
        return "Longest stalls"
    is_stall = found[0].severity == "stall"
    noun = "stall" if is_stall else "degraded episode"
    days = Counter(day(moment(parse_when(episode.start, 0), tz)) for episode in found)
    (first, number), total = days.most_common(1)[0], len(found)
    is_all = total == (report.stalls if is_stall else report.summary.episodes)
    title = f"{count(total, noun)}" if is_all else f"The {total} longest {noun}s"
    if len(days) > 1 and number >= max(_LEAST, _SHARE * total):
        return f"{title}: {number} began on {first}"
    return f"{title}: {'it' if total == 1 else 'the longest'} took {measured(found[0].duration_ms)}"


def stages_heading(report: Report) -> str:
    """Return the stage that takes the largest part of the time of all samples."""
    mean_ms, number = report.summary.mean_ms, report.summary.count
    if len(report.stages) < 2 or not mean_ms:
        return "Stages"
    first = report.stages[0]
    part = first.count * first.mean_ms / (number * mean_ms)
    return f"Stages: {printable(first.name)} takes {share(part)} of the time" if 0 < part <= 1 else "Stages"


def paths_heading(report: Report) -> str:
    """Return the path with the highest p99."""
    known = [part for part in report.paths if part.count >= _IN_P99]
    if len(known) < 2:
        return "Paths"
    slowest = max(known, key=lambda part: part.p99_ms)
    return f"Paths: {printable(slowest.name)} has the highest p99, {measured(slowest.p99_ms)}"


def sources_heading(report: Report) -> str:
    """Return the source with at least half of all stalls."""
    first = max(report.sources, key=lambda source: source.stalls)
    if report.stalls >= _LEAST and 2 * first.stalls >= report.stalls:
        part = "all" if first.stalls == report.stalls else f"{first.stalls:,} of"
        return f"Sources: {printable(first.title)} has {part} {report.stalls:,} stalls"
    return "Sources"


def comparison_heading(comparison: Comparison, tz: tzinfo | None) -> str:
    """Return which figures of the later period are worse or better, and the days of the earlier one."""
    first, last = (moment(at_ns, tz) for at_ns in (comparison.before.since_ns, comparison.before.until_ns - 1))
    days = date(first) if first.date() == last.date() else f"{date(first)} to {date(last)}"
    parts = []
    for word in (Word.WORSE, Word.BETTER):
        if names := [figure.name for figure in comparison.figures if figure.decides and figure.word is word]:
            listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
            parts.append(f"{listed} {'is' if len(names) == 1 and names[0] not in _PLURAL else 'are'} {word.value}")
    nothing = "too little data" if comparison.word is Word.UNJUDGED else "no difference shown"
    return f"Against {days}: {', '.join(parts) or nothing}"


_PLURAL = ("stalls", "slow samples")


def stalls_in_time(line: Timeline, tz: tzinfo | None) -> str:
    """Return where most stalls are: the shortest time with two thirds of them, if it is a fifth of all or less."""
    stalls = [bucket.stalls for bucket in line.buckets]
    total = sum(stalls)
    if not total:
        return "no stall"
    needed = -(-2 * total // 3)
    if total < _LEAST_STALLS or (found := _shortest(stalls, needed)) is None:
        return ""
    start, end = found
    if 5 * (end - start) > len(stalls):
        return ""
    within = sum(stalls[start:end])
    times = span(line.buckets[start].start_ns, line.buckets[end - 1].end_ns, tz)
    number = f"all {total:,}" if within == total else f"{within:,} of {total:,}"
    return f"{number} stalls {'from' if ' to ' in times else 'on'} {times}"


def stalls_around_mark(line: Timeline, marks: Sequence[Mark]) -> str:
    """Return whether most stalls came before or after the newest mark: two thirds, and more than the time explains."""
    stalls = sum(bucket.stalls for bucket in line.buckets)
    if (
        stalls < _LEAST_STALLS
        or not marks
        or not line.buckets[0].start_ns < marks[-1].time_ns < line.buckets[-1].end_ns
    ):
        return ""
    mark, start_ns, end_ns = marks[-1], line.buckets[0].start_ns, line.buckets[-1].end_ns
    before = sum(bucket.stalls for bucket in line.buckets if bucket.end_ns <= mark.time_ns)
    after = sum(bucket.stalls for bucket in line.buckets if bucket.start_ns >= mark.time_ns)
    if before + after < stalls:  # on which side is not certain for those of the bucket that holds the mark
        return ""
    part = (mark.time_ns - start_ns) / (end_ns - start_ns)
    by_chance = _DEVIATIONS * math.sqrt(stalls * part * (1 - part))
    for number, expected, side in ((before, part, "before"), (after, 1 - part, "after")):
        if number >= max(2 * stalls / 3, expected * stalls + by_chance):
            text = mark.text if len(mark.text) <= _LONGEST_NAME else f"{mark.text[: _LONGEST_NAME - 1]}…"
            return f"{f'all {stalls:,}' if number == stalls else f'{number:,} of {stalls:,}'} stalls came {side} {text}"
    return ""


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
    if total < _LEAST_STALLS:
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
