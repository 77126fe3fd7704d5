"""The finding of a section: a heading that states it, by a rule from the data. Pure.

A heading is the bare noun if the data has no finding.
"""

from __future__ import annotations

from collections import Counter
from datetime import tzinfo

from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.figures import Word
from otel_logtail.report.stalls import Cause
from otel_logtail.report.words import count, date, day, measured, moment, share
from otel_logtail.text import parse_when, printable

_IN_P99 = 100  # samples from which p99 is more than the maximum
_LEAST, _SHARE = 3, 0.4  # a heading names a day with so many of the longest stalls, and this share of them


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
