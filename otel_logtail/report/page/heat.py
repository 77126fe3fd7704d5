"""The heat map of the plot over time: samples by time and duration. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from otel_logtail.report.page.scales import KINDS, LABEL, Time, severity, spread
from otel_logtail.report.page.svg import Point, Svg, boxes
from otel_logtail.report.timeline import Timeline
from otel_logtail.report.words import exact

ROW = 11.0
"""The height of a row, in pixels."""

LEVELS = 5
"""The number of shades."""


def heat_map(plot: Svg, time: Time, line: Timeline, top: float, thresholds_ms: tuple[float, float] | None) -> None:
    """Draw samples by time and duration; each level of each color is one path, and cells in a row are merged."""
    rows = len(line.rows_ms) - 1
    base = top + ROW * rows
    most = max(max(cells) for cells in line.cells)
    plot.rect((0, top), 100, base - top, "wash")
    found: dict[str, list[tuple[Point, Point]]] = {}
    for row in range(rows):
        level = severity(line.rows_ms[row], thresholds_ms)
        y = base - ROW * (row + 1)
        shades = [_shade(cells[row], most, level) for cells in line.cells]
        for shade, run in groupby(range(len(shades)), key=shades.__getitem__):
            places = list(run)
            if shade:
                start, end = line.buckets[places[0]].start_ns, line.buckets[places[-1]].end_ns
                kind = f"fill {KINDS[level]}{'' if shade == LEVELS else f' o{shade}'}"
                found.setdefault(kind, []).append(((time.x(start), y), (time.x(end), y + ROW)))
    for kind, cells in sorted(found.items()):
        plot.path(boxes(cells), kind)
    _heat_axis(plot, line.rows_ms, base, thresholds_ms)


def _shade(number: int, most: int, level: int) -> int:
    """Return the shade of a cell, from 0 (empty) to 5, on a logarithm; a single stall is well visible."""
    if not number:
        return 0
    shade = 1 + round((LEVELS - 1) * math.log(number) / math.log(most)) if most > 1 else LEVELS
    return max(shade, 3) if level == 2 else shade


def _heat_axis(plot: Svg, rows_ms: Sequence[float], base: float, thresholds_ms: tuple[float, float] | None) -> None:
    fixed = list(zip(thresholds_ms or (), KINDS[1:], strict=False))
    places = {ms: base - ROW * row for row, ms in enumerate(rows_ms)}
    shown = [(places[ms], ms, kind) for ms, kind in fixed if ms in places]
    pushed = spread([y for y, _, _ in shown], LABEL)
    for (y, ms, kind), place in zip(shown, pushed, strict=True):
        plot.line((0, y), (100, y), f"edge {kind}")
        plot.text(0, place + 4, exact(ms), f"end {kind}", dx=-8)
    taken = pushed
    for ms, y in places.items():
        is_round = f"{ms:.0e}".startswith("1e") or ms in (60_000, 600_000)
        if is_round and all(abs(y - other) >= LABEL for other in taken):
            plot.text(0, y + 4, exact(ms), "end", dx=-8)
            taken = [*taken, y]
