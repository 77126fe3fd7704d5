"""The points between the points, so that what was read in a hurry looks as if it had been lived through. Pure.

Where others of its source go on, a series that is silent is repeated: a receiver takes what it has not heard of for
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
    """What a receiver knows of a series: its last point, the total that it carried, and since when that counts.

    ``id`` is the store's id of the series with the bounds that the receiver was told last.
    """

    id: int
    source: SourceInfo
    series: SeriesKey
    start_ns: int
    time_ns: int
    total: Counts

    @property
    def name(self) -> tuple[object, ...]:
        """What tells it from others at a receiver, who knows nothing of bounds."""
        return self.series.instrument, self.series.attributes

    def repeated(self, time_ns: int) -> Point:
        """Return the point that only repeats the total, at this time; it is known from then on."""
        last_ns, self.time_ns = self.time_ns, time_ns
        return Point(0, self.source, self.series, self.start_ns, last_ns, time_ns, Counts(), self.total)


def repeats(known: Iterable[Known], end_ns: int, coming: Collection[int]) -> Iterator[Point]:
    """The repetitions to send before the points of one interval of one source, in order; ``known`` is kept up to date.

    Args:
        known: All of the source's series that the receiver knows.
        end_ns: When the interval ends, which is the time of its points.
        coming: The ids of the series that have counts in it.
    """
    told = list(known)
    newest_ns = max((one.time_ns for one in told), default=end_ns)
    if end_ns - newest_ns > LONGEST_NS:
        yield from _repeated([one for one in told if one.id not in coming], end_ns)
        return
    while told and (tick_ns := max(min(one.time_ns for one in told), newest_ns - FILL_NS) + FILL_NS) < end_ns:
        yield from _repeated(told, tick_ns)


def _repeated(told: Iterable[Known], tick_ns: int) -> Iterator[Point]:
    for one in told:
        # those that would be due soon come along, so that all fall into step and share a request
        if tick_ns - one.time_ns >= FILL_NS // 2:
            yield one.repeated(tick_ns)
