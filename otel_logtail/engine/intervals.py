"""Samples become counts per series and interval of event time. Pure.

Each set of counts holds an explicit histogram (upper-inclusive bounds in nanoseconds) and a sparse exponential one at a
fixed scale, so that both kinds can be sent and percentiles are known within half a bucket: about 0.5 %.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import ceil, log2

from otel_logtail import native
from otel_logtail.engine.columns import extent
from otel_logtail.model import (
    Attributes,
    Counts,
    Episode,
    Hit,
    Instrument,
    IntervalKey,
    Samples,
    SeriesKey,
    Shape,
)

SCALE = 6
"""Index i counts values in (2**(i/64), 2**((i+1)/64)] seconds (opentelemetry data model, exponential histograms)."""

BREACH_NS = 10**9
"""The longest interval in which breaches are counted: they are few, and nobody wants to wait for one."""

_PER_OCTAVE = 1 << SCALE
_hot = native.helper("engine._hot")
_OFFSET = log2(1e9) * _PER_OCTAVE

_DEFAULT_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)


def bounds(degraded_ns: int, stall_ns: int) -> tuple[int, ...]:
    """The explicit histogram's bounds in nanoseconds: a 1-2-5 ladder that holds both thresholds exactly."""
    return tuple(sorted({ms * 1_000_000 for ms in _DEFAULT_BOUNDS_MS} | {degraded_ns, stall_ns}))


_Rows = list[tuple[int | None, ...]]


def merge_attributes(*parts: Attributes) -> Attributes:
    """All of them, sorted by name; of equal names the later one holds."""
    if len(parts) == 1:
        return parts[0]
    return tuple(sorted({name: value for part in parts for name, value in part}.items()))


def count(values_ns: Sequence[int], bounds_ns: tuple[int, ...]) -> Counts:
    """The counts of some durations (at least one)."""
    if _hot is not None and (found := _hot.count(values_ns, bounds_ns)) is not None:
        return Counts(*found)
    ordered = sorted(values_ns)
    number = len(ordered)
    explicit = []
    below = 0
    for bound in bounds_ns:  # sorted once, a bound costs a search, however many values there are
        at = bisect_right(ordered, bound, below)
        explicit.append(at - below)
        below = at
    explicit.append(number - below)
    zeros = bisect_right(ordered, 0)
    positive = ordered[zeros:] if zeros else ordered
    exponential = Counter([ceil(x * _PER_OCTAVE - _OFFSET) - 1 for x in map(log2, positive)])
    return Counts(number, sum(ordered), ordered[0], ordered[-1], explicit, dict(exponential), zeros)


def count_stages(rows: _Rows, begin: int, end: int, width: int, bounds_ns: tuple[int, ...]) -> list[Counts | None]:
    """The counts of each of the ``width`` stages in the rows from ``begin`` to ``end``; None: it never ran."""
    if _hot is not None and (found := _hot.count_columns(rows, begin, end, width, bounds_ns)) is not None:
        return [None if counted is None else Counts(*counted) for counted in found]
    columns = zip(*rows[begin:end], strict=True) if width else ()
    ran = [[ns for ns in column if ns is not None] for column in columns]
    return [count(values, bounds_ns) if values else None for values in ran]


def add(into: Counts, more: Counts) -> None:
    """Add ``more`` to ``into`` in place; both are of one series."""
    if not more.count:
        return
    if not into.count:
        into.count, into.sum_ns, into.min_ns, into.max_ns = more.count, more.sum_ns, more.min_ns, more.max_ns
        into.explicit, into.exponential, into.zeros = list(more.explicit), dict(more.exponential), more.zeros
        return
    into.min_ns, into.max_ns = min(into.min_ns, more.min_ns), max(into.max_ns, more.max_ns)
    into.explicit = list(map(operator.add, into.explicit, more.explicit))
    into.count += more.count
    into.sum_ns += more.sum_ns
    into.zeros += more.zeros
    exponential = into.exponential
    if _hot is not None:
        _hot.add_to(exponential, more.exponential)
        return
    for index, number in more.exponential.items():
        exponential[index] = exponential.get(index, 0) + number


