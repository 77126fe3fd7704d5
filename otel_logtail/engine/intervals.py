"""Samples become counts per series and interval of event time, or stay values if an interval has few. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import msgspec

from otel_logtail import native
from otel_logtail.counts import Rows, add, count, count_stages, extent, merge_attributes
from otel_logtail.engine.episodes import Growth
from otel_logtail.model import (
    Attributes,
    Counts,
    Episode,
    Hits,
    Instrument,
    IntervalKey,
    Samples,
    SeriesKey,
    Severity,
    Shape,
    SparseInterval,
)

_hot = native.module("engine._hot")

BREACH_NS = 10**9
"""The longest interval in which breaches are counted. They are few, and should be exported soon."""


MOST_VALUES = 8
"""An interval with more samples is counted: rows of counts are then smaller than the values."""


class Aggregated(NamedTuple):
    """Counts by series and interval, and the intervals that are not among them."""

    counts: dict[IntervalKey, Counts]
    sparse: list[SparseInterval]


class _Part(NamedTuple):
    """Samples of one shape, in whose order no interval falls. ``closed``: intervals before this number stay values."""

    shape: Shape
    times: list[int]
    durations: list[int]
    rows: Rows
    closed: int


Run = tuple[int, int, int, int, str | None]
"""The samples of one interval: its number, begin and end among the samples, and for few samples of a closed interval a
bit for the durations (the lowest) and each stage that ran, and their values as JSON (see :class:`SparseInterval`)."""


def aggregate(
    samples: Samples,
    hits: Hits,
    *,
    attributes: Attributes,
    interval_ns: int,
    bounds_ns: tuple[int, ...],
    closed_ns: int = 0,
) -> Aggregated:
    """Return the counts of a run of samples by series and interval.

    Args:
        samples: All samples, in any order.
        hits: The samples that are not ok.
        attributes: The attributes from their file's name, in addition to those of their shapes.
        interval_ns: The length of an interval; intervals start at its multiples. Those of breaches are at most 1 s.
        bounds_ns: The bounds of the explicit histogram.
        closed_ns: Intervals that end by then are final. Samples of one shape are not counted if they are few.
    """
    counts: dict[IntervalKey, Counts] = {}
    sparse: list[SparseInterval] = []

    def put(series: SeriesKey, slot: int, more: Counts, length_ns: int = interval_ns) -> None:
        key = IntervalKey(series, slot * length_ns, (slot + 1) * length_ns)
        known = counts.setdefault(key, more)
        if known is not more:
            add(known, more)

    for shape, times, durations, rows, closed in _parts(samples, interval_ns, closed_ns // interval_ns):
        of = _series_of(shape, attributes, bounds_ns)
        for slot, begin, end, ran, text in find_runs(times, durations, rows, interval_ns, closed, MOST_VALUES):
            if text is not None:
                start_ns = slot * interval_ns
                sparse.append(SparseInterval(_those(of, ran), start_ns, start_ns + interval_ns, text))
                continue
            put(of[0], slot, count(durations[begin:end], bounds_ns))
            for of_stage, more in zip(of[1:], count_stages(rows, begin, end, len(of) - 1, bounds_ns), strict=True):
                if more is not None:
                    put(of_stage, slot, more)
    breach_ns = min(interval_ns, BREACH_NS)
    breaches: dict[tuple[int, str, Severity], list[int]] = {}
    slots = [time_ns // breach_ns for time_ns in hits.samples.time_ns]
    keys = zip(slots, hits.samples.causes, hits.severities, strict=True)
    for breach, duration_ns in zip(keys, hits.samples.duration_ns, strict=True):
        breaches.setdefault(breach, []).append(duration_ns)
    for (slot, cause, severity), values in breaches.items():
        put(_breaches_of(cause, severity), slot, count(values, ()), breach_ns)
    return Aggregated(counts, sparse)


@native.twin(_hot)
def find_runs(
    times: list[int], durations: list[int], rows: Rows, interval_ns: int, before: int, most: int
) -> list[Run]:
    """Return the runs of samples of the same interval, by time.

    Args:
        times: Times of samples; no interval is before that of the sample before it.
        durations: Their durations.
        rows: The durations of their stages.
        interval_ns: The length of an interval.
        before: Intervals with numbers before this stay values if they have few samples.
        most: The most samples of such an interval.
    """
    runs: list[Run] = []
    begin = 0
    while begin < len(times):
        slot = times[begin] // interval_ns
        end = bisect_left(times, (slot + 1) * interval_ns, begin)
        if slot < before and end - begin <= most:
            columns = durations[begin:end], *zip(*rows[begin:end], strict=True)
            values = [[ns for ns in column if ns is not None] for column in columns]
            ran = sum(1 << place for place, column in enumerate(values) if column)
            runs.append((slot, begin, end, ran, msgspec.json.encode(list(filter(None, values))).decode()))
        else:
            runs.append((slot, begin, end, 0, None))
        begin = end
    return runs


@lru_cache(maxsize=512)
def _those(series: tuple[SeriesKey, ...], ran: int) -> tuple[SeriesKey, ...]:
    """Return the series of those bits that are set."""
    return tuple(of for place, of in enumerate(series) if ran >> place & 1)


@lru_cache(maxsize=512)
def _breaches_of(cause: str, severity: Severity) -> SeriesKey:
    """Return the series of a kind of breaches."""
    return SeriesKey(Instrument.BREACHES, (("cause", cause), ("severity", severity.label)))


@lru_cache(maxsize=512)  # usually as many as live paths; a key that is made once is hashed once
def _series_of(shape: Shape, attributes: Attributes, bounds_ns: tuple[int, ...]) -> tuple[SeriesKey, ...]:
    """Return the series of a shape's durations, and then one series for each of its stages."""
    own = merge_attributes(shape.attributes, attributes)
    others = tuple(attribute for attribute in own if attribute[0] != "stage")
    at = bisect_left([name for name, _ in others], "stage")
    before, behind = others[:at], others[at:]
    return (
        SeriesKey(Instrument.DURATION, own, bounds_ns),
        *(SeriesKey(Instrument.STAGE, (*before, ("stage", stage), *behind), bounds_ns) for stage in shape.stages),
    )


