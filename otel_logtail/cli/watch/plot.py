"""A plot of latency over time in characters: a logarithmic axis, density, and the lines of thresholds. Pure.

A character is the darker, the more samples it stands for. Slow samples have signs of their own, so a single one among
thousands is seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from otel_logtail.counts import SCALE
from otel_logtail.report.bars import length
from otel_logtail.text import short


class Glyphs(msgspec.Struct, frozen=True):
    """The characters of a screen. Those of ``density`` and ``bars`` are from none to most."""

    density: str = " ·░▒▓█"
    slow: str = "○"
    stall: str = "●"
    line: str = "╌"
    axis: str = "┤"
    corner: str = "└"
    base: str = "─"
    tick: str = "┬"
    bars: str = " ▁▂▃▄▅▆▇█"


ASCII = Glyphs(
    density=" .:+%@", slow="o", stall="X", line="-", axis="|", corner="+", base="-", tick="+", bars=" .:-=+*%@"
)
"""For a terminal without UTF-8."""


class Row(msgspec.Struct, frozen=True):
    """One line of the plot: its label on the axis, its characters, and the threshold that it holds (or empty)."""

    label: str
    cells: str
    threshold: str


class Axis(msgspec.Struct, frozen=True):
    """A logarithmic axis of durations: the base-2 logarithm (of seconds) of its low end, and that of one row."""

    low: float
    step: float
    rows: int

    def row(self, log: float) -> int:
        """Return the row of a duration, from the bottom; those beyond an end are in the last one."""
        return min(self.rows - 1, max(0, int((log - self.low) / self.step)))


_Counted = Sequence[dict[int, int]]
LABEL = 7
"""The longest label."""

_NANOSECOND = 1e-6  # in ms
_LEAST_SPAN = 10  # the highest of the axis is at least so many times the lowest


def plot(columns: _Counted, thresholds_ms: tuple[float, float] | None, rows: int, glyphs: Glyphs) -> list[Row]:
    """Return the lines of a plot, the top one first.

    Args:
        columns: The number of samples by exponential bucket, one for each column.
        thresholds_ms: The durations from which a sample is degraded and a stall.
        rows: The number of lines.
        glyphs: The characters.
    """
    axis = _axis(columns, thresholds_ms, rows)
    lines = {} if thresholds_ms is None else dict(zip(map(_log, thresholds_ms), ("degraded", "stall"), strict=True))
    at = {axis.row(log): name for log, name in lines.items()}
    grid = [_heights(column, axis) for column in columns]
    most = max((number for cells in grid for number in cells.values()), default=0)
    signs = [_signs(column, axis, lines, glyphs) for column in columns]
    labels = _labels(axis, thresholds_ms)
    found = []
    for row in range(rows - 1, -1, -1):
        empty = glyphs.line if row in at else " "
        cells = (
            sign.get(row) or (_shade(cells[row], most, glyphs) if row in cells else empty)
            for cells, sign in zip(grid, signs, strict=True)
        )
        found.append(Row(labels.get(row, ""), "".join(cells), at.get(row, "")))
    return found


def sparkline(counts: Sequence[int], glyphs: Glyphs) -> str:
    """Return one bar for each count; any sample is seen."""
    most, levels = max(counts, default=0), len(glyphs.bars) - 1
    return "".join(glyphs.bars[math.ceil(levels * count / most)] if count else " " for count in counts)


def _axis(columns: _Counted, thresholds_ms: tuple[float, float] | None, rows: int) -> Axis:
    """Return an axis from and to round durations, so that it rarely changes."""
    used = [index for column in columns for index in column]
    lowest = max(_NANOSECOND, _end_ms(min(used))) if used else 1.0
    highest = _end_ms(max(used) + 1) if used else 1000.0
    if thresholds_ms is not None:
        lowest, highest = min(lowest, thresholds_ms[0]), max(highest, 1.5 * thresholds_ms[1])
    low = max(_nice(lowest / 10, lowest))
    high = max(highest, _LEAST_SPAN * low)
    high = min(_nice(high, 10 * high))
    return Axis(_log(low), (_log(high) - _log(low)) / rows, rows)


def _end_ms(index: int) -> float:
    """Return the lower end of an exponential bucket."""
    return float(2.0 ** (index / 2**SCALE) * 1000)


def _nice(low_ms: float, high_ms: float) -> Iterator[float]:
    """Yield 1, 2 and 5 times the powers of ten in a range, in ms."""
    for power in range(math.floor(math.log10(low_ms)), math.ceil(math.log10(high_ms)) + 1):
        for digit in (1, 2, 5):
            if low_ms <= (value := float(f"{digit}e{power}")) <= high_ms:
                yield value


def _log(ms: float) -> float:
    return math.log2(ms / 1000)


def _heights(column: dict[int, int], axis: Axis) -> dict[int, int]:
    cells: dict[int, int] = {}
    for index, number in column.items():
        row = axis.row((index + 0.5) / 2**SCALE)
        cells[row] = cells.get(row, 0) + number
    return cells


def _signs(column: dict[int, int], axis: Axis, lines: dict[float, str], glyphs: Glyphs) -> dict[int, str]:
    """Return the rows of a column that hold slow samples, each with the sign of the slowest one."""
    if not lines:
        return {}
    slow, stall = min(lines), max(lines)
    found: dict[int, str] = {}
    for index in sorted(column):
        middle = (index + 0.5) / 2**SCALE
        if middle >= slow:
            found[axis.row(middle)] = glyphs.stall if middle >= stall else glyphs.slow
    return found


def _shade(number: int, most: int, glyphs: Glyphs) -> str:
    return glyphs.density[max(1, round((len(glyphs.density) - 1) * length(number, most)))]


def _labels(axis: Axis, thresholds_ms: tuple[float, float] | None) -> dict[int, str]:
    """Return the labels of rows: the thresholds, then powers of ten, then 5 and 2, with a free row between them."""
    ends = (2.0 ** (axis.low + axis.step * row) * 1000 for row in (0, axis.rows))
    ticks = sorted(_nice(*ends), key=lambda value: "152".index(f"{value:e}"[0]))
    found: dict[int, str] = {}
    for value in thresholds_ms or ():
        found[axis.row(_log(value))] = short(value)
    for value in ticks:
        row = axis.row(_log(value) + 1e-9)
        if not found.keys() & {row - 1, row, row + 1}:
            found[row] = short(value)
    return {row: label for row, label in found.items() if len(label) <= LABEL}
