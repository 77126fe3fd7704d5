"""A report for a terminal: plain text with bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from math import ceil

from otel_logtail.report.answer import MARKS
from otel_logtail.report.bars import histogram, length, severity_of
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.findings import stalls_heading, why_heading
from otel_logtail.report.rows import (
    CHANGE_SIDES,
    MARK_SIDES,
    PART_SIDES,
    SOURCE_SIDES,
    STALL_SIDES,
    answer_of,
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
from otel_logtail.report.since import since_sentence
from otel_logtail.report.words import NONE, SPACE, count, measured
from otel_logtail.table import GAP, lay_out, left_out, row_lines, widths_of, wrap
from otel_logtail.text import printable, short

_BLOCK = "█"
_LONGEST = 50
_SHORTEST = 10
_WIDTH = 100  # of text that is not for a terminal
_MAX_SLOTS = 31
_INDENT = "  "
_CAUSE_SIDES = "wlrrr"
_BAR = "bar"
_CAUSES = ("cause", _BAR, "time in stalls", "stalls", "slow samples")


def lines(
    report: Report, comparison: Comparison | None = None, *, width: int | None = None, tz: tzinfo | None = None
) -> Iterator[str]:
    """Yield the lines of a report; times are in a zone (None: the local one).

    ``comparison`` is that of its period with another one; ``width`` is that of the terminal (None: it is not one).
    """
    found = answer_of(report)
    sentence = list(_wrapped(f"{MARKS[found.outcome]} {printable(found.sentence)}", width or _WIDTH))
    yield from sentence
    if report.since is not None:
        yield from _wrapped(printable(since_sentence(report.since, tz).replace(SPACE, " ")), width or _WIDTH)
    yield from _wrapped(f"{printable(report.title)}: {range_of(report, tz)}", width or _WIDTH)
    yield ""
    yield from _targets(report, width)
    if report.sources:
        yield ""
        yield from _table(source_rows(report), SOURCE_SIDES, width)
    if comparison is not None:
        yield ""
        yield from comparison_lines(comparison, width=width or _WIDTH, tz=tz)
    if report.summary.count:
        yield from _figures(report, width, tz)
        yield ""
        yield from sentence


def _figures(report: Report, width: int | None, tz: tzinfo | None) -> Iterator[str]:
    yield ""
    yield from _table(headline(report), "lw", width)
    yield from _histogram(report, width)
    if report.summary.episodes:
        yield from _calendar(report, width)
        yield from _causes(report, width or _WIDTH)
        yield ""
        shown = shortened(report)
        yield from _wrapped(stalls_heading(shown, tz), width or _WIDTH)
        yield from _table(stall_rows(shown, tz), STALL_SIDES, width)
    if report.paths:
        yield ""
        yield from _table(part_rows("paths", report.paths), PART_SIDES, width)
    if report.marks:
        yield ""
        yield from _table(mark_rows(report, tz), MARK_SIDES, width)


def _targets(report: Report, width: int | None) -> Iterator[str]:
    """Yield a line for each target, with what limits its verdict behind it, or below it if there is no room."""
    rows = target_rows(report)
    indent = " " * (2 + max(len(row[0]) for row in rows) + 2)
    for line, row in zip(list(_table([row[:3] for row in rows], "lll")), rows, strict=True):
        why = printable(row[3])
        if not why:
            yield line
        elif len(line) + 2 + len(why) <= (width or _WIDTH):
            yield f"{line}  {why}"
        else:
            yield line
            yield from (indent + part for part in _wrapped(f"({why})", (width or _WIDTH) - len(indent)))


def comparison_lines(comparison: Comparison, *, width: int = _WIDTH, tz: tzinfo | None = None) -> Iterator[str]:
    """Yield the lines of a comparison: its sentence, the table, and its notes; times in a zone (None: local)."""
    yield from _wrapped(comparison.sentence, width)
    yield from _wrapped(f"({periods_of(comparison, tz)})", width)
    if comparison.figures:
        yield ""
        yield from _table(change_rows(comparison), CHANGE_SIDES, width)
    if news := comparison.news.sentence:
        yield from _wrapped(printable(news), width)
    for note in comparison.notes:
        yield from _wrapped(f"note: {printable(note)}", width)


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Yield lines of words; a number stays with its percent sign."""
    return (line.replace("\xa0", " ") for line in wrap(text.replace(" %", "\xa0%"), width))


