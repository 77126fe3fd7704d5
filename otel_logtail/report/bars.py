"""Histogram bars: their ranges and lengths. Pure."""

from __future__ import annotations

import math

import msgspec

from otel_logtail.counts import SCALE
from otel_logtail.model import Counts


class Bar(msgspec.Struct, frozen=True):
    """The number of samples that took more than ``from_ms`` and at most ``to_ms``."""

    from_ms: float
    to_ms: float
    count: int


def histogram(counts: Counts) -> list[Bar]:
    """Return a bar for each doubling of the duration, from the first that holds a sample to the last.

    Each bar ends at the end of a bucket of the store, so its count is exact; 0.5 s, 1 s, 2 s … end a bar. Samples of
    0 ms are in the first bar.
    """
    grouped: dict[int, int] = {}
    for index, number in counts.exponential.items():
        grouped[index >> SCALE] = grouped.get(index >> SCALE, 0) + number
    if counts.zeros:
        first = min(grouped, default=-10)
        grouped[first] = grouped.get(first, 0) + counts.zeros
    if not grouped:
        return []
    return [
        Bar(2.0**place * 1000, 2.0 ** (place + 1) * 1000, grouped.get(place, 0))
        for place in range(min(grouped), max(grouped) + 1)
    ]


def severity_of(bar: Bar, thresholds_ms: tuple[float, float] | None) -> str:
    """Return the severity of a bar's middle; empty if the sources have different thresholds."""
    if thresholds_ms is None:
        return ""
    middle = math.sqrt(bar.from_ms * bar.to_ms)
    return "ok" if middle < thresholds_ms[0] else "degraded" if middle < thresholds_ms[1] else "stall"


def length(count: int, most: int) -> float:
    """Return the length of a bar from 0 to 1, on a logarithmic scale that shows the few slow samples."""
    return math.log1p(count) / math.log1p(most) if most else 0.0
