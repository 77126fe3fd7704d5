"""The three figures that decide whether stalls are tolerable: how often, how long, and how many samples. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from otel_logtail.query import Summary


class Deciding(msgspec.Struct, frozen=True):
    """The three figures of a period.

    ``covered_s`` is the time from the first to the last sample. ``typical_s`` is the median duration of the stalls;
    None: there is none. ``slow`` are all samples from the threshold on, ``stall`` those from the stall threshold on.
    """

    covered_s: float
    stalls: int
    typical_s: float | None
    longest_s: float | None
    samples: int
    slow: int
    stall: int


def deciding(summary: Summary, lengths_s: Sequence[float]) -> Deciding:
    """Return the figures of a period; ``lengths_s`` are the durations of its stalls."""
    first_ns, last_ns = summary.span_ns
    return Deciding(
        covered_s=(last_ns - first_ns) / 1e9,
        stalls=len(lengths_s),
        typical_s=median(lengths_s) if lengths_s else None,
        longest_s=max(lengths_s, default=None),
        samples=summary.count,
        slow=summary.degraded + summary.stall,
        stall=summary.stall,
    )
