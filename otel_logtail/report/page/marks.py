"""Marks on the axis of time, and the section with their table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from otel_logtail.model import Mark
from otel_logtail.report.page.html import Table
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.page.scales import LABEL, Time
from otel_logtail.report.page.svg import Svg
from otel_logtail.report.rows import mark_rows

_LONGEST = 24  # characters of a name above a plot
_LAST = 80.0  # a name right of this place is left of its line
_ROWS = 2


class Name(msgspec.Struct, frozen=True):
    """A mark of a plot: its place in per cent, the row of its name (None: no room for it), and on which side it is."""

    mark: Mark
    x: float
    row: int | None
    is_left: bool


def place(marks: Sequence[Mark], time: Time, wide: float = 1.0) -> list[Name]:
    """Return the marks of a plot. Names that would overlap are in two rows; the newest ones get their places first.

    Args:
        marks: The marks, the oldest first.
        time: The axis.
        wide: The width of a character of a name, in per cent of the plot.
    """
    found: list[Name] = []
    taken: list[tuple[int, float, float]] = []
    for mark in reversed([mark for mark in marks if time.start_ns <= mark.time_ns <= time.end_ns]):
        x = time.x(mark.time_ns)
        width = wide * (min(len(mark.text), _LONGEST) + 2)
        is_left = x > _LAST or (x > 50 and x + width > 100)
        start, end = (x - width, x) if is_left else (x, x + width)
        free = [
            row
            for row in range(_ROWS)
            if not any(row == other and start < right and left < end for other, left, right in taken)
        ]
        found.append(Name(mark, x, free[0] if free else None, is_left))
        if free:
            taken.append((free[0], start, end))
    return found[::-1]


def height(names: Sequence[Name]) -> float:
    """Return the height of the rows of names."""
    return LABEL * max((name.row + 1 for name in names if name.row is not None), default=0)


def draw(plot: Svg, names: Sequence[Name], top: float, base: float) -> None:
    """Draw a line for each mark, and its name above the plot. A phone has only the lines: the table has all names."""
    for name in names:
        plot.line((name.x, top), (name.x, base), "mark")
        if name.row is not None:
            text, y = name.mark.text, top - 6 - LABEL * name.row
            text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
            plot.text(name.x, y, text, "end wide" if name.is_left else "wide", dx=3 if name.is_left else -3)


def mark_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    if not model.report.marks:
        return
    heading, *rows = mark_rows(model.report, model.tz)
    number = len(model.report.marks)
    yield Section(
        heading="Marks",
        sub=f"The newest {len(rows)} of {number}." if number > len(rows) else "",
        content=Table(caption="Marks", columns=heading, rows=rows, sides="ll").markup(),
        anchor="marks",
    )
