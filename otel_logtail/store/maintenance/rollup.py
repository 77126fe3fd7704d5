"""Roll-up: delivered intervals become minutes, and then hours. Counts stay, only their times get coarser.

A merged row keeps the highest id of its rows, so no id is used twice. Damaged counts are not merged: a reader could no
longer detect the damage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from otel_logtail.counts import add
from otel_logtail.model import Counts, Stream
from otel_logtail.store.connection import meta, one, series_bounds, set_meta, transaction
from otel_logtail.store.maintenance.steps import NOTHING, SECOND, Delivered, Steps, Tuning
from otel_logtail.store.rows import CLOSED, COUNTS, IDS, counts_row, counts_to_read, json_ids, marks, whole_in_all
from otel_logtail.store.sparse import Closed, closed_of, count_texts, series_of

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
    """The undamaged rows of values of one set of series in one slot.

    ``ids`` are those of the rows, ``counts`` those of each series, and ``start_ns`` and ``end_ns`` the span of a row.
    """

    series: tuple[int, ...]
    ids: list[int]
    counts: list[Counts]
    start_ns: int
    end_ns: int
    first_breach: int
    last_breach: int

    def each(self) -> Iterator[_Group]:
        """Yield the sum of each series, with the highest of its ids."""
        ids = range(max(self.ids) - len(self.series) + 1, max(self.ids) + 1)
        span = (self.start_ns, self.end_ns)
        for id_, series, counts in zip(ids, self.series, self.counts, strict=True):
            yield _Group(id_, series, *span, counts, self.first_breach, self.last_breach, [])


_Slot = tuple[int, int]
"""The id of a series, or of a set of series, and the number of an interval of the new length."""


class Rollup:
    """The roll-up of a store's intervals.

    ``delivered`` and ``pass_over`` read and move the cursors of exporters; ``tuning`` bounds one transaction.
    """

    def __init__(self, db: sqlite3.Connection, delivered: Delivered, pass_over: PassOver, tuning: Tuning) -> None:
        self._db = db
        self._delivered = delivered
        self._pass_over = pass_over
        self._rows = dict(zip(CLOSED, (tuning.intervals, tuning.rows), strict=True))

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
            end_ns = self._end_of_page(start_ns, length_ns, until_ns, tables)
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

    def _end_of_page(self, start_ns: int, length_ns: int, until_ns: int, tables: Sequence[str]) -> int:
        """Return the end of the slots that hold about as many of the next rows as one transaction may take."""
        nth = "SELECT end_ns FROM {} WHERE end_ns > ? ORDER BY end_ns LIMIT 1 OFFSET ?"
        ends = (one(self._db, nth.format(table), start_ns, self._rows[table] - 1) for table in tables)
        last_ns = min((end_ns for end_ns in ends if end_ns is not None), default=until_ns)
        return min(max(start_ns + length_ns, last_ns // length_ns * length_ns), until_ns)

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
        bounds_ns = series_bounds(self._db)
        alike = self._alike(length_ns, within, parameters, bounds_ns) if "sparse_interval" in tables else {}
        valued: dict[_Slot, list[tuple[_Values, _Group]]] = {}
        for (_, slot), rows in alike.items():
            for group in rows.each():
                valued.setdefault((group.series, slot), []).append((rows, group))
        groups: dict[_Slot, _Group] = {}
        for of, slot in counted.keys() | valued.keys():
            span = (slot * length_ns, (slot + 1) * length_ns)
            merged = _merged((of, *span), counted.get((of, slot), []), valued.get((of, slot), []), bounds_ns[of])
            if merged is not None:
                groups[of, slot] = merged
        gone: list[int] = []
        left: list[_Group] = []
        for (_, slot), rows in alike.items():
            if any((of, slot) in groups for of in rows.series):
                gone += rows.ids
                # a series that has one row in its slot stays as it is, but no longer in a row of values
                left += [group for group in rows.each() if (group.series, slot) not in groups]
        return [*groups.values(), *left], gone

    def _alike(
        self, length_ns: int, within: str, parameters: tuple[int, ...], bounds_ns: Mapping[int, tuple[int, ...]]
    ) -> dict[_Slot, _Values]:
        """Return the rows of values that satisfy a condition, by the id of their set of series and their slot."""
        found: dict[_Slot, list[tuple[Any, ...]]] = {}
        for row in self._db.execute(
            "SELECT series_set, start_ns / ?, id, start_ns, end_ns, first_breach, last_breach, CAST(samples AS BLOB)"
            f" FROM sparse_interval WHERE {within}",
            (length_ns, *parameters),
        ):
            found.setdefault(row[:2], []).append(row)
        sets = {set_: series_of(self._db, set_) for set_ in {set_ for set_, _ in found}}
        alike: dict[_Slot, _Values] = {}
        for key, rows in found.items():
            series = sets[key[0]]
            counts, places = count_texts([row[-1] for row in rows], tuple(bounds_ns[of] for of in series))
            if places:
                _, _, ids, starts, ends, firsts, lasts, _ = zip(*(rows[place] for place in places), strict=True)
                first = min(filter(None, firsts), default=0)
                alike[key] = _Values(series, list(ids), counts, starts[0], ends[0], first, max(lasts))
        return alike

    def _write(self, groups: list[_Group], gone: list[int]) -> None:
        db = self._db
        db.execute(f"DELETE FROM sparse_interval WHERE id IN {IDS}", (json_ids(gone),))
        db.executemany("DELETE FROM interval WHERE id = ?", [(id_,) for group in groups for id_ in group.replaced])
        columns = f"id, series, start_ns, end_ns, {COUNTS}, first_breach, last_breach"
        db.executemany(f"INSERT INTO interval ({columns}) VALUES ({marks(13)})", [group.row() for group in groups])


def _merged(
    place: tuple[int, int, int],
    counted: Sequence[Closed],
    valued: Sequence[tuple[_Values, _Group]],
    bounds_ns: tuple[int, ...],
) -> _Group | None:
    """Return the sum of the undamaged of some rows of one slot, or None if they are less than two."""
    of_values = sum(len(rows.ids) for rows, _ in valued)
    if len(counted) + of_values < 2:
        return None
    counts, whole = whole_in_all([row.columns for row in counted], bounds_ns)
    taken = [counted[at] for at in whole]
    if len(taken) + of_values < 2:
        return None
    for _, group in valued:
        add(counts, group.counts)
    parts: list[Closed | _Group] = [*taken, *(group for _, group in valued)]
    first = min((part.first_breach for part in parts if part.first_breach), default=0)
    last = max(part.last_breach for part in parts)
    return _Group(max(part.id for part in parts), *place, counts, first, last, [row.id for row in taken])
