"""A report for a terminal: plain text with bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from textwrap import wrap

from otel_logtail.report.answer import MARKS
from otel_logtail.report.bars import histogram, length, severity_of
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.findings import stalls_heading, why_heading
from otel_logtail.report.rows import (
    CHANGE_SIDES,
    PART_SIDES,
    STALL_SIDES,
    answer_of,
    change_rows,
    headline,
    part_rows,
    periods_of,
    range_of,
    stall_rows,
    target_rows,
)
from otel_logtail.report.words import NONE, SPACE, count, measured
from otel_logtail.text import printable, short

_BLOCK = "█"
_LONGEST = 50
_MAX_SLOTS = 31
_LEAST_COLUMNS = 3


def lines(
    report: Report, comparison: Comparison | None = None, *, width: int | None = None, tz: tzinfo | None = None
) -> Iterator[str]:
    """Yield the lines of a report.

    Args:
        report: The report.
        comparison: A comparison of its period with another one.
        width: The width of the terminal; None: the output is not a terminal.
        tz: The time zone of times; None: the local one.
    """
    found = answer_of(report)
    sentence = list(_wrapped(f"{MARKS[found.outcome]} {printable(found.sentence)}", width or 100))
    yield from sentence
    yield from _wrapped(f"{printable(report.title)}: {range_of(report, tz)}", width or 100)
    yield ""
    yield from _targets(report, width)
    if comparison is not None:
        yield ""
        yield from comparison_lines(comparison, width=width or 100, tz=tz)
    if not report.summary.count:
        return
    longest = max(10, min(_LONGEST, (width or 100) - 45))
    yield ""
    yield from _table(headline(report), "ll")
    yield from _histogram(report, longest)
    if report.summary.episodes:
        yield from _calendar(report, longest)
        yield from _causes(report, longest // 2, width or 100)
        yield ""
        yield from _wrapped(stalls_heading(report, tz), width or 100)
        yield from _table(stall_rows(report, tz), STALL_SIDES, width)
    for title, parts in (("sources", report.sources), ("paths", report.paths)):
        if parts:
            yield ""
            yield from _table(part_rows(title, parts), PART_SIDES, width)
    yield ""
    yield from sentence


def _targets(report: Report, width: int | None) -> Iterator[str]:
    """Yield a line for each target, with what limits its verdict behind it, or below it if there is no room."""
    rows = target_rows(report)
    indent = " " * (2 + max(len(row[0]) for row in rows) + 2)
    for line, row in zip(list(_table([row[:3] for row in rows], "lll")), rows, strict=True):
        why = printable(row[3])
        if not why:
            yield line
        elif len(line) + 2 + len(why) <= (width or 100):
            yield f"{line}  {why}"
        else:
            yield line
            yield from (indent + part for part in _wrapped(f"({why})", (width or 100) - len(indent)))


def comparison_lines(comparison: Comparison, *, width: int = 100, tz: tzinfo | None = None) -> Iterator[str]:
    """Yield the lines of a comparison: its sentence, the table, and its notes.

    Args:
        comparison: The comparison.
        width: The number of characters in a line.
        tz: The time zone of times; None: the local one.
    """
    yield from _wrapped(comparison.sentence, width)
    yield from _wrapped(f"({periods_of(comparison, tz)})", width)
    if comparison.figures:
        yield ""
        yield from _table(change_rows(comparison), CHANGE_SIDES, width)
    for note in comparison.notes:
        yield from _wrapped(f"note: {printable(note)}", width)


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Yield lines of words; a number stays with its percent sign."""
    return (line.replace("\xa0", " ") for line in wrap(text.replace(" %", "\xa0%"), width))


def _histogram(report: Report, longest: int) -> Iterator[str]:
    yield ""
    yield "latency distribution (bars are logarithmic)"
    bars = histogram(report.counts, 1)
    most = max(bar.count for bar in bars)
    rows = [
        [
            f"{short(bar.from_ms)} –",
            short(bar.to_ms),
            f"{bar.count:,}",
            severity_of(bar, report.thresholds_ms),
            _BLOCK * round(longest * length(bar.count, most)),
        ]
        for bar in bars
    ]
    yield from _table(rows, "rrrll")


def _calendar(report: Report, longest: int) -> Iterator[str]:
    yield ""
    yield f"episodes by {'hour' if report.hourly else 'day'}"
    slots = report.slots[-_MAX_SLOTS:]
    most = max(1, *(slot.stalls + slot.degraded for slot in slots))
    rows = [
        [
            slot.label,
            f"{slot.stalls} stall{'' if slot.stalls == 1 else 's'}",
            f"{slot.degraded} degraded",
            _BLOCK * -(-longest * (slot.stalls + slot.degraded) // most),
        ]
        for slot in slots
    ]
    yield from _table(rows, "lrrl")


def _causes(report: Report, longest: int, width: int) -> Iterator[str]:
    """Yield a line for each cause, and below those with stalls what to do about them."""
    yield ""
    yield from _wrapped(why_heading(report), width)
    rows = [
        [
            cause.name,
            _BLOCK * round(longest * cause.time_in_stalls_ms / max(1, *(c.time_in_stalls_ms for c in report.causes))),
            measured(cause.time_in_stalls_ms) if cause.stalls else NONE,
            count(cause.stalls, "stall"),
            f"{cause.degraded:,} degraded",
        ]
        for cause in report.causes
    ]
    cells = [[cell.replace(SPACE, " ") for cell in row] for row in rows]
    for line, cause in zip(list(_table(cells, "llrrr", width)), report.causes, strict=True):
        yield line
        if cause.stalls and cause.advice:
            text = " ".join(filter(None, (cause.advice, cause.hint)))
            yield from (f"      {part}" for part in _wrapped(printable(text), width - 6))


def _table(rows: Sequence[Sequence[str]], sides: str, width: int | None = None) -> Iterator[str]:
    """Yield the lines of a table, without its last columns if they do not fit the width."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(sides))] if cells else []
    while width is not None and len(widths) > _LEAST_COLUMNS and sum(widths) + 2 * len(widths) > width:
        widths.pop()
    for row in cells:
        shown = [
            cell.rjust(size) if side == "r" else cell.ljust(size)
            for cell, size, side in zip(row, widths, sides, strict=False)
        ]
        yield ("  " + "  ".join(shown)).rstrip()
