"""The tables of a report as rows of cells, the heading first; text and page lay them out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo

import msgspec

from otel_logtail.report.answer import MARKS, Answer, answer, answer_of_several
from otel_logtail.report.compare import Comparison, change_text
from otel_logtail.report.data import Part, Report
from otel_logtail.report.figures import Figure
from otel_logtail.report.judge import Outcome, Verdict
from otel_logtail.report.periods import Period
from otel_logtail.report.words import NONE, SPACE, digits, measured
from otel_logtail.text import duration, local, parse_when

STALL_SIDES = "lrrrlll"
CAUSE_SIDES = "lrrrl"
SOURCE_SIDES = "llrrrrr"
PART_SIDES = "lrrrrr"
CHANGE_SIDES = "lrrlw"
MARK_SIDES = "lw"
"""The alignment of each column: left or right."""

_MARKS = 10  # so many marks are listed

Rows = list[list[str]]

_SHOWN = 5


def headline(report: Report) -> Rows:
    """Return the most important figures, each with its name."""
    summary = report.summary
    slow = summary.degraded + summary.stall
    times_ms = (summary.time_in_episodes_ms, summary.time_in_stalls_ms)
    times = [_time(ms, share) for ms, share in zip(times_ms, report.shares or (None, None), strict=True)]
    found = [
        ["p50, p90, p99", ", ".join(duration(ms) for ms in (summary.p50_ms, summary.p90_ms, summary.p99_ms))],
        ["mean, max", f"{duration(summary.mean_ms)}, {duration(summary.max_ms)}"],
        ["slow samples", f"{slow:,} ({100 * slow / summary.count:.3g} %), {_stalls(summary.stall)}"],
        ["episodes", f"{summary.episodes:,} ({report.stalls:,} with a stall)"],
        ["time in episodes", times[0]],
        ["time in stalls", times[1]],
    ]
    for per in ("day", "hour"):
        number, when = report.peaks.get(f"stalls/{per}", (0, ""))
        if number:
            found.append([f"worst {per}", f"{_stalls(number)}, {when}"])
    return found


def _stalls(number: int) -> str:
    return f"{number:,} stall{'' if number == 1 else 's'}"


def _time(ms: float, share: float | None) -> str:
    if not ms:
        return "0 s"
    return duration(ms) if share is None else f"{duration(ms)} ({100 * share:.3g} %)"


def target_rows(report: Report) -> Rows:
    """Return the verdicts on targets, the missed ones first."""
    order = list(Outcome)
    ordered = sorted(report.verdicts, key=lambda v: -order.index(v.outcome) if v.outcome is Outcome.MISSED else 0)
    title = "default target" if report.are_default else "target"
    return [
        ["", title, "actual", ""],
        *([f"{MARKS[v.outcome]} {v.outcome.value}", v.slo, _actual(v), v.why] for v in ordered),
    ]


def _actual(verdict: Verdict) -> str:
    return f"{verdict.actual} ({verdict.source})" if verdict.source else verdict.actual


def source_rows(report: Report) -> Rows:
    """Return the table of several sources, the worst one first."""
    return [
        ["", "source", "samples", "stalls", "a day", "p99", "max"],
        *(
            [
                f"{MARKS[outcome]} {outcome.value}",
                source.title,
                f"{source.summary.count:,}",
                f"{source.stalls:,}",
                NONE if source.stalls_a_day is None else digits(source.stalls_a_day),
                measured(source.summary.p99_ms).replace(SPACE, " "),
                measured(source.summary.max_ms).replace(SPACE, " "),
            ]
            for source, outcome in ((source, answer_of(source).outcome) for source in by_verdict(report))
        ),
    ]


def by_verdict(report: Report) -> list[Report]:
    """Return the reports of several sources, the worst verdict first."""
    order = (Outcome.MISSED, Outcome.UNJUDGED, Outcome.MET)
    return sorted(report.sources, key=lambda source: order.index(answer_of(source).outcome))


def answer_of(report: Report) -> Answer:
    """Return the answer of a report."""
    if report.sources:
        return answer_of_several([(source.title, source.verdicts) for source in report.sources], report.verdicts)
    return answer(
        report.verdicts, count=report.summary.count, newest_ns=report.newest_ns, are_default=report.are_default
    )


def range_of(report: Report, tz: tzinfo | None) -> str:
    """Return the number of samples, and the times of the first and the last of them."""
    summary = report.summary
    if not summary.from_ or not summary.to:
        return "no samples in this range"
    noun = "sample" if summary.count == 1 else "samples"
    return f"{summary.count:,} {noun}, {_when(summary.from_, tz)} to {_when(summary.to, tz)}"


def cause_rows(report: Report) -> Rows:
    """Return the table of causes, the one with the most time in stalls first."""
    return [
        ["cause", "time in stalls", "stalls", "slow samples", ""],
        *(
            [
                cause.name,
                measured(cause.time_in_stalls_ms).replace(SPACE, " ") if cause.stalls else NONE,
                f"{cause.stalls:,}",
                f"{cause.degraded + cause.stall:,}",
                " ".join(filter(None, (cause.advice, cause.hint))),
            ]
            for cause in report.causes
        ),
    ]


def shortened(report: Report) -> Report:
    """Return a report with fewer of the longest stalls, for forms that are read from top to bottom."""
    return msgspec.structs.replace(report, longest=report.longest[:_SHOWN])


def stall_rows(report: Report, tz: tzinfo | None) -> Rows:
    """Return the table of the longest stalls, the least important columns last."""
    return [
        ["start", "duration", "slowest", "samples", "cause", "stage", "source"],
        *(
            [
                _when(episode.start, tz)[: len("2026-11-01 00:00:00")],
                duration(episode.duration_ms),
                duration(episode.peak_ms),
                f"{episode.count:,}",
                episode.cause,
                episode.dominant_stage,
                episode.source,
            ]
            for episode in (stall.episode for stall in report.longest)
        ),
    ]


def part_rows(title: str, parts: Iterable[Part]) -> Rows:
    """Return the table of some parts; the first column has the title."""
    return [
        [title, "samples", "p50", "p90", "p99", "max"],
        *(
            [
                part.name,
                f"{part.count:,}",
                *(duration(ms) for ms in (part.p50_ms, part.p90_ms, part.p99_ms, part.max_ms)),
            ]
            for part in parts
        ),
    ]


def mark_rows(report: Report, tz: tzinfo | None) -> Rows:
    """Return the table of the newest marks, oldest first."""
    rows = [[local(mark.time_ns, tz)[: len("2026-11-01 00:00:00")], mark.text] for mark in report.marks[-_MARKS:]]
    return [["time", "mark"], *rows]


def change_rows(comparison: Comparison) -> Rows:
    """Return the table of a comparison, the figures that decide its sentence first."""
    ordered = sorted(comparison.figures, key=lambda figure: not figure.decides)
    return [
        ["", "before", "after", "", "change (99 % interval)"],
        *(_change_row(figure, figure.name) for figure in ordered),
        *(_change_row(figure, f"cause {figure.name}") for figure in comparison.causes),
    ]


def _change_row(figure: Figure, name: str) -> list[str]:
    values = [_value(figure.before, figure.unit), _value(figure.after, figure.unit)]
    return [name, *values, figure.word.value, change_text(figure)]


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return duration(value) if unit == "ms" else f"{value:.3g}{unit if unit.startswith('/') else ' ' + unit}"


def periods_of(comparison: Comparison, tz: tzinfo | None) -> str:
    """Return the ranges of both periods, and the number of samples in each."""
    ranges = (_range(period, tz) for period in (comparison.before, comparison.after))
    parts = zip(("before", "after"), ranges, comparison.samples, strict=True)
    return "; ".join(f"{side}: {text}, {number:,} samples" for side, text, number in parts)


def _range(period: Period, tz: tzinfo | None) -> str:
    times = [local(time_ns, tz) for time_ns in (period.since_ns, period.until_ns)]
    minutes = [text[: len("2026-11-01 00:00")] for text in times]
    if minutes[0] == minutes[1]:
        minutes = [text[: len("2026-11-01 00:00:00")] for text in times]
    return " to ".join(minutes)


def _when(text: str, tz: tzinfo | None) -> str:
    return local(parse_when(text, 0), tz)
