"""The distribution of all samples: durations by percentile, and bars of round widths with thresholds as edges. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from otel_logtail.counts import SCALE
from otel_logtail.model import Counts
from otel_logtail.report.bars import Bar
from otel_logtail.report.timeline import bucket_ms

PER_DECADE = 10
_NEAR = 10 ** (0.4 / PER_DECADE)  # an edge so close to a threshold makes way for it


def spectrum(counts: Counts, points: int) -> Iterator[tuple[float, float]]:
    """Yield points of the distribution: ``-log10(1 - p)``, from 0 to log10 of the number of samples, and ms."""
    buckets = sorted(counts.exponential.items())
    below = list(accumulate((number for _, number in buckets), initial=counts.zeros))
    low_ms, high_ms = counts.min_ns / 1e6, counts.max_ns / 1e6
    most = math.log10(counts.count)
    for at in range(points + 1):
        x = most * at / points
        rank = max(1, math.ceil(counts.count * (1 - 10**-x) - 1e-9))
        if rank >= counts.count or at == points:
            yield most, high_ms
            return
        place = bisect_right(below, rank - 1) - 1
        ms = 0.0 if rank <= counts.zeros else bucket_ms(buckets[place][0])
        yield x, min(max(ms, low_ms), high_ms)


def bars(counts: Counts, thresholds_ms: Sequence[float]) -> list[Bar]:
    """Return bars of a tenth of a decade, from the first with a sample, or before a threshold, to the last.

    Both thresholds are edges. A bar holds the buckets of the store whose middle is in it, so its count is right within
    1 % of a duration.
    """
    found = [bucket_ms(index) for index in counts.exponential]
    low_ms = min([*found, *thresholds_ms], default=1.0)
    high_ms = max([*found, *(ms * 1.001 for ms in thresholds_ms)], default=1.0)
    first, last = math.floor(PER_DECADE * math.log10(low_ms)), math.ceil(PER_DECADE * math.log10(high_ms) + 1e-9)
    grid = [10 ** (at / PER_DECADE) for at in range(first, max(last, first + 1) + 1)]
    kept = [ms for ms in grid if not any(limit / _NEAR < ms < limit * _NEAR for limit in thresholds_ms)]
    edges = sorted({*kept, *thresholds_ms})
    numbers = [0] * (len(edges) - 1)
    limits = [math.log2(ms / 1000) * 2**SCALE - 0.5 for ms in edges]
    for index, number in counts.exponential.items():
        numbers[min(max(bisect_right(limits, index) - 1, 0), len(numbers) - 1)] += number
    numbers[0] += counts.zeros
    return [Bar(edges[at], edges[at + 1], number) for at, number in enumerate(numbers)]
