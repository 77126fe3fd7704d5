"""Points that fill gaps, so that history looks as if it had been sent live. Pure.

While other series of its source continue, an idle series is repeated. A receiver takes a series without points for some
minutes (5 in Prometheus) as ended, and takes the distance of two points as the time of the counts between them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from otel_logtail.model import Counts, Point, SeriesKey, SourceInfo

FILL_NS = 240 * 10**9
"""The longest gap between two points of a series: less than the 5 minutes of Prometheus, more than that of live
repeats."""

LONGEST_NS = 24 * 3600 * 10**9
"""A longer gap of a whole source is not filled: the source was not running."""


class Known(msgspec.Struct):
    """A series as a receiver has it: its last point, the total in it, and the start of that total.

    ``id`` is the store's id of the series with the bounds that were sent last.
    """

    id: int
    source: SourceInfo
    series: SeriesKey
    start_ns: int
    time_ns: int
    total: Counts

    @property
    def name(self) -> tuple[object, ...]:
        """The identity of the series at a receiver. Bounds are not part of it."""
        return self.series.instrument, self.series.attributes

    def repeated(self, time_ns: int) -> Point:
        """Return a point that repeats the total at this time, and note it as the last point."""
        last_ns, self.time_ns = self.time_ns, time_ns
        return Point(0, self.source, self.series, self.start_ns, last_ns, time_ns, Counts(), self.total)


def repeats(known: Iterable[Known], end_ns: int, coming: Collection[int]) -> Iterator[Point]:
    """Yield the repeats to send before the points of one interval of a source, in order, and update ``known``.

    Args:
        known: All series of the source that the receiver has.
        end_ns: The end of the interval, which is the time of its points.
        coming: The ids of the series that have counts in the interval.
    """
    sent = list(known)
    newest_ns = max((one.time_ns for one in sent), default=end_ns)
    if end_ns - newest_ns > LONGEST_NS:
        yield from _repeated([one for one in sent if one.id not in coming], end_ns)
        return
    while sent and (tick_ns := max(min(one.time_ns for one in sent), newest_ns - FILL_NS) + FILL_NS) < end_ns:
        yield from _repeated(sent, tick_ns)


def _repeated(sent: Iterable[Known], tick_ns: int) -> Iterator[Point]:
    for one in sent:
        # series that are due soon are repeated, too: so all get the same times and share a request
        if tick_ns - one.time_ns >= FILL_NS // 2:
            yield one.repeated(tick_ns)