def _parts(samples: Samples, interval_ns: int, closed: int) -> Iterator[_Part]:
    """Yield all samples, or those of each shape and interval."""
    times, shapes, rows = samples.time_ns, samples.shapes, samples.stage_ns
    if not times:
        return
    if shapes.count(shapes[0]) == len(shapes) and extent(times)[2]:
        # the usual case: one kind of line, in the order of time
        yield _Part(shapes[0], times, samples.duration_ns, rows, closed)
        return
    groups: dict[tuple[int, int], list[int]] = {}
    # an observer makes a shape once, so its identity is used for its value: hashing it would cost more
    for index, key in enumerate(zip(map(id, shapes), (time_ns // interval_ns for time_ns in times), strict=True)):
        groups.setdefault(key, []).append(index)
    shared = Counter(slot for _, slot in groups)
    for (_, slot), places in groups.items():
        durations = [samples.duration_ns[place] for place in places]
        own = [rows[place] for place in places]
        is_alone = shared[slot] == 1  # no other shape has samples in this interval
        yield _Part(shapes[places[0]], [times[place] for place in places], durations, own, closed if is_alone else 0)


def aggregate_growth(growth: Iterable[Growth], *, interval_ns: int) -> dict[IntervalKey, Counts]:
    """Return the growth of the time within episodes, by severity and by the interval of the breach."""
    values: dict[tuple[int, Severity], list[int]] = {}
    for severity, times, more in growth:
        slots = [time_ns // interval_ns for time_ns in times]
        if len(set(slots)) == 1:  # as most runs are
            values.setdefault((slots[0], severity), []).extend(filter(None, more))
            continue
        for slot, more_ns in zip(slots, more, strict=True):
            if more_ns:
                values.setdefault((slot, severity), []).append(more_ns)
    return {
        IntervalKey(
            SeriesKey(Instrument.EPISODE_TIME, (("severity", severity.label),)),
            slot * interval_ns,
            (slot + 1) * interval_ns,
        ): count(more, ())
        for (slot, severity), more in values.items()
        if more
    }


def aggregate_episodes(
    episodes: Iterable[Episode], *, interval_ns: int, bounds_ns: tuple[int, ...]
) -> dict[IntervalKey, Counts]:
    """Return the counts of closed episodes by severity and cause, each in the interval in which it ended."""
    counts: dict[IntervalKey, Counts] = {}
    for episode in episodes:
        labels = (("cause", episode.cause), ("severity", episode.severity.label))
        start_ns = episode.end_ns // interval_ns * interval_ns
        key = IntervalKey(SeriesKey(Instrument.EPISODES, labels, bounds_ns), start_ns, start_ns + interval_ns)
        add(counts.setdefault(key, Counts()), count([episode.end_ns - episode.start_ns], bounds_ns))
    return counts
