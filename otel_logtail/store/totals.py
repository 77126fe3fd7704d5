"""The total and the time of the next points of one source. Pure: only this module decides them.

At a receiver, a series is identified by resource, scope, name and attributes, not by its bucket bounds. So a receiver
has one series at a time of those that differ only in their bounds. Rules:

  * a series starts with a 0, so that its first counts are an increase;
  * its times grow by :data:`~otel_logtail.store.rows.STEP_NS` or more, and its total never falls under one start time;
  * other bounds end the series and start it again, with a start time later than its last point;
  * the points of one source never go back in time, except for counts that are late by more than :data:`LATE_NS`.
    Prometheus derives a further series (``target_info``) from the resource of each request, at the times of the
    request, and refuses the whole request if that series would go back (docs/decisions/0088).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from otel_logtail.counts import add, plus
from otel_logtail.model import BreachRecord, Counts, Point, SeriesKey, SourceInfo
from otel_logtail.store.gaps import FILL_NS, Known, repeats
from otel_logtail.store.rows import STEP_NS

LATE_NS = 600 * 10**9
"""Counts that are late by less are sent with the latest time of their source: a request may take so long, and its line
is written at its end. Later counts (a log that was found late) keep their own time."""

SKIP_NS = 600 * 10**9
"""A newer copy of the store sent intervals up to some time. Late ones count as sent until an interval ends so much
later."""


class Reach(msgspec.Struct):
    """The latest data of one source that one receiver has.

    ``end_ns`` is the latest end of an interval, ``time_ns`` the latest time of a point. New series start later than
    ``after_ns``. A newer copy of this store sent the intervals up to ``skip_ns``.
    """

    end_ns: int = 0
    time_ns: int = 0
    after_ns: int = 0
    skip_ns: int = 0


class Row(msgspec.Struct, frozen=True):
    """Counts of one series to send, and the start of their time."""

    id: int
    series_id: int
    series: SeriesKey
    begin_ns: int
    delta: Counts
    exemplars: tuple[BreachRecord, ...] = ()


class Owed(msgspec.Struct):
    """Counts of a series whose intervals were deleted before they were delivered.

    ``begin_ns`` is where they begin, and ``time_ns`` the earliest time of the point that carries them.
    """

    begin_ns: int
    time_ns: int
    counts: Counts

    @classmethod
    def after(cls, begin_ns: int, sent_ns: int) -> Owed:
        """Return empty counts that are sent after the last point of their source."""
        return cls(begin_ns, sent_ns + STEP_NS, Counts())

    def add(self, end_ns: int, counts: Counts) -> None:
        """Add the counts of an interval.

        A point with these counts may be in transit now. So that the receiver can accept both, the second point has the
        same start, and a later time.
        """
        add(self.counts, counts)
        self.time_ns = max(end_ns, self.time_ns) + STEP_NS


class Totals:
    """One source as one receiver has it. Points count as delivered once they are returned."""

    def __init__(self, source: SourceInfo, reach: Reach, known: Iterable[Known] = ()) -> None:
        self.source = source
        self.reach = reach
        self.known = {one.name: one for one in known}
        # no series has an older last point: times only grow, so an old minimum is still a lower bound
        self._oldest_ns = 0

    def interval(self, end_ns: int, rows: Sequence[Row], behind: Sequence[Row] = ()) -> Iterator[Point]:
        """Yield the points of one interval, after the points that must be sent before them.

        ``behind`` are rows of the same interval that follow in the next batch, so that the points do not depend on the
        size of a batch.
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
        """Yield the 0 of each series that the receiver does not have, before any owed counts.

        The counts may have been in transit when their intervals were deleted, after a 0 that was not earlier than this
        one. If the receiver has both, this one has no effect.
        """
        for row in sorted(rows, key=lambda row: row.begin_ns):
            if _name(row.series) not in self.known:
                yield self._begin(row)

    def owed(self, time_ns: int, row: Row) -> Iterator[Point]:
        """Yield the points for counts whose intervals were deleted before they were delivered."""
        if _name(row.series) not in self.known:
            yield self._begin(row)
        yield from self._next(row, time_ns)

    def silent(self, time_ns: int, older_ns: int) -> Iterator[Point]:
        """Yield repeats, at this time, of every series whose last point is so much older."""
        if not self.may_repeat(time_ns, older_ns):
            return
        time_ns = self._in_order(time_ns)
        for one in self.known.values():
            if time_ns - one.time_ns >= older_ns:
                yield self._noted(one.repeated(time_ns))
        self._oldest_ns = min((one.time_ns for one in self.known.values()), default=time_ns)

    def may_repeat(self, time_ns: int, older_ns: int) -> bool:
        """Return whether a series may be so much older than this time."""
        return self._in_order(time_ns) - self._oldest_ns >= older_ns

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
        total = plus(one.total, row.delta)
        # the first counts are those since the start, which may be earlier than the time of the 0
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
