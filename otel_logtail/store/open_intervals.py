"""Open intervals: counts that still grow, until they become final.

Only the store's writer changes them, so the counts that it wrote last are also kept in memory. The memory is bounded;
counts that it no longer holds are read from the store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from operator import attrgetter
from typing import Any, cast

import msgspec

from otel_logtail.counts import add, count
from otel_logtail.model import Batch, Counts, IntervalKey, SparseInterval
from otel_logtail.store.connection import one
from otel_logtail.store.rows import (
    COUNTS,
    Repaired,
    counts_or_mean,
    counts_row,
    counts_to_read,
    decode_bounds,
    marks,
    whole_in_all,
)
from otel_logtail.store.series import SeriesTable
from otel_logtail.store.sparse import decode_values
from otel_logtail.store.sparse_table import Known, SeriesSet, SparseTable

NO_BREACHES = (0, 0)

_PUT = (
    f"INSERT INTO open_interval (series, start_ns, end_ns, {COUNTS}, first_breach, last_breach) VALUES ({marks(12)})"
    f" ON CONFLICT DO UPDATE SET ({COUNTS}) = (excluded.{', excluded.'.join(COUNTS.split(', '))}),"
    " first_breach = ifnull(nullif(first_breach, 0), excluded.first_breach),"
    " last_breach = max(last_breach, excluded.last_breach)"
)

_MOST = 2_000
"""Intervals in memory."""

_Place = tuple[int, int, int]
"""The id of a series, and the start and end of an interval of it."""


class _Grown(msgspec.Struct, frozen=True):
    """Counts to write, and the ids of the first and the last breach among them."""

    counts: Counts
    first: int
    last: int


class OpenIntervals:
    """The open intervals of one store, on its writer's connection."""

    def __init__(self, db: sqlite3.Connection, series: SeriesTable) -> None:
        self._db = db
        self._series = series
        self._sparse_table = SparseTable(db, series)
        self._sparse: list[Known] = []
        self._breaches = NO_BREACHES
        self._memory: dict[_Place, Counts] = {}
        self._grown: dict[_Place, _Grown] = {}
        self.repaired = Repaired()
        """Damaged counts that were replaced by their mean since this was set to 0."""
        self.most_buckets = 60_000
        """Buckets in memory: about 100 bytes each."""
        self.most_closed = 5_000
        """About so many intervals become final in one transaction."""

    def forget(self) -> None:
        """Forget what is in memory: the transaction was rolled back, or something else changed the table."""
        self._memory.clear()
        self._grown.clear()
        self._sparse.clear()
        self._sparse_table.forget()

    def add(self, batch: Batch, breaches: tuple[int, int]) -> None:
        """Add the counts of a batch, and the first and last id of its breaches. :meth:`write` writes them.

        :meth:`close` writes its sparse intervals.
        """
        self._breaches = breaches
        self._sparse = []
        final_ns = batch.seal_until_ns or 0
        sets: dict[int, SeriesSet | None] = {}  # by the identity of the series, which most intervals share
        for interval in sorted(batch.sparse, key=attrgetter("end_ns")):
            found = sets.get(id(interval.series)) if interval.end_ns <= final_ns else None
            if interval.end_ns <= final_ns and (found is None or found.start_ns > interval.start_ns):
                found = sets[id(interval.series)] = self._sparse_table.set_of(batch.source, interval)
            if found is None:
                self._count(batch.source, interval)
            else:
                self._sparse.append((interval, found))
        for key, more in batch.counts.items():
            self._grow(batch.source, key, more)

    def _grow(self, source: int, key: IntervalKey, more: Counts) -> None:
        series, breaches = self._series.of(source, key), self._breaches
        place = (series.id, key.start_ns, key.end_ns)
        before = self._grown.get(place)
        counts = before.counts if before else self._memory.get(place)
        if counts is None:
            counts = Counts() if key.start_ns >= series.open_ns else self._read(place)
            if len(self._memory) >= _MOST:
                self._memory.clear()
        add(counts, more)  # a copy if these are the first counts: a batch is never changed
        first, last = (before.first or breaches[0], max(before.last, breaches[1])) if before else breaches
        self._grown[place] = _Grown(counts, first, last)
        self._memory[place] = counts
        series.open_ns = max(series.open_ns, key.end_ns)

    def _count(self, source: int, interval: SparseInterval) -> None:
        """Count an interval that was to be stored as values."""
        for series, values in zip(interval.series, decode_values(interval.samples) or (), strict=True):
            key = IntervalKey(series, interval.start_ns, interval.end_ns)
            self._grow(source, key, count(values, series.bounds_ns))

    def _count_those(self, source: int, is_counted: Callable[[int], bool]) -> None:
        """Add the counts of the sparse intervals whose end satisfies a condition to the open ones."""
        for interval, _ in self._sparse:
            if is_counted(interval.end_ns):
                self._count(source, interval)
        self._sparse = [found for found in self._sparse if not is_counted(found[0].end_ns)]
        self.write()

    def write(self) -> None:
        """Write the counts that were added since the last call: once for many batches."""
        if not self._grown:
            return
        rows = [(*place, *counts_row(each.counts), each.first, each.last) for place, each in self._grown.items()]
        self._db.executemany(_PUT, rows)
        self._grown.clear()
        if sum(len(counts.exponential) for counts in self._memory.values()) > self.most_buckets:
            self._memory.clear()

    def first_end_ns(self, source: int) -> int | None:
        """Return the earliest end of a source's open intervals, or None if there is none."""
        return self._edge(source, "end_ns", "ASC")

    def last_start_ns(self, source: int) -> int | None:
        """Return the latest start of a source's open intervals, or None if there is none."""
        return self._edge(source, "start_ns", "DESC")

    def _edge(self, source: int, column: str, order: str) -> int | None:
        found = one(
            self._db,
            f"SELECT o.{column} FROM open_interval AS o JOIN series AS s ON s.id = o.series"
            f" WHERE s.source = ? ORDER BY o.{column} {order} LIMIT 1",
            source,
        )
        return cast("int | None", found)

    def close(self, source: int, until_ns: int, is_last: bool) -> int:
        """Make a source's intervals final that end by then; returns how many.

        ``is_last``: no line follows, so the time of the log is that of the last interval.
        """
        self.write()
        if self._sparse:  # rows of the same end are in the order of their series, so all of them are counted
            ends = self._db.execute(
                "SELECT DISTINCT end_ns FROM open_interval AS o JOIN series AS s ON s.id = o.series"
                " WHERE o.end_ns <= ? AND s.source = ?",
                (until_ns, source),
            )
            self._count_those(source, {end_ns for (end_ns,) in ends}.__contains__)
        places: list[_Place] = self._db.execute(
            "SELECT series, o.start_ns, end_ns FROM open_interval AS o JOIN series AS s ON s.id = o.series"
            " WHERE o.end_ns <= ? AND s.source = ? ORDER BY o.end_ns LIMIT ?",
            (until_ns, source, self.most_closed),
        ).fetchall()
        if len(places) == self.most_closed:  # the clock was set forward: the others follow in further transactions
            until_ns = places[-1][2]
            self._count_those(source, until_ns.__lt__)
        if places or not is_last:
            # not the latest time ever: if the machine's clock was ahead, this time goes back with the clock
            log_ns = places[-1][2] if is_last else until_ns
            self._db.execute("UPDATE source SET sealed_ns = ? WHERE id = ?", (log_ns, source))
        if not places and not self._sparse:
            return 0
        # beyond the limit, more intervals end together than these places
        if len(places) == self.most_closed or not self._memory.keys() >= set(places):
            self._repair(source, until_ns)
        closed = self._make_final(source, until_ns)
        self._memory = {place: counts for place, counts in self._memory.items() if place[2] > until_ns}
        self._db.execute(
            "DELETE FROM open_interval WHERE end_ns <= ? AND series IN (SELECT id FROM series WHERE source = ?)",
            (until_ns, source),
        )
        return closed

    def _make_final(self, source: int, until_ns: int) -> int:
        """Copy what ends by then to the closed intervals; returns how many there are."""
        # in order of time, so that an exporter reads the intervals of each series in order
        due = (
            "FROM open_interval AS o JOIN series AS s ON s.id = o.series"
            " WHERE o.end_ns <= ? AND s.source = ? ORDER BY o.end_ns, o.start_ns, o.series"
        )
        if self._sparse:
            places = self._db.execute(f"SELECT end_ns, o.start_ns, o.series {due}", (until_ns, source)).fetchall()
            sparse, self._sparse = self._sparse, []
            return self._sparse_table.put(sparse, places, self._breaches)
        return self._db.execute(
            f"INSERT INTO interval (series, start_ns, end_ns, {COUNTS}, first_breach, last_breach)"
            f" SELECT series, o.start_ns, end_ns, {COUNTS}, first_breach, last_breach {due}",
            (until_ns, source),
        ).rowcount

    def _read(self, place: _Place) -> Counts:
        row = self._db.execute(
            f"SELECT {counts_to_read()} FROM open_interval WHERE series = ? AND start_ns = ? AND end_ns = ?", place
        ).fetchone()
        if row is None:
            return Counts()
        bounds_ns = decode_bounds(one(self._db, "SELECT bounds FROM series WHERE id = ?", place[0]))
        counts, is_whole = counts_or_mean(row, bounds_ns)
        if not is_whole:  # SQLite cannot detect this damage. It is no reason to stop reading the log
            self.repaired += Repaired.of(counts)
        return counts

    def _repair(self, source: int, until_ns: int) -> None:
        """Replace damaged counts once, before they become final, instead of in each of their readers.

        Counts in memory are as good as when this process read or wrote them.
        """
        rows: dict[int, list[tuple[Any, ...]]] = {}
        for row in self._db.execute(
            f"SELECT {counts_to_read('o')}, series, o.start_ns, end_ns"
            " FROM open_interval AS o JOIN series AS s ON s.id = o.series WHERE o.end_ns <= ? AND s.source = ?",
            (until_ns, source),
        ):
            if row[-3:] not in self._memory:
                rows.setdefault(row[-3], []).append(row)
        for series, own in rows.items():
            bounds_ns = decode_bounds(one(self._db, "SELECT bounds FROM series WHERE id = ?", series))
            whole = set(whole_in_all([row[:-3] for row in own], bounds_ns)[1])
            damaged = [row for number, row in enumerate(own) if number not in whole]
            for *columns, _, start_ns, end_ns in damaged:
                counts, _ = counts_or_mean(columns, bounds_ns)
                self._db.execute(_PUT, (series, start_ns, end_ns, *counts_row(counts), *NO_BREACHES))
                self.repaired += Repaired.of(counts)