def aggregate(
    samples: Samples,
    hits: Sequence[Hit],
    *,
    attributes: Attributes,
    interval_ns: int,
    bounds_ns: tuple[int, ...],
) -> dict[IntervalKey, Counts]:
    """The counts of a run of samples, by series and interval.

    Args:
        samples: All of them, in any order.
        hits: Those of them that are not ok.
        attributes: What their file's name says, on top of their shapes' attributes.
        interval_ns: The length of an interval; intervals begin at its multiples. (Of breaches: at most 1 s.)
        bounds_ns: The explicit histogram's bounds.
    """
    counts: dict[IntervalKey, Counts] = {}

    def put(series: SeriesKey, slot: int, more: Counts, length_ns: int = interval_ns) -> None:
        key = IntervalKey(series, slot * length_ns, (slot + 1) * length_ns)
        known = counts.setdefault(key, more)
        if known is not more:
            add(known, more)

    for shape, slot, durations, rows, begin, end in _groups(samples, interval_ns):
        of_duration, of_stages = _series_of(shape, attributes, bounds_ns)
        put(of_duration, slot, count(durations, bounds_ns))
        for of_stage, more in zip(of_stages, count_stages(rows, begin, end, len(of_stages), bounds_ns), strict=True):
            if more is not None:
                put(of_stage, slot, more)
    breach_ns = min(interval_ns, BREACH_NS)
    breaches: dict[tuple[int, Attributes], list[int]] = {}
    for hit in hits:
        labels: Attributes = (("cause", hit.sample.cause), ("severity", hit.severity.label))
        breaches.setdefault((hit.sample.time_ns // breach_ns, labels), []).append(hit.sample.duration_ns)
    for (slot, labels), values in breaches.items():
        put(SeriesKey(Instrument.BREACHES, labels), slot, count(values, ()), breach_ns)
    return counts


@lru_cache(maxsize=512)  # as many as there are live paths, mostly: made once, they are hashed once
def _series_of(
    shape: Shape, attributes: Attributes, bounds_ns: tuple[int, ...]
) -> tuple[SeriesKey, tuple[SeriesKey, ...]]:
    """The series of a shape's durations, and one for each of its stages."""
    own = merge_attributes(shape.attributes, attributes)
    stages = tuple(merge_attributes(own, (("stage", stage),)) for stage in shape.stages)
    return (
        SeriesKey(Instrument.DURATION, own, bounds_ns),
        tuple(SeriesKey(Instrument.STAGE, labels, bounds_ns) for labels in stages),
    )


def _groups(samples: Samples, interval_ns: int) -> Iterator[tuple[Shape, int, Sequence[int], _Rows, int, int]]:
    """The samples of each shape and interval: shape, number of the interval, durations, rows of stages from … to …."""
    times, shapes = samples.time_ns, samples.shapes
    if not times:
        return
    if shapes.count(shapes[0]) == len(shapes) and extent(times)[2]:
        # nearly always: one kind of line, in the order of time
        begin = 0
        while begin < len(times):
            slot = times[begin] // interval_ns
            end = bisect_left(times, (slot + 1) * interval_ns, begin)
            yield shapes[0], slot, samples.duration_ns[begin:end], samples.stage_ns, begin, end
            begin = end
        return
    slots = [time_ns // interval_ns for time_ns in times]
    groups: dict[tuple[int, int], list[int]] = {}
    # shapes are made once by the observer, so their identity stands for their value: hashing them would cost more
    for index, key in enumerate(zip(map(id, shapes), slots, strict=True)):
        groups.setdefault(key, []).append(index)
    for (_, slot), places in groups.items():
        durations = [samples.duration_ns[place] for place in places]
        yield shapes[places[0]], slot, durations, [samples.stage_ns[place] for place in places], 0, len(places)


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
