"""A report as one HTML page: one file, without scripts and without requests; its own policy forbids both.

The page is also well-formed XML, so that programs can read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from html import escape
from importlib.resources import files

from otel_logtail.report.answer import MARKS
from otel_logtail.report.bars import histogram
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.judge import Outcome
from otel_logtail.report.plots import calendar_plot, causes_plot, histogram_plot
from otel_logtail.report.rows import (
    CHANGE_SIDES,
    EPISODE_SIDES,
    PART_SIDES,
    answer_of,
    change_rows,
    episode_rows,
    headline,
    part_rows,
    periods_of,
    range_of,
    target_rows,
)
from otel_logtail.text import local, printable

_OPENING = '<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" lang="en">'

BEGINS = _OPENING.encode()
"""The first bytes of each page; an existing file without them is not replaced."""

_KINDS = {Outcome.MET: "met", Outcome.MISSED: "missed", Outcome.UNJUDGED: "unjudged"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: Report, comparison: Comparison | None = None, *, made_ns: int, tz: tzinfo | None = None) -> str:
    """Return the page of a report.

    Args:
        report: The report.
        comparison: A comparison of its period with another one.
        made_ns: The time at which it was made.
        tz: The time zone of times; None: the local one.
    """
    title = _text(report.title)
    body = "\n".join(
        [
            _answer(report),
            f"<h1>{title}</h1>",
            f'<p class="soft">{_text(range_of(report, tz))}</p>',
            *_slos(report),
            *(_comparison(comparison, tz) if comparison is not None else ()),
            *(_figures(report, tz) if report.summary.count else ()),
            f'<p class="soft foot">otel-logtail, {_text(local(made_ns, tz))}. Percentiles are within 1 %.</p>',
        ]
    )
    style = files("otel_logtail.report").joinpath("page.css").read_text()
    return f"""{_OPENING}
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}"/>
<title>{title}: latency</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _answer(report: Report) -> str:
    found = answer_of(report)
    return f'<p class="answer {_KINDS[found.outcome]}">{MARKS[found.outcome]} {_text(found.sentence)}</p>'


def _slos(report: Report) -> Iterator[str]:
    heading, *rows = target_rows(report)
    kinds = {f"{MARKS[outcome]} {outcome.value}": kind for outcome, kind in _KINDS.items()}
    cells = [[_word(row[0], kinds[row[0]]), *map(_text, row[1:])] for row in rows]
    yield f"<h2>{'Default targets' if report.are_default else 'Targets'}</h2>"
    yield _table([[*map(_text, heading)], *cells], "llll")


def _comparison(comparison: Comparison, tz: tzinfo | None) -> Iterator[str]:
    yield f"<h2>{_text(comparison.sentence)}</h2>"
    yield f'<p class="soft">{_text(periods_of(comparison, tz))}</p>'
    if comparison.figures:
        heading, *rows = change_rows(comparison)
        cells = [[*map(_text, row[:-1]), _word(row[-1], row[-1].partition(" ")[0])] for row in rows]
        yield _table([[*map(_text, heading)], *cells], CHANGE_SIDES)
    yield from (f'<p class="soft">Note: {_text(note)}</p>' for note in comparison.notes)


def _figures(report: Report, tz: tzinfo | None) -> Iterator[str]:
    cards = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in headline(report))
    yield f"<dl>{cards}</dl>"
    yield "<h2>Latency distribution</h2>"
    yield _wide(histogram_plot(histogram(report.counts, 4), report.thresholds_ms))
    if report.summary.episodes:
        unit = "hour" if report.hourly else "day"
        yield f"<h2>Episodes by {unit}</h2>"
        yield _wide(calendar_plot([(slot.label, slot.stalls, slot.degraded) for slot in report.slots], unit))
    if report.causes:
        yield "<h2>Causes of slow samples</h2>"
        yield _wide(causes_plot([(printable(cause.name), cause.degraded, cause.stall) for cause in report.causes]))
    if report.worst:
        yield "<h2>Worst episodes</h2>"
        rows = [[_text(cell) for cell in row] for row in episode_rows(report, tz)]
        for row, episode in zip(rows[1:], report.worst, strict=True):
            row[4] = _word(episode.severity, episode.severity)
        yield _table(rows, EPISODE_SIDES)
    for title, parts in (("source", report.sources), ("path", report.paths), ("stage", report.stages)):
        if parts:
            yield f"<h2>By {title}</h2>"
            yield _table([[_text(cell) for cell in row] for row in part_rows(title, parts)], PART_SIDES)


def _table(rows: Sequence[Sequence[str]], sides: str) -> str:
    """Return a table of escaped cells; the first row is the heading, ``r`` aligns a column to the right."""
    heading, *body = rows
    lines = "\n".join(_row(row, sides, "td") for row in body)
    return _wide(f"<table><thead>{_row(heading, sides, 'th')}</thead><tbody>\n{lines}\n</tbody></table>")


def _row(cells: Sequence[str], sides: str, tag: str) -> str:
    kinds = (' class="num"' if side == "r" else "" for side in sides)
    return "<tr>" + "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)) + "</tr>"


def _wide(content: str) -> str:
    """Return content that scrolls sideways on a narrow screen."""
    return f'<div class="wide">{content}</div>'


def _word(text: str, kind: str) -> str:
    return f'<span class="word {escape(kind)}">{_text(text)}</span>'


def _text(text: str) -> str:
    return escape(printable(text))
