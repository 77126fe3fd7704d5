"""The sections of sources, stages and paths: percentiles in a table, and on one logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from otel_logtail.report.data import Part, part_of
from otel_logtail.report.findings import paths_heading, stages_heading
from otel_logtail.report.page.html import Markup, Table
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.page.svg import Svg, dots
from otel_logtail.report.words import exact, measured

_HEIGHT = 12
_LABELS = 4  # at most so many labels of decades


def stage_section(model: Model) -> Iterator[Section]:
    """Yield the section of stages."""
    report = model.report
    if report.stages:
        parts = [part_of("all samples", report.summary), *report.stages]
        yield _section(stages_heading(report), "stage", parts, model)


def path_section(model: Model) -> Iterator[Section]:
    """Yield the section of paths: samples by their attributes."""
    if any(part.name != "-" for part in model.report.paths):
        yield _section(paths_heading(model.report), "path", model.report.paths, model)


def _section(heading: str, title: str, parts: Sequence[Part], model: Model) -> Section:
    scale = _Scale(parts)
    thresholds = model.report.thresholds_ms or ()
    table = Table(
        caption=heading,
        columns=[title, "samples", "p50", "p90", "p99", "max", scale.axis()],
        rows=[
            [
                part.name,
                f"{part.count:,}",
                *map(measured, (part.p50_ms, part.p90_ms, part.p99_ms, part.max_ms)),
                scale.bar(part, thresholds),
            ]
            for part in parts
        ],
        sides="lrrrrrl",
        kind="stages",
        classes=["", "count", "", "", "", "", "bar"],
    )
    sub = "Dot: median; ticks: p90 and p99; last dot: the slowest sample."
    return Section(heading=heading, sub=sub, content=table.markup())


class _Scale:
    """A logarithmic axis from left to right, of whole decades that hold the figures of all parts."""

    def __init__(self, parts: Sequence[Part]) -> None:
        slowest = max(max(part.max_ms for part in parts), 1e-3)
        fastest = min((part.p50_ms for part in parts if part.p50_ms > 0), default=slowest)
        self._last = math.ceil(math.log10(slowest) + 1e-9)
        self._first = min(max(math.floor(math.log10(fastest)), self._last - 8), self._last - 1)

    def _x(self, ms: float) -> float:
        """Return the place of a duration in per cent; one beyond the axis is at its end."""
        power = math.log10(max(ms, 10.0**self._first))
        return 100 * min(1.0, (power - self._first) / (self._last - self._first))

    def axis(self) -> Markup:
        """Return the labels of the decades."""
        svg = Svg(14, "durations, logarithmic")
        decades = range(self._first, self._last + 1)
        for power in decades[:: -(-len(decades) // _LABELS)]:
            side = "" if power == self._first else "end" if power == self._last else "mid"
            svg.text(self._x(10.0**power), 11, exact(10.0**power), side)
        return svg.markup()

    def bar(self, part: Part, thresholds_ms: Sequence[float]) -> Markup:
        """Return the figures of a part on the axis, with the thresholds as lines."""
        middle = _HEIGHT / 2
        svg = Svg(_HEIGHT, f"{part.name}: p50, p90, p99 and max")
        for power in range(self._first, self._last + 1):
            svg.line((self._x(10.0**power), -8), (self._x(10.0**power), 20), "grid")
        for ms, kind in zip(thresholds_ms, ("degraded", "stall"), strict=False):
            if 0 < self._x(ms) < 100:
                svg.line((self._x(ms), -8), (self._x(ms), 20), f"edge {kind}")
        svg.line((self._x(part.p50_ms), middle), (self._x(part.p99_ms), middle), "ok")
        for ms in (part.p90_ms, part.p99_ms):
            svg.line((self._x(ms), 1), (self._x(ms), _HEIGHT - 1), "ok tick")
        svg.path(dots([(self._x(part.p50_ms), middle)]), "dot ok median")
        severity = ["ok", "degraded", "stall"][sum(part.max_ms >= ms for ms in thresholds_ms)]
        svg.path(dots([(self._x(part.max_ms), middle)]), f"dot {severity} slowest")
        return svg.markup()
