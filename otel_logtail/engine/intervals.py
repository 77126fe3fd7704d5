"""Samples become counts per series and interval of event time. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from otel_logtail.counts import Rows, add, count, count_stages, extent, merge_attributes
from otel_logtail.engine.episodes import Growth
from otel_logtail.model import (
    Attributes,
    Counts,
    Episode,
    Hit,
    Instrument,
    IntervalKey,
    Samples,
    SeriesKey,
    Severity,
    Shape,
)

BREACH_NS = 10**9
"""The longest interval in which breaches are counted. They are few, and should be exported soon."""


def aggregate(
    samples: Samples,
    hits: Sequence[Hit],
    *,
    attributes: Attributes,
    interval_ns: int,
    bounds_ns: tuple[int, ...],
) -> dict[IntervalKey, Counts]:
    """Return the counts of a run of samples by series and interval.

    Args:
        samples: All samples, in any order.
        hits: The samples that are not ok.
        attributes: The attributes from their file's name, in addition to those of their shapes.
        interval_ns: The length of an interval; intervals start at its multiples. Those of breaches are at most 1 s.
        bounds_ns: The bounds of the explicit histogram.
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


@lru_cache(maxsize=512)  # usually as many as live paths; a key that is made once is hashed once
def _series_of(
    shape: Shape, attributes: Attributes, bounds_ns: tuple[int, ...]
) -> tuple[SeriesKey, tuple[SeriesKey, ...]]:
    """Return the series of a shape's durations, and one series for each of its stages."""
    own = merge_attributes(shape.attributes, attributes)
    others = tuple(attribute for attribute in own if attribute[0] != "stage")
    at = bisect_left([name for name, _ in others], "stage")
    before, behind = others[:at], others[at:]
    return (
        SeriesKey(Instrument.DURATION, own, bounds_ns),
        tuple(SeriesKey(Instrument.STAGE, (*before, ("stage", stage), *behind), bounds_ns) for stage in shape.stages),
    )


def _groups(samples: Samples, interval_ns: int) -> Iterator[tuple[Shape, int, Sequence[int], Rows, int, int]]:
    """Yield the samples of each shape and interval: shape, interval number, durations, and rows of stages[from:to]."""
    times, shapes = samples.time_ns, samples.shapes
    if not times:
        return
    if shapes.count(shapes[0]) == len(shapes) and extent(times)[2]:
        # the usual case: one kind of line, in the order of time
        begin = 0
        while begin < len(times):
            slot = times[begin] // interval_ns
            end = bisect_left(times, (slot + 1) * interval_ns, begin)
            yield shapes[0], slot, samples.duration_ns[begin:end], samples.stage_ns, begin, end
            begin = end
        return
    slots = [time_ns // interval_ns for time_ns in times]
    groups: dict[tuple[int, int], list[int]] = {}
    # an observer makes a shape once, so its identity is used for its value: hashing it would cost more
    for index, key in enumerate(zip(map(id, shapes), slots, strict=True)):
        groups.setdefault(key, []).append(index)
    for (_, slot), places in groups.items():
        durations = [samples.duration_ns[place] for place in places]
        yield shapes[places[0]], slot, durations, [samples.stage_ns[place] for place in places], 0, len(places)


def aggregate_growth(growth: Iterable[Growth], *, interval_ns: int) -> dict[IntervalKey, Counts]:
    """Return the growth of the time within episodes, by severity and by the interval of the breach."""
    values: dict[tuple[int, Severity], list[int]] = {}
    for time_ns, severity, more_ns in growth:
        values.setdefault((time_ns // interval_ns, severity), []).append(more_ns)
    return {
        IntervalKey(
            SeriesKey(Instrument.EPISODE_TIME, (("severity", severity.label),)),
            slot * interval_ns,
            (slot + 1) * interval_ns,
        ): count(more, ())
        for (slot, severity), more in values.items()
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
