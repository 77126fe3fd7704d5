"""A report for a terminal: plain text with bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from textwrap import wrap

from otel_logtail.report.bars import histogram, length, severity_of
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.rows import (
    CHANGE_SIDES,
    EPISODE_SIDES,
    PART_SIDES,
    change_rows,
    episode_rows,
    headline,
    part_rows,
    periods_of,
    range_of,
)
from otel_logtail.text import printable, short

_BLOCK = "█"
_LONGEST = 50
_MAX_SLOTS = 31


def lines(report: Report, *, width: int | None = None, tz: tzinfo | None = None) -> Iterator[str]:
    """Yield the lines of a report.

    Args:
        report: The report.
        width: The width of the terminal; None: the output is not a terminal.
        tz: The time zone of times; None: the local one.
    """
    yield f"{printable(report.title)}: {range_of(report, tz)}"
    if report.verdicts:
        yield ""
        verdicts = [["met" if v.is_met else "MISSED", printable(v.slo), v.actual] for v in report.verdicts]
        yield from _table([["", "target", "actual"], *verdicts], "lll")
    if not report.summary.count:
        return
    longest = max(10, min(_LONGEST, (width or 100) - 45))
    yield ""
    yield from _table(headline(report), "ll")
    yield from _histogram(report, longest)
    if report.summary.episodes:
        yield from _calendar(report, longest)
        yield from _causes(report, longest)
        yield ""
        yield "worst episodes"
        yield from _table(episode_rows(report, tz), EPISODE_SIDES)
    for title, parts in (("sources", report.sources), ("paths", report.paths)):
        if parts:
            yield ""
            yield from _table(part_rows(title, parts), PART_SIDES)


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
        yield from _table(change_rows(comparison), CHANGE_SIDES)
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
            f"{slot.stalls} stalls",
            f"{slot.degraded} degraded",
            _BLOCK * -(-longest * (slot.stalls + slot.degraded) // most),
        ]
        for slot in slots
    ]
    yield from _table(rows, "lrrl")


def _causes(report: Report, longest: int) -> Iterator[str]:
    yield ""
    yield "causes of slow samples"
    most = max((cause.degraded + cause.stall for cause in report.causes), default=1)
    rows = [
        [
            cause.name,
            f"{cause.degraded + cause.stall:,}",
            f"{cause.stall:,} stall",
            _BLOCK * -(-longest * (cause.degraded + cause.stall) // most),
        ]
        for cause in report.causes
    ]
    yield from _table(rows, "lrrl")


def _table(rows: Sequence[Sequence[str]], sides: str) -> Iterator[str]:
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(sides))] if rows else []
    for row in rows:
        cells = [
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ]
        yield ("  " + "  ".join(cells)).rstrip()
