"""Latency, episodes and load over time: the model of the plot, for the page and for JSON."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo

import msgspec

from otel_logtail import query
from otel_logtail.counts import SCALE, add, count
from otel_logtail.model import Counts
from otel_logtail.query import Reader, SampleRow
from otel_logtail.query.intervals import percentiles_ns
from otel_logtail.report.axis import coarser, edges
from otel_logtail.report.calendar import Began

FEW = 400
"""The number of samples below which each one is a dot."""

_LEAST = {10: 10, 50: 10, 90: 10, 99: 100}  # samples from which a percentile of one bucket is shown
_MOST_LINES = 31
_MINUTE_MS = 60_000


class Bucket(msgspec.Struct, frozen=True):
    """One part of the time: its samples, and the episodes that began in it.

    A percentile is None if there are too few samples for it: 10, and 100 for ``p99_ms``. ``peak_ms`` is the longest
    sample of its stalls.
    """

    start_ns: int
    end_ns: int
    count: int
    p10_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    stalls: int = 0
    degraded: int = 0
    peak_ms: float | None = None


class Dot(msgspec.Struct, frozen=True):
    """One sample."""

    time_ns: int
    ms: float
    severity: str


class Timeline(msgspec.Struct, frozen=True):
    """The range in buckets.

    ``lines`` are the same in fewer parts, for a table. ``rows_ms`` are the edges of the heat map's rows, and ``cells``
    has for each bucket the number of samples in each row. ``dots`` are all samples if they are few.
    """

    width_s: int = 0
    buckets: tuple[Bucket, ...] = ()
    lines: tuple[Bucket, ...] = ()
    rows_ms: tuple[float, ...] = ()
    cells: tuple[tuple[int, ...], ...] = ()
    dots: tuple[Dot, ...] = ()


def timeline(
    reader: Reader,
    span_ns: tuple[int, int],
    samples: int,
    episodes: Sequence[Began],
    thresholds_ms: tuple[float, float] | None,
    tz: tzinfo | None,
) -> Timeline:
    """Return the reader's range over time.

    Args:
        reader: The store, the range and the source.
        span_ns: The times of the first and the last sample.
        samples: The number of samples.
        episodes: The episodes of the range.
        thresholds_ms: Where a row of the heat map must end.
        tz: The zone whose midnight starts a day; None: the local one.
    """
    if not samples:
        return Timeline()
    few = list(query.samples(reader)) if samples < FEW else []
    if len(few) != samples:  # some expired
        few.clear()
    width_s, found = edges(*span_ns, samples, 0 if few else query.longest_interval(reader), tz)
    counts = _counted(few, found) if few else query.over_time(reader, found)
    rows_ms = _rows(counts, thresholds_ms)
    return Timeline(
        width_s,
        _buckets(found, counts, episodes),
        _buckets(*_merged(found, counts, coarser(found, width_s, _MOST_LINES, tz)), episodes),
        rows_ms,
        tuple(_cells(counts, rows_ms)),
        tuple(Dot(row.time_unix_nano, row.duration_ms, row.severity) for row in few),
    )


def _counted(samples: Iterable[SampleRow], found: Sequence[int]) -> list[Counts]:
    values: list[list[int]] = [[] for _ in found[1:]]
    for row in samples:
        values[min(max(bisect_right(found, row.time_unix_nano) - 1, 0), len(values) - 1)].append(
            round(row.duration_ms * 1e6)
        )
    return [count(each, ()) if each else Counts() for each in values]


def _merged(fine: Sequence[int], counts: Sequence[Counts], coarse: Sequence[int]) -> tuple[list[int], list[Counts]]:
    found = [Counts() for _ in coarse[1:]]
    for start_ns, each in zip(fine, counts, strict=False):
        add(found[min(max(bisect_right(coarse, start_ns) - 1, 0), len(found) - 1)], each)
    return list(coarse), found


def _buckets(found: Sequence[int], counts: Sequence[Counts], episodes: Iterable[Began]) -> tuple[Bucket, ...]:
    began: list[list[Began]] = [[] for _ in counts]
    for episode in episodes:
        began[min(max(bisect_right(found, episode.time_ns) - 1, 0), len(counts) - 1)].append(episode)
    return tuple(
        _bucket(start_ns, end_ns, each, own)
        for start_ns, end_ns, each, own in zip(found, found[1:], counts, began, strict=False)
    )


def _bucket(start_ns: int, end_ns: int, counts: Counts, began: Sequence[Began]) -> Bucket:
    p10_ms, p50_ms, p90_ms, p99_ms = (
        value / 1e6 if counts.count >= least else None
        for value, least in zip(percentiles_ns(counts, _LEAST), _LEAST.values(), strict=True)
    )
    peaks = [episode.peak_ms for episode in began if episode.is_stall]
    return Bucket(
        start_ns=start_ns,
        end_ns=end_ns,
        count=counts.count,
        p10_ms=p10_ms,
        p50_ms=p50_ms,
        p90_ms=p90_ms,
        p99_ms=p99_ms,
        max_ms=counts.max_ns / 1e6 if counts.count else None,
        stalls=len(peaks),
        degraded=len(began) - len(peaks),
        peak_ms=max(peaks, default=None),
    )


def _rows(counts: Iterable[Counts], thresholds_ms: tuple[float, float] | None) -> tuple[float, ...]:
    """Return the edges of rows, 1-2-5 and from a minute on 1-2-5-10-20-30, with both thresholds among them."""
    filled = [each for each in counts if each.count]
    least_ms = min((bucket_ms(min(each.exponential)) for each in filled if each.exponential), default=0.1)
    most_ms = max((each.max_ns for each in filled), default=0) / 1e6
    fixed = thresholds_ms or ()
    ladder = sorted({*fixed, *(ms for ms in steps() if not any(at / 1.3 < ms < at * 1.3 for at in fixed))})
    first = max(0, bisect_right(ladder, least_ms) - 1)
    last = min(len(ladder) - 1, max(first + 1, bisect_left(ladder, most_ms)))
    return tuple(ladder[first : last + 1])


def steps() -> list[float]:
    """Return round durations in ms, from 1 µs to days: 1-2-5, and 1-2-5-10-20-30 from a minute on."""
    decades = [digit * 10.0**power for power in range(-3, 5) for digit in (1, 2, 5)]
    minutes = [_MINUTE_MS * n for n in (1.0, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1440, 2880, 7200, 14_400)]
    return [ms for ms in decades if ms < _MINUTE_MS] + minutes


def bucket_ms(index: int) -> float:
    """Return the middle of an exponential bucket, in ms."""
    return float(2 ** ((index + 0.5) / 2**SCALE) * 1000)


def _cells(counts: Sequence[Counts], rows_ms: Sequence[float]) -> Iterator[tuple[int, ...]]:
    limits = [math.log2(ms / 1000) * 2**SCALE - 0.5 for ms in rows_ms]
    last = len(rows_ms) - 2
    row_of = {
        index: min(max(bisect_right(limits, index) - 1, 0), last)
        for index in {index for each in counts for index in each.exponential}
    }
    for each in counts:
        cells = [0] * (last + 1)
        cells[0] = each.zeros
        for index, number in each.exponential.items():
            cells[row_of[index]] += number
        yield tuple(cells)
