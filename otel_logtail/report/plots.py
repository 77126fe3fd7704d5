"""Plots as inline SVG, which a browser draws without scripts or requests. Pure.

Colors are classes of the page's style sheet. Each bar shows its figure as a tooltip (``title``).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log

from otel_logtail.report.bars import Bar, length, severity_of, ticks
from otel_logtail.text import short

_WIDTH, _LEFT, _RIGHT = 760, 56, 12


class _Svg:
    """Collects the elements of an image; 0, 0 is the top left corner."""

    def __init__(self, height: float, label: str) -> None:
        self._parts = [
            f'<svg viewBox="0 0 {_WIDTH} {_n(height)}" role="img" aria-label="{escape(label)}">',
        ]

    def rect(self, x: float, y: float, width: float, height: float, kind: str, title: str) -> None:
        self._parts.append(
            f'<rect class="{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}">'
            f"<title>{escape(title)}</title></rect>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        self._parts.append(f'<line class="{kind}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>')

    def text(self, x: float, y: float, text: str, anchor: str = "middle", kind: str = "") -> None:
        chosen = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text{chosen} x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(text)}</text>')

    def __str__(self) -> str:
        return "\n".join([*self._parts, "</svg>"])


def histogram_plot(bars: Sequence[Bar], thresholds_ms: tuple[float, float] | None) -> str:
    """Plot a histogram with two logarithmic axes, which show the few slow samples among many fast ones."""
    plot, top, height = _Svg(268, "histogram of durations"), 42, 180
    base = top + height
    most = max(bar.count for bar in bars)
    step = (_WIDTH - _LEFT - _RIGHT) / len(bars)
    for number in ticks(most):
        y = base - height * length(number, most)
        plot.line(_LEFT, y, _WIDTH - _RIGHT, y, "grid")
        plot.text(_LEFT - 6, y + 4, f"{number:,}", "end")
    for place, bar in enumerate(bars):
        if bar.count:
            tall = max(1.5, height * length(bar.count, most))
            kind = severity_of(bar, thresholds_ms) or "plain"
            title = f"{short(bar.from_ms)} to {short(bar.to_ms)}: {bar.count:,} samples"
            plot.rect(_LEFT + place * step, base - tall, max(1.0, step - 1), tall, kind, title)
    plot.line(_LEFT, base, _WIDTH - _RIGHT, base, "axis")
    octave = max(1, round(log(2) / log(bars[0].to_ms / bars[0].from_ms)))
    whole = [place for place in range(len(bars) + 1) if _is_whole_octave(bars, place)]
    for place in whole[:: max(1, -(-len(whole) // 11))] if octave <= len(bars) else [0, len(bars)]:
        x = _LEFT + place * step
        plot.line(x, base, x, base + 4, "axis")
        plot.text(x, base + 18, short(_edge(bars, place)), "end" if x > _WIDTH - 30 else "middle")
    for row, (name, ms) in enumerate(zip(("degraded", "stall"), thresholds_ms or (), strict=False)):
        x = _LEFT + step * _place(bars, ms)
        if _LEFT <= x <= _WIDTH - _RIGHT:
            y = top - 26 + 14 * row  # on separate lines, because they may be close together
            plot.line(x, y - 8, x, base, f"edge edge-{name}")
            right = x > _WIDTH - 130
            plot.text(x - 5 if right else x + 5, y, f"{name} from {short(ms)}", "end" if right else "start")
    plot.text(_LEFT, base + 38, "samples (logarithmic) by duration (logarithmic)", "start", "note")
    return str(plot)


def _edge(bars: Sequence[Bar], place: int) -> float:
    return bars[place].from_ms if place < len(bars) else bars[-1].to_ms


def _is_whole_octave(bars: Sequence[Bar], place: int) -> bool:
    octaves = log(_edge(bars, place) / 1000) / log(2)
    return abs(octaves - round(octaves)) < 1e-6


def _place(bars: Sequence[Bar], ms: float) -> float:
    """Return the position of a duration on a logarithmic scale, in bars from the left."""
    return log(ms / bars[0].from_ms) / log(bars[0].to_ms / bars[0].from_ms)


def calendar_plot(slots: Sequence[tuple[str, int, int]], unit: str) -> str:
    """Plot stacked stalls and degraded episodes of each hour or day: (label, stalls, degraded)."""
    plot, top, height = _Svg(200, f"episodes by {unit}"), 12, 130
    base = top + height
    most = max(1, *(stalls + degraded for _, stalls, degraded in slots))
    step = (_WIDTH - _LEFT - _RIGHT) / len(slots)
    for number in sorted({most, most // 2} - {0}):
        y = base - height * number / most
        plot.line(_LEFT, y, _WIDTH - _RIGHT, y, "grid")
        plot.text(_LEFT - 6, y + 4, f"{number:,}", "end")
    gap = min(2.0, step / 5)
    for place, (label, stalls, degraded) in enumerate(slots):
        x, y = _LEFT + place * step, float(base)
        for number, kind in ((stalls, "stall"), (degraded, "degraded")):
            if number:
                tall = height * number / most
                y -= tall
                title = f"{label}: {stalls:,} with a stall, {degraded:,} degraded"
                plot.rect(x, y, max(1.0, min(60.0, step - gap)), tall, kind, title)
    plot.line(_LEFT, base, _WIDTH - _RIGHT, base, "axis")
    every = -(-len(slots) // 6)
    for place in range(0, len(slots), every):
        x = _LEFT + place * step
        plot.line(x, base, x, base + 4, "axis")
        if x < _WIDTH - 90 or place == 0:
            plot.text(x, base + 18, slots[place][0], "start")
    plot.text(_LEFT, base + 38, f"episodes that started in each {unit}:", "start", "note")
    for kind, x, text in (("stall", 270, "with a stall"), ("degraded", 370, "degraded only")):
        plot.rect(x, base + 29, 10, 10, kind, text)
        plot.text(x + 15, base + 38, text, "start", "note")
    return str(plot)


def causes_plot(causes: Sequence[tuple[str, int, int]]) -> str:
    """Plot slow samples by cause: (name, degraded, stall)."""
    row, left = 26, 110
    plot = _Svg(row * len(causes) + 4, "causes of slow samples")
    most = max(1, *(degraded + stall for _, degraded, stall in causes))
    for place, (name, degraded, stall) in enumerate(causes):
        y, x = place * row + 4, float(left)
        plot.text(left - 8, y + 14, name, "end")
        for number, kind in ((stall, "stall"), (degraded, "degraded")):
            if number:
                wide = (_WIDTH - left - 160) * number / most
                title = f"{name}: {number:,} samples, {kind}"
                plot.rect(x, y, max(1.5, wide), row - 8, kind, title)
                x += wide
        plot.text(x + 8, y + 14, f"{degraded + stall:,}" + (f" ({stall:,} stall)" if stall else ""), "start")
    return str(plot)


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
