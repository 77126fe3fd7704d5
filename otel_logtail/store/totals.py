"""What a receiver is sent next of each series of one source. Pure: decided here and nowhere else.

For a receiver, a series is resource, scope, name and attributes. Its bucket bounds are not part of that, so of all
series of a store that differ only in their bounds a receiver knows one at a time. Rules:

  * a series begins with a 0, so that its first counts are an increase for a receiver;
  * its times grow by :data:`~otel_logtail.store.rows.STEP_NS` at least, and its total never falls under one start time;
  * other bounds end it and begin it anew: with a start time later than the last point, whatever time the counts are of;
  * the points of one source never go back in time, but for counts that are later than :data:`LATE_NS`. Prometheus
    derives one more series (``target_info``) from the resource of a request at the times of the request, and refuses
    the whole request where that would go back (docs/decisions/0088).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from otel_logtail.counts import add
from otel_logtail.model import BreachRecord, Counts, Point, SeriesKey, SourceInfo
from otel_logtail.store.gaps import FILL_NS, Known, repeats
from otel_logtail.store.rows import STEP_NS

LATE_NS = 600 * 10**9
"""Counts that are late by less are sent with the time that their source has come to: requests take so long, and their
lines are written as late. What is later (a log that was found late) keeps its own time."""

SKIP_NS = 600 * 10**9
"""How far past the intervals that a newer copy of the store has sent late ones still count as sent."""


class Reach(msgspec.Struct):
    """How far one source was sent to one receiver.

    ``end_ns`` is the latest end of an interval that it has, ``time_ns`` the latest time of a point. Series that begin
    start later than ``after_ns``. Intervals up to ``skip_ns`` were sent by a newer copy of this store.
    """

    end_ns: int = 0
    time_ns: int = 0
    after_ns: int = 0
    skip_ns: int = 0


class Row(msgspec.Struct, frozen=True):
    """Counts of one series that are to be sent, and the start of the time that they are of."""

    id: int
    series_id: int
    series: SeriesKey
    begin_ns: int
    delta: Counts
    exemplars: tuple[BreachRecord, ...] = ()


class Totals:
    """What one receiver knows of one source. What it is sent next is known from then on."""

    def __init__(self, source: SourceInfo, reach: Reach, known: Iterable[Known] = ()) -> None:
        self.source = source
        self.reach = reach
        self.known = {one.name: one for one in known}
        # no point is older: times only grow, so an old minimum is still a lower bound
        self._oldest_ns = 0

    def interval(self, end_ns: int, rows: Sequence[Row], behind: Sequence[Row] = ()) -> Iterator[Point]:
        """The points for the counts of one interval, and those that come before them.

        ``behind`` is what belongs to the interval and comes later, so that the points are the same however they are
        cut into batches.
        """
        coming = {row.series_id for row in (*rows, *behind)}
        if end_ns - self._oldest_ns > FILL_NS:
            yield from map(self._noted, repeats(self.known.values(), end_ns, coming))
            self._oldest_ns = min((one.time_ns for one in self.known.values()), default=end_ns)
        for row in (*rows, *behind):
            if _name(row.series) not in self.known:
                yield self._begin(row)
        for row in rows:
            yield from self._next(row, end_ns)

    def beginnings(self, rows: Iterable[Row]) -> Iterator[Point]:
        """The 0 of each series that the receiver does not have yet, before any of the counts that it is owed.

        These counts may have been on their way when their intervals left the store, behind a 0 that was not earlier
        than this one: where the receiver has both, this one does no harm.
        """
        for row in sorted(rows, key=lambda row: row.begin_ns):
            if _name(row.series) not in self.known:
                yield self._begin(row)

    def owed(self, time_ns: int, row: Row) -> Iterator[Point]:
        """The points for counts whose intervals left the store before the receiver was known to have them."""
        if _name(row.series) not in self.known:
            yield self._begin(row)
        yield from self._next(row, time_ns)

    def silent(self, time_ns: int, older_ns: int) -> Iterator[Point]:
        """A repetition, at this time, of every series whose last point is so much older."""
        time_ns = self._in_order(time_ns)
        if time_ns - self._oldest_ns < older_ns:
            return
        for one in self.known.values():
            if time_ns - one.time_ns >= older_ns:
                yield self._noted(one.repeated(time_ns))
        self._oldest_ns = min((one.time_ns for one in self.known.values()), default=time_ns)

    def _begin(self, row: Row) -> Point:
        before = self.known.get(_name(row.series))
        after_ns = self.reach.after_ns if before is None else before.time_ns
        start_ns = max(row.begin_ns, after_ns + STEP_NS) if after_ns else row.begin_ns
        time_ns = self._in_order(start_ns)
        zero = Counts(explicit=[0] * (len(row.series.bounds_ns) + 1))
        one = Known(row.series_id, self.source, row.series, start_ns, time_ns, zero)
        self.known[one.name] = one
        self._oldest_ns = min(self._oldest_ns, time_ns)
        return self._noted(Point(0, self.source, row.series, start_ns, start_ns, time_ns, Counts(), zero))

    def _next(self, row: Row, end_ns: int) -> Iterator[Point]:
        one = self.known[_name(row.series)]
        if one.id != row.series_id:
            yield self._begin(row)
            one = self.known[_name(row.series)]
        total = Counts()
        add(total, one.total)
        add(total, row.delta)
        if not total.count:
            total.explicit = one.total.explicit
        # the first counts are those since the start, wherever the 0 stands
        previous_ns = one.time_ns if one.total.count else one.start_ns
        one.time_ns, one.total = self._in_order(max(end_ns, one.time_ns + STEP_NS)), total
        start_ns, time_ns = one.start_ns, one.time_ns
        yield self._noted(
            Point(row.id, self.source, row.series, start_ns, previous_ns, time_ns, row.delta, total, row.exemplars)
        )

    def _in_order(self, time_ns: int) -> int:
        sent_ns = self.reach.time_ns
        return sent_ns if time_ns < sent_ns <= time_ns + LATE_NS else time_ns

    def _noted(self, point: Point) -> Point:
        self.reach.time_ns = max(self.reach.time_ns, point.time_ns)
        return point


def _name(series: SeriesKey) -> tuple[object, ...]:
    return series.instrument, series.attributes
