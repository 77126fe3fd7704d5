"""Writes closed intervals of few samples: see :mod:`otel_logtail.store.sparse`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from otel_logtail.model import IntervalKey, SeriesKey, SparseInterval
from otel_logtail.store.connection import one
from otel_logtail.store.rows import COUNTS, marks
from otel_logtail.store.series import SeriesTable

_MOST_SETS = 2_000
"""Sets of series. Samples of other sets are counted: sets are never deleted, so their number may not depend on the log.
"""


class SeriesSet(NamedTuple):
    """The id of a set of series, their number, the order of their ids (None: it rises), and their latest start."""

    id: int
    number: int
    order: list[int] | None
    start_ns: int


Known = tuple[SparseInterval, SeriesSet]
"""An interval to store as values."""


class SparseTable:
    """The tables series_set and sparse_interval of one store, on its writer's connection."""

    def __init__(self, db: sqlite3.Connection, series: SeriesTable) -> None:
        self._db = db
        self._series = series
        self._sets: dict[tuple[int, tuple[SeriesKey, ...]], SeriesSet] = {}
        self._ids: dict[tuple[int, ...], int] = {}
        # written with their first row: until then the start of their series may still move (SeriesTable)
        self._new: list[tuple[int, int, int]] = []

    def forget(self) -> None:
        """Forget rows of a transaction that was rolled back."""
        self._sets.clear()
        self._ids.clear()
        self._new.clear()

    def set_of(self, source: int, interval: SparseInterval) -> SeriesSet | None:
        """Return the set of an interval's series, which are added if they are new; None: it must be counted."""
        known = self._sets.get((source, interval.series))
        if known is not None and known.start_ns <= interval.start_ns:
            return known
        found = [
            self._series.of(source, IntervalKey(key, interval.start_ns, interval.end_ns)) for key in interval.series
        ]
        ids = [series.id for series in found]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        if any(series.is_overflow for series in found) or len(set(ids)) < len(ids):
            return None
        id_ = self._id(tuple(ids[place] for place in order))
        if id_ is None:
            return None
        if len(self._sets) >= _MOST_SETS:
            self._sets.clear()
        start_ns = max(series.start_ns for series in found)
        in_order = None if order == list(range(len(ids))) else order
        self._sets[source, interval.series] = SeriesSet(id_, len(ids), in_order, start_ns)
        return self._sets[source, interval.series]

    def _id(self, series: tuple[int, ...]) -> int | None:
        """Return the id of a set of series, which is added if it is new; None: there are too many."""
        if not self._ids:
            members: dict[int, list[int]] = {}
            for id_, of in self._db.execute("SELECT id, series FROM series_set ORDER BY id, place"):
                members.setdefault(id_, []).append(of)
            self._ids = {tuple(found): id_ for id_, found in members.items()}
        if series not in self._ids:
            if len(self._ids) >= _MOST_SETS:
                return None
            self._ids[series] = max(self._ids.values(), default=0) + 1
            self._new += [(self._ids[series], place, of) for place, of in enumerate(series)]
        return self._ids[series]

    def put(self, sparse: Sequence[Known], places: Sequence[tuple[int, int, int]], breaches: tuple[int, int]) -> int:
        """Make intervals final, together with open ones that have other ends; returns the number of new ids.

        Args:
            sparse: The intervals by time.
            places: End, start and series of open intervals, in this order.
            breaches: The first and the last breach of the sparse intervals.
        """
        first = last = int(one(self._db, "SELECT seq FROM sqlite_sequence WHERE name = 'interval'") or 0)
        rows: list[tuple[object, ...]] = []
        counted: list[tuple[int, int, int, int]] = []
        waiting = list(reversed(places))
        for interval, (set_, number, order, _) in sparse:
            while waiting and waiting[-1][0] < interval.end_ns:
                last += 1
                counted.append((last, *waiting.pop()))
            first_id, last = last + 1, last + number
            samples = interval.samples if order is None else _in_order(interval.samples, order)
            rows.append((last, first_id, set_, interval.start_ns, interval.end_ns, samples, *breaches))
        counted += [(id_, *place) for id_, place in enumerate(reversed(waiting), last + 1)]
        last += len(waiting)
        columns = f"series, start_ns, end_ns, {COUNTS}, first_breach, last_breach"
        self._db.executemany(
            f"INSERT INTO interval (id, {columns}) SELECT ?, {columns} FROM open_interval"
            " WHERE end_ns = ? AND start_ns = ? AND series = ?",
            counted,
        )
        self._db.executemany("INSERT INTO series_set VALUES (?, ?, ?)", self._new)
        self._new.clear()
        self._db.executemany(f"INSERT INTO sparse_interval VALUES ({marks(8)})", rows)
        # no id is used twice: the next interval that is counted comes after these
        if not self._db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'interval'", (last,)).rowcount:
            self._db.execute("INSERT INTO sqlite_sequence VALUES ('interval', ?)", (last,))
        return last - first


def _in_order(samples: str, order: Sequence[int]) -> str:
    """Return the text of values with its arrays in another order."""
    arrays = samples[2:-2].split("],[")
    return f"[[{'],['.join([arrays[place] for place in order])}]]"
