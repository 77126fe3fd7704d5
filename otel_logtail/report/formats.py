"""A report as JSON and as Markdown: the same figures as on the terminal and on the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

import msgspec

from otel_logtail.report.answer import MARKS
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.figures import Figure
from otel_logtail.report.findings import stalls_heading, why_heading
from otel_logtail.report.periods import Period
from otel_logtail.report.ratios import factor
from otel_logtail.report.rows import (
    CAUSE_SIDES,
    CHANGE_SIDES,
    PART_SIDES,
    SOURCE_SIDES,
    STALL_SIDES,
    answer_of,
    cause_rows,
    change_rows,
    headline,
    mark_rows,
    part_rows,
    periods_of,
    range_of,
    shortened,
    source_rows,
    stall_rows,
    target_rows,
)
from otel_logtail.report.since import Since, since_sentence
from otel_logtail.report.stalls import SLOWEST
from otel_logtail.report.words import SPACE
from otel_logtail.text import iso, printable

_PARTS = ("paths", "stages")
_SPECIAL = str.maketrans({char: "\\" + char for char in "\\`*_{}[]<>#|~&"})


def as_object(report: Report, comparison: Comparison | None = None, *, tz: tzinfo | None = None) -> dict[str, Any]:
    """Return a report as an object for JSON: durations in milliseconds, times in ISO 8601, shares from 0 to 1.

    The time zone is that of times within sentences; None: the local one.
    """
    found = answer_of(report)
    shares = report.shares or (None, None)
    return {
        "title": report.title,
        "verdict": found.outcome.value,
        "sentence": found.sentence,
        "targets_are_default": report.are_default,
        "targets": _targets(report),
        "summary": report.summary,
        "stalls": report.stalls,
        "deciding": report.deciding,
        "share_in_episodes": shares[0],
        "share_in_stalls": shares[1],
        "thresholds_ms": report.thresholds_ms,
        "causes": report.causes,
        "longest_stalls": [
            msgspec.structs.asdict(stall.episode) | {"slowest": stall.slowest[:SLOWEST]} for stall in report.longest
        ],
        "by": "hour" if report.hourly else "day",
        "slots": report.slots,
        "timeline": report.timeline,
        "week": report.week,
        "sources": [_source(source) for source in report.sources],
        **{name: getattr(report, name) for name in _PARTS},
        "marks": [{"time": iso(mark.time_ns), "text": mark.text} for mark in report.marks],
        "since_mark": None if report.since is None else _since(report.since, tz),
        "comparison": None if comparison is None else _comparison(comparison),
    }


def _targets(report: Report) -> list[dict[str, Any]]:
    """Return the verdicts; with several sources, the worst one on each target and its source."""
    return [
        {"target": v.slo, "verdict": v.outcome.value, "actual": v.actual, "why": v.why, "source": v.source or None}
        for v in report.verdicts
    ]


def _source(report: Report) -> dict[str, Any]:
    """Return the report of one of several sources; ``--source`` has all of it."""
    found = answer_of(report)
    return {
        "name": report.title,
        "verdict": found.outcome.value,
        "sentence": found.sentence,
        "targets": _targets(report),
        "summary": report.summary,
        "stalls": report.stalls,
        "stalls_a_day": report.stalls_a_day,
        "causes": report.causes,
    }


def as_json(report: Report, comparison: Comparison | None = None, *, tz: tzinfo | None = None) -> bytes:
    """Return a report as one line of JSON."""
    return msgspec.json.encode(as_object(report, comparison, tz=tz))


def _since(since: Since, tz: tzinfo | None) -> dict[str, Any]:
    return {
        "time": iso(since.mark.time_ns),
        "text": since.mark.text,
        "sentence": since_sentence(since, tz),
        "comparison": _comparison(since.comparison),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "verdict": comparison.word.value,
        "sentence": comparison.sentence,
        "before": _period(comparison.before, comparison.samples[0]),
        "after": _period(comparison.after, comparison.samples[1]),
        "figures": [_figure(figure) for figure in comparison.figures],
        "causes": [_figure(figure) for figure in comparison.causes],
        "new_causes": comparison.news.causes,
        "new_stages": comparison.news.stages,
        "not_seen_before": [{"name": name, "samples": number} for name, number in comparison.news.unseen],
        "notes": comparison.notes,
    }


def _period(period: Period, samples: int) -> dict[str, Any]:
    return {"since": iso(period.since_ns), "until": iso(period.until_ns), "samples": samples}


def _figure(figure: Figure) -> dict[str, Any]:
    """Return a figure with its change as a factor; null stands for a bound that is not known, or infinite."""
    ratio = figure.ratio
    bounds = (None, None, None) if ratio is None else tuple(map(_finite, (ratio.change, ratio.low, ratio.high)))
    return {
        "figure": figure.name,
        "unit": figure.unit,
        "before": figure.before,
        "after": figure.after,
        "factor": bounds[0],
        "low": bounds[1],
        "high": bounds[2],
        "verdict": figure.word.value,
        "decides": figure.decides,
    }


def _finite(change: float) -> float | None:
    value = factor(change)
    return value if math.isfinite(value) else None


# --- Markdown -----------------------------------------------------------------------------------------------------


def markdown(report: Report, comparison: Comparison | None = None, *, tz: tzinfo | None = None) -> Iterator[str]:
    """Yield the lines of a report in Markdown, for a pull request or an issue.

    ``comparison`` is that of its period with another one. Times are in a zone (None: the local one).
    """
    found = answer_of(report)
    yield f"### {MARKS[found.outcome]} {_text(found.sentence)}"
    yield ""
    yield f"**{_text(report.title)}**: {_text(range_of(report, tz))}"
    if report.since is not None:
        yield ""
        yield _text(since_sentence(report.since, tz))
    yield from _table(target_rows(report), "llll")
    if report.sources:
        yield from _table(source_rows(report), SOURCE_SIDES)
    if report.summary.count:
        yield from _table([["figure", "value"], *headline(report)], "ll")
    if comparison is not None:
        yield from _changes(comparison, tz)
    if report.causes:
        yield ""
        yield f"#### {_text(why_heading(report))}"
        yield from _table(cause_rows(report), CAUSE_SIDES)
    if report.longest:
        yield ""
        shown = shortened(report)
        yield f"#### {_text(stalls_heading(shown, tz))}"
        yield from _table(stall_rows(shown, tz), STALL_SIDES)
    if report.marks:
        yield ""
        yield "#### Marks"
        yield from _table(mark_rows(report, tz), "ll")
    for name in _PARTS:
        if parts := getattr(report, name):
            yield from _table(part_rows(name, parts), PART_SIDES)


def _changes(comparison: Comparison, tz: tzinfo | None) -> Iterator[str]:
    yield ""
    yield f"#### {_text(comparison.sentence)}"
    yield ""
    yield _text(periods_of(comparison, tz))
    if comparison.figures:
        yield from _table(change_rows(comparison), CHANGE_SIDES)
    if news := comparison.news.sentence:
        yield f"\n{_text(news)}"
    yield from (f"\nNote: {_text(note)}" for note in comparison.notes)


def _table(rows: Sequence[Sequence[str]], sides: str) -> Iterator[str]:
    heading, *body = rows
    yield ""
    yield _row(heading)
    yield "|" + "|".join("--:" if side == "r" else "---" for side in sides) + "|"
    yield from map(_row, body)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_text, cells)) + " |"


def _text(text: str) -> str:
    """Return text that no character can turn into a link, an image, HTML or another cell."""
    return printable(text.replace(SPACE, " ")).translate(_SPECIAL)
