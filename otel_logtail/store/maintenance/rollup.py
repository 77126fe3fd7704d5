"""Roll-up: delivered intervals become minutes, and then hours. Counts stay, only their times get coarser.

A merged row keeps the highest id of its rows, so no id is used twice. Damaged counts are not merged: a reader could no
longer detect the damage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from otel_logtail.counts import add, count
from otel_logtail.model import Counts, Stream
from otel_logtail.store.connection import meta, one, series_bounds, set_meta, transaction
from otel_logtail.store.maintenance.steps import NOTHING, SECOND, Delivered, Steps
from otel_logtail.store.rows import COUNTS, counts_row, counts_to_read, marks, whole_in_all
from otel_logtail.store.sparse import Closed, SparseRow, closed_of, sparse_rows

PassOver = Callable[[Stream, int], Steps]
"""Moves all cursors past an id of a stream."""


class _Group(msgspec.Struct, frozen=True):
    """Rows of one series that become one, with their highest id: the ids of its counts, and the sum of all."""

    id: int
    series: int
    start_ns: int
    end_ns: int
    counts: Counts
    first_breach: int
    last_breach: int
    replaced: list[int]

    def row(self) -> tuple[object, ...]:
        """Return the row that replaces the others."""
        span = (self.id, self.series, self.start_ns, self.end_ns)
        return (*span, *counts_row(self.counts), self.first_breach, self.last_breach)


class _Values(msgspec.Struct, frozen=True):
    """The values of one series in some rows: the highest of its ids, the number of rows, and their breaches."""

    id: int
    rows: int
    values: list[int]
    first_breach: int
    last_breach: int


_Slot = tuple[int, int]
"""The id of a series, and the number of an interval of the new length."""


class Rollup:
    """The roll-up of a store's intervals.

    ``delivered`` and ``pass_over`` read and move the cursors of exporters; ``rows`` bounds one transaction.
    """

    def __init__(self, db: sqlite3.Connection, delivered: Delivered, pass_over: PassOver, rows: int) -> None:
        self._db = db
        self._delivered = delivered
        self._pass_over = pass_over
        self._rows = rows

    def merge(self, length_ns: int, until_ns: int, tables: Sequence[str]) -> Steps:
        """Merge intervals of these tables that every exporter has to intervals of this length, up to ``until_ns``."""
        db, key = self._db, f"merged_{length_ns // SECOND}_ns"
        until_ns -= until_ns % length_ns
        self._return_to_late_rows(length_ns, key, tables)
        while True:
            since_ns = int(meta(db, key) or 0)
            first_ns = self._least("SELECT min(end_ns) FROM {} WHERE end_ns > ?", since_ns, tables)
            if first_ns is None or first_ns > until_ns:
                return
            start_ns = max(since_ns, (first_ns - 1) // length_ns * length_ns)
            end_ns = min(self._end_of_page(start_ns, length_ns, tables), until_ns)
            waiting = "SELECT 1 FROM {} WHERE end_ns > ? AND end_ns <= ? AND id > ? LIMIT 1"
            delivered = self._delivered(Stream.INTERVALS)
            if any(one(db, waiting.format(table), start_ns, end_ns, delivered) for table in tables):
                return
            groups, gone = self._groups(length_ns, start_ns, end_ns, tables)
            highest = max((group.id for group in groups), default=0)
            yield from self._pass_over(Stream.INTERVALS, max([highest, *gone]))
            with transaction(db):
                self._write(groups, gone)
                set_meta(db, key, end_ns)
            yield NOTHING

    def _least(self, statement: str, value: int, tables: Sequence[str]) -> int | None:
        found = (one(self._db, statement.format(table), value) for table in tables)
        return min((int(least) for least in found if least is not None), default=None)

    def _return_to_late_rows(self, length_ns: int, key: str, tables: Sequence[str]) -> None:
        """Go back to new rows that belong where everything was merged: a log that was found late."""
        db = self._db
        known_id = int(meta(db, f"{key}_id") or 0)
        last_id = max(one(db, f"SELECT max(id) FROM {table}") or 0 for table in tables)
        if last_id <= known_id:
            return
        # "+" selects the new rows by id: by the index on end_ns they would be found last
        late_ns = self._least("SELECT min(+end_ns) FROM {} WHERE id > ?", known_id, tables)
        with transaction(db):
            if late_ns is not None and late_ns <= int(meta(db, key) or 0):
                set_meta(db, key, (late_ns - 1) // length_ns * length_ns)
            set_meta(db, f"{key}_id", last_id)

    def _end_of_page(self, start_ns: int, length_ns: int, tables: Sequence[str]) -> int:
        """Return the end of the slots that hold about as many of the next rows as one transaction may take."""
        ends = " UNION ALL ".join(f"SELECT end_ns FROM {table} WHERE end_ns > ?1" for table in tables)
        last_ns = one(self._db, f"SELECT max(end_ns) FROM ({ends} ORDER BY end_ns LIMIT ?2)", start_ns, self._rows)
        return max(start_ns + length_ns, (last_ns or 0) // length_ns * length_ns)

    def _groups(
        self, length_ns: int, since_ns: int, until_ns: int, tables: Sequence[str]
    ) -> tuple[list[_Group], list[int]]:
        """Return the rows that become one, and the ids of the rows of values that are replaced with them."""
        within = "end_ns > ? AND end_ns <= ? AND end_ns - start_ns < ? AND start_ns / ? = (end_ns - 1) / ?"
        parameters = (since_ns, until_ns, length_ns, length_ns, length_ns)
        counted: dict[_Slot, list[Closed]] = {}
        for row in self._db.execute(
            f"SELECT id, series, start_ns, end_ns, first_breach, last_breach, {counts_to_read()} FROM interval"
            f" WHERE {within}",
            parameters,
        ):
            counted.setdefault((row[1], row[2] // length_ns), []).append(closed_of(row))
        alike: dict[tuple[tuple[int, ...], int], list[SparseRow]] = {}
        for sparse in sparse_rows(self._db, within, *parameters) if "sparse_interval" in tables else ():
            if sparse.values:
                alike.setdefault((sparse.series, sparse.start_ns // length_ns), []).append(sparse)
        valued: dict[_Slot, list[_Values]] = {}
        for (series, slot), rows in alike.items():
            for place, of in enumerate(series):
                valued.setdefault((of, slot), []).append(_values(rows, place))
        bounds_ns = series_bounds(self._db)
        groups: dict[_Slot, _Group] = {}
        for of, slot in counted.keys() | valued.keys():
            span = (slot * length_ns, (slot + 1) * length_ns)
            group = _merged((of, *span), counted.get((of, slot), []), valued.get((of, slot), []), bounds_ns[of])
            if group is not None:
                groups[of, slot] = group
        gone: list[int] = []
        left: list[_Group] = []
        for (series, slot), rows in alike.items():
            if any((of, slot) in groups for of in series):
                gone += [sparse.id for sparse in rows]
                # a series that has one row in its slot stays as it is, but no longer in a row of values
                lone = [one for one in rows[0].closed() if (one.series, slot) not in groups]
                left += [_as_counts(one, bounds_ns[one.series]) for one in lone]
        return [*groups.values(), *left], gone

    def _write(self, groups: list[_Group], gone: list[int]) -> None:
        db = self._db
        db.executemany("DELETE FROM sparse_interval WHERE id = ?", [(id_,) for id_ in gone])
        db.executemany("DELETE FROM interval WHERE id = ?", [(id_,) for group in groups for id_ in group.replaced])
        columns = f"id, series, start_ns, end_ns, {COUNTS}, first_breach, last_breach"
        db.executemany(f"INSERT INTO interval ({columns}) VALUES ({marks(13)})", [group.row() for group in groups])


def _values(rows: Sequence[SparseRow], place: int) -> _Values:
    """Return the values at a place of rows of the same series."""
    highest = max(row.id for row in rows) - len(rows[0].series) + 1 + place
    first = min((row.first_breach for row in rows if row.first_breach), default=0)
    values = [value for row in rows if row.values for value in row.values[place]]
    return _Values(highest, len(rows), values, first, max(row.last_breach for row in rows))


def _merged(
    place: tuple[int, int, int], counted: Sequence[Closed], valued: Sequence[_Values], bounds_ns: tuple[int, ...]
) -> _Group | None:
    """Return the sum of the undamaged of some rows of one slot, or None if they are less than two."""
    if len(counted) + sum(one.rows for one in valued) < 2:
        return None
    counts, whole = whole_in_all([row.columns for row in counted], bounds_ns)
    taken = [counted[at] for at in whole]
    if len(taken) + sum(one.rows for one in valued) < 2:
        return None
    for values in valued:
        add(counts, count(values.values, bounds_ns))
    parts: list[Closed | _Values] = [*taken, *valued]
    first = min((part.first_breach for part in parts if part.first_breach), default=0)
    last = max(part.last_breach for part in parts)
    return _Group(max(part.id for part in parts), *place, counts, first, last, [row.id for row in taken])


def _as_counts(one: Closed, bounds_ns: tuple[int, ...]) -> _Group:
    counts, _ = one.counts(bounds_ns)
    return _Group(one.id, one.series, one.start_ns, one.end_ns, counts, one.first_breach, one.last_breach, [])