def _histogram(report: Report, width: int | None) -> Iterator[str]:
    yield ""
    yield "latency distribution (bars are logarithmic)"
    bars = histogram(report.counts)
    most = max(bar.count for bar in bars)
    rows = [
        [f"{short(bar.from_ms)} –", short(bar.to_ms), f"{bar.count:,}", severity_of(bar, report.thresholds_ms)]
        for bar in bars
    ]
    lengths = [length(bar.count, most) for bar in bars]
    yield from _with_bars(rows, "rrrl", lengths, width, ("from", "to", "samples", "severity", _BAR))


def _calendar(report: Report, width: int | None) -> Iterator[str]:
    yield ""
    yield f"episodes by {'hour' if report.hourly else 'day'}"
    slots = report.slots[-_MAX_SLOTS:]
    most = max(1, *(slot.stalls + slot.degraded for slot in slots))
    rows = [
        [slot.label, f"{slot.stalls} stall{'' if slot.stalls == 1 else 's'}", f"{slot.degraded} degraded"]
        for slot in slots
    ]
    shares = [(slot.stalls + slot.degraded) / most for slot in slots]
    yield from _with_bars(rows, "lrr", shares, width, ("time", "stalls", "degraded", _BAR))


def _causes(report: Report, width: int) -> Iterator[str]:
    """Yield a line for each cause, and below those of stalls, or of slow samples if none is a stall, what to do."""
    yield ""
    yield from _wrapped(why_heading(report), width)
    longest = max(_SHORTEST, min(_LONGEST, width - 45)) // 2
    most = max(1, *(cause.time_in_stalls_ms for cause in report.causes)) if report.causes else 1
    rows = [
        [
            cause.name,
            _BLOCK * round(longest * cause.time_in_stalls_ms / most),
            measured(cause.time_in_stalls_ms) if cause.stalls else NONE,
            count(cause.stalls, "stall"),
            count(cause.degraded + cause.stall, "slow sample"),
        ]
        for cause in report.causes
    ]
    cells = [[printable(cell.replace(SPACE, " ")) for cell in row] for row in rows]
    widths = widths_of(cells, _CAUSE_SIDES, width - len(_INDENT)) if cells else []
    for row, cause in zip(cells, report.causes, strict=True):
        yield from (_INDENT + line for line in row_lines(row, _CAUSE_SIDES, widths))
        if cause.advice and (cause.stalls or not report.stalls):
            text = " ".join(filter(None, (cause.advice, cause.hint)))
            yield from (f"      {part}" for part in _wrapped(printable(text), width - 6))
    yield from _left_out(_CAUSES[len(widths) :] if rows else (), width)


def _with_bars(
    rows: Sequence[Sequence[str]], sides: str, shares: Sequence[float], width: int | None, titles: Sequence[str]
) -> Iterator[str]:
    """Yield the lines of a table with a bar behind each row; a share of 1 is the longest bar."""
    if not rows:
        return
    room = (width or _WIDTH) - len(_INDENT)
    widths = widths_of([[printable(cell) for cell in row] for row in rows], sides, room - _SHORTEST - GAP)
    longest = max(_SHORTEST, min(_LONGEST, room - sum(widths) - GAP * len(widths)))
    bars = ([*row, _BLOCK * ceil(longest * share)] for row, share in zip(rows, shares, strict=True))
    yield from _table(list(bars), f"{sides}l", width, titles)


def _table(
    rows: Sequence[Sequence[str]], sides: str, width: int | None = None, titles: Sequence[str] = ()
) -> Iterator[str]:
    """Yield the lines of a table, and which of its last columns do not fit the width.

    Args:
        rows: The rows; the first one has the titles of the columns, unless ``titles`` are given.
        sides: As in :func:`widths_of`.
        width: The width of a line; None: no limit.
        titles: The titles of columns that have none in the first row.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    yield from lay_out(shown, sides, width, _INDENT)
    if width is not None and rows:
        yield from _left_out((titles or rows[0])[len(widths_of(shown, sides, width - len(_INDENT))) :], width)


def _left_out(titles: Sequence[str], width: int) -> Iterator[str]:
    """Yield the sentence about columns without room; a bar repeats a number beside it."""
    if named := [title for title in titles if title != _BAR]:
        yield from (_INDENT + line for line in _wrapped(f"({left_out(named)})", width - len(_INDENT)))
