"""Samples become counts per series and interval of event time. Pure.

Each set of counts holds an explicit histogram (upper-inclusive bounds in nanoseconds) and a sparse exponential one at a
fixed scale, so that both kinds can be sent and percentiles are known within half a bucket: about 0.5 %.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from math import ceil, log2

from otel_logtail.model import (
    Attributes,
    Counts,
    Episode,
    Hit,
    Instrument,
    IntervalKey,
    SeriesKey,
    Severity,
    Shape,
)

SCALE = 6
"""Index i counts values in (2**(i/64), 2**((i+1)/64)] seconds (opentelemetry data model, exponential histograms)."""

_PER_OCTAVE = 1 << SCALE
_OFFSET = log2(1e9) * _PER_OCTAVE

_DEFAULT_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)


def bounds(degraded_ns: int, stall_ns: int) -> tuple[int, ...]:
    """The explicit histogram's bounds in nanoseconds: a 1-2-5 ladder that holds both thresholds exactly."""
    return tuple(sorted({ms * 1_000_000 for ms in _DEFAULT_BOUNDS_MS} | {degraded_ns, stall_ns}))


def merge_attributes(*parts: Attributes) -> Attributes:
    """All of them, sorted by name; of equal names the later one holds."""
    if len(parts) == 1:
        return parts[0]
    return tuple(sorted({name: value for part in parts for name, value in part}.items()))


def count(values_ns: Sequence[int], bounds_ns: tuple[int, ...]) -> Counts:
    """The counts of some durations (at least one)."""
    explicit = [0] * (len(bounds_ns) + 1)
    for index, number in Counter(map(partial(bisect_left, bounds_ns), values_ns)).items():
        explicit[index] = number
    positive = [value for value in values_ns if value > 0]
    exponential = Counter([ceil(x * _PER_OCTAVE - _OFFSET) - 1 for x in map(log2, positive)])
    return Counts(
        count=len(values_ns),
        sum_ns=sum(values_ns),
        min_ns=min(values_ns),
        max_ns=max(values_ns),
        explicit=explicit,
        exponential=dict(exponential),
        zeros=len(values_ns) - len(positive),
    )


def add(into: Counts, more: Counts) -> None:
    """Add ``more`` to ``into`` in place; both are of one series."""
    if not more.count:
        return
    if not into.count:
        into.min_ns, into.max_ns = more.min_ns, more.max_ns
        into.explicit = list(more.explicit)
    else:
        into.min_ns, into.max_ns = min(into.min_ns, more.min_ns), max(into.max_ns, more.max_ns)
        into.explicit = [a + b for a, b in zip(into.explicit, more.explicit, strict=True)]
    into.count += more.count
    into.sum_ns += more.sum_ns
    into.zeros += more.zeros
    exponential = into.exponential = dict(into.exponential)
    for index, number in more.exponential.items():
        exponential[index] = exponential.get(index, 0) + number


def aggregate(
    hits: Iterable[Hit], *, attributes: Attributes, interval_ns: int, bounds_ns: tuple[int, ...]
) -> dict[IntervalKey, Counts]:
    """The counts of a run of samples, by series and interval.

    Args:
        hits: Samples with their severities, in any order.
        attributes: What their file's name says, on top of their shapes' attributes.
        interval_ns: The length of an interval; intervals begin at its multiples.
        bounds_ns: The explicit histogram's bounds.
    """
    # shapes are made once by the observer, so their identity stands for their value: hashing them would cost more
    groups: dict[tuple[int, int], list[Hit]] = {}
    shapes: dict[int, Shape] = {}
    for hit in hits:
        shape = hit.sample.shape
        shapes[id(shape)] = shape
        groups.setdefault((id(shape), hit.sample.time_ns // interval_ns), []).append(hit)
    counts: dict[IntervalKey, Counts] = {}

    def put(instrument: Instrument, attrs: Attributes, slot: int, values: Sequence[int], with_bounds: bool) -> None:
        series = SeriesKey(instrument, attrs, bounds_ns if with_bounds else ())
        key = IntervalKey(series, slot * interval_ns, (slot + 1) * interval_ns)
        if key in counts:
            add(counts[key], count(values, series.bounds_ns))
        else:
            counts[key] = count(values, series.bounds_ns)

    for (shape_id, slot), group in groups.items():
        shape = shapes[shape_id]
        own = merge_attributes(shape.attributes, attributes)
        put(Instrument.DURATION, own, slot, [hit.sample.duration_ns for hit in group], with_bounds=True)
        for index, stage in enumerate(shape.stages):
            values = [ns for hit in group if (ns := hit.sample.stage_ns[index]) is not None]
            if values:
                put(Instrument.STAGE, merge_attributes(own, (("stage", stage),)), slot, values, with_bounds=True)
        breaches: dict[Attributes, list[int]] = {}
        for hit in group:
            if hit.severity is not Severity.OK:
                labels: Attributes = (("cause", hit.sample.cause), ("severity", hit.severity.label))
                breaches.setdefault(labels, []).append(hit.sample.duration_ns)
        for labels, values in breaches.items():
            put(Instrument.BREACHES, labels, slot, values, with_bounds=False)
    return counts


def aggregate_episodes(
    episodes: Iterable[Episode], *, interval_ns: int, bounds_ns: tuple[int, ...]
) -> dict[IntervalKey, Counts]:
    """The counts of closed episodes by severity and cause, each in the interval in which it ended."""
    counts: dict[IntervalKey, Counts] = {}
    for episode in episodes:
        labels = (("cause", episode.cause), ("severity", episode.severity.label))
        start_ns = episode.end_ns // interval_ns * interval_ns
        key = IntervalKey(SeriesKey(Instrument.EPISODES, labels, bounds_ns), start_ns, start_ns + interval_ns)
        add(counts.setdefault(key, Counts()), count([episode.end_ns - episode.start_ns], bounds_ns))
    return counts
