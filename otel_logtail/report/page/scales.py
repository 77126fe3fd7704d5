"""The scales of plots: time from left to right, a logarithm of durations upwards, and labels that keep apart. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import tzinfo

import msgspec

from otel_logtail.report import axis
from otel_logtail.report.page.svg import Svg
from otel_logtail.report.timeline import steps
from otel_logtail.report.words import exact

KINDS = ("ok", "degraded", "stall")
"""The classes of the severities, by their numbers."""

LABEL = 14
"""The least distance of two lines of text, in pixels."""


class Time(msgspec.Struct, frozen=True):
    """Time from left to right, ``[start_ns, end_ns)``."""

    start_ns: int
    end_ns: int
    tz: tzinfo | None

    def x(self, time_ns: float) -> float:
        """Return the place of a time, in per cent."""
        return 100 * (time_ns - self.start_ns) / (self.end_ns - self.start_ns)

    def grid(self, plot: Svg, top: float, base: float) -> None:
        """Draw weekends and the lines of labels."""
        if 2 * axis.DAY_S <= (self.end_ns - self.start_ns) / axis.SECOND_NS <= 100 * axis.DAY_S:
            for start_ns, end_ns in axis.weekends(self.start_ns, self.end_ns, self.tz):
                plot.rect((self.x(start_ns), top), self.x(end_ns) - self.x(start_ns), base - top, "wash")
        for time_ns, _ in axis.labels(self.start_ns, self.end_ns, self.tz):
            plot.line((self.x(time_ns), top), (self.x(time_ns), base), "grid")

    def labels(self, plot: Svg, y: float) -> None:
        """Write the labels; a phone has every second one, those with days if there are times, too."""
        found = axis.labels(self.start_ns, self.end_ns, self.tz)
        first = next((place for place, (_, label) in enumerate(found) if ":" not in label), 0)
        for place, (time_ns, label) in enumerate(found):
            plot.text(self.x(time_ns), y, label, "mid wide" if (place - first) % 2 else "mid")


class Durations(msgspec.Struct, frozen=True):
    """Durations upwards, on a logarithm: ``low_ms`` at ``base``, ``high_ms`` at ``top``, both in pixels."""

    low_ms: float
    high_ms: float
    top: float
    base: float

    @classmethod
    def around(cls, low_ms: float, high_ms: float, top: float, base: float) -> Durations:
        """Return a scale that holds some durations, with a little room."""
        low_ms = max(low_ms, 1e-3)
        high_ms = max(high_ms, low_ms * 2)
        room = (high_ms / low_ms) ** 0.04
        return cls(low_ms / room, high_ms * room, top, base)

    def y(self, ms: float) -> float:
        """Return the place of a duration; one beyond the scale is at its end."""
        part = math.log(max(ms, self.low_ms) / self.low_ms) / math.log(self.high_ms / self.low_ms)
        return self.base - min(part, 1.0) * (self.base - self.top)

    def ticks(self) -> list[float]:
        """Return the durations with a label: decades, or 1-2-5 where there is room for them."""
        inside = [ms for ms in steps() if self.low_ms <= ms <= self.high_ms]
        decades = [ms for ms in inside if _is_decade(ms)]
        if len(decades) > 1:
            return decades
        return inside if len(inside) * LABEL <= self.base - self.top else decades

    def axis(self, plot: Svg, thresholds_ms: Sequence[float]) -> None:
        """Draw the lines of durations and thresholds, with their labels on the left."""
        named = zip(thresholds_ms, ("degraded", "stall"), strict=False)
        shown = [(ms, kind) for ms, kind in named if self.low_ms <= ms <= self.high_ms]
        places = spread([self.y(ms) for ms, _ in shown], LABEL)
        for ms in self.ticks():
            plot.line((0, self.y(ms)), (100, self.y(ms)), "grid")
            if all(abs(self.y(ms) - place) >= LABEL for place in places):
                plot.text(0, self.y(ms) + 4, exact(ms), "end", dx=-8)
        for (ms, kind), place in zip(shown, places, strict=True):
            plot.line((0, self.y(ms)), (100, self.y(ms)), f"edge {kind}")
            plot.text(0, place + 4, exact(ms), f"end {kind}", dx=-8)


def _is_decade(ms: float) -> bool:
    if ms >= 60_000:
        return ms in (60_000, 600_000, 3_600_000, 36_000_000, 360_000_000)
    return abs(math.log10(ms) - round(math.log10(ms))) < 1e-9


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Return places pushed apart, so that labels do not overlap; their order and the middle of each group stay."""
    groups: list[list[int]] = []

    def middle(group: Sequence[int]) -> float:
        return sum(places[at] for at in group) / len(group)

    for at in sorted(range(len(places)), key=lambda at: places[at]):
        groups.append([at])
        while len(groups) > 1:
            one, next_ = groups[-2:]
            if middle(next_) - middle(one) >= apart * (len(one) + len(next_)) / 2:
                break
            groups[-2:] = [one + next_]
    found = list(places)
    for group in groups:
        for place, at in enumerate(group):
            found[at] = middle(group) + apart * (place - (len(group) - 1) / 2)
    return found


def severity(ms: float, thresholds_ms: tuple[float, float] | None) -> int:
    """Return the severity of a duration: 0 is ok; all are if there are no thresholds."""
    return 0 if thresholds_ms is None else (ms >= thresholds_ms[0]) + (ms >= thresholds_ms[1])
