"""The points between the points, so that what was read in a hurry looks as if it had been lived through. Pure.

A series begins with a 0 at its start: a receiver that has only ever seen the first count can't tell that it has grown.
And where others of its source go on, a series that is silent is repeated: a receiver takes what it has not heard of for
some minutes to have ended (5 in Prometheus), and guesses by the distance of points how far a count reaches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from otel_logtail.model import Counts, Point, SeriesKey, SourceInfo

FILL_NS = 240 * 10**9
"""How far a series' points may be apart: within the 5 minutes of Prometheus, and longer than live repeats are."""

LONGEST_NS = 24 * 3600 * 10**9
"""A source that gave nothing for longer was not running: that gap is left one."""


class Known(msgspec.Struct):
    """What a receiver knows of a series: its last point (None: nothing yet) and the total that it carried."""

    id: int
    source: SourceInfo
    series: SeriesKey
    start_ns: int
    time_ns: int | None = None
    total: Counts = msgspec.field(default_factory=Counts)

    @property
    def name(self) -> tuple[object, ...]:
        """What tells it from others at a receiver, who knows nothing of bounds."""
        return self.series.instrument, self.series.attributes


def fill(series: Iterable[Known], end_ns: int, coming: Collection[int]) -> Iterator[Point]:
    """The points to send before those of one interval of one source, in order; ``series`` is kept up to date.

    Args:
        series: All of the source's series that the receiver knows, and those that are coming.
        end_ns: When the interval ends, which is the time of its points.
        coming: The ids of the series that have counts in it.
    """
    series = list(series)
    latest: dict[tuple[object, ...], int] = {}
    for one in series:
        if one.time_ns is not None:
            latest[one.name] = max(one.time_ns, latest.get(one.name, 0))
    # after other thresholds the series with the old bounds has ended: a new one goes on under its name
    told = [one for one in series if one.time_ns is not None and one.time_ns == latest[one.name]]
    newest_ns = max(latest.values(), default=end_ns)
    if end_ns - newest_ns > LONGEST_NS:
        yield from _repeated([one for one in told if one.id not in coming], end_ns)
        told = []
    while told and (tick_ns := max(_oldest_ns(told), newest_ns - FILL_NS) + FILL_NS) < end_ns:
        yield from _repeated(told, tick_ns)
    for one in series:
        if one.id in coming and one.time_ns is None and one.name not in latest:
            one.total = Counts(explicit=[0] * (len(one.series.bounds_ns) + 1))
            yield Point(0, one.source, one.series, one.start_ns, one.start_ns, one.start_ns, Counts(), one.total)
            one.time_ns = one.start_ns


def _oldest_ns(told: Iterable[Known]) -> int:
    return min(one.time_ns for one in told if one.time_ns is not None)


def _repeated(told: Iterable[Known], tick_ns: int) -> Iterator[Point]:
    for one in told:
        # those that would be due soon come along, so that all fall into step and share a request
        if one.time_ns is not None and tick_ns - one.time_ns >= FILL_NS // 2:
            yield Point(0, one.source, one.series, one.start_ns, one.time_ns, tick_ns, Counts(), one.total)
            one.time_ns = tick_ns
