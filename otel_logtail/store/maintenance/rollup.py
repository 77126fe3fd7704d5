"""Roll-up: delivered intervals become minutes, and then hours. Counts stay, only their times get coarser.

A merged row keeps the highest id of its rows, so no id is used twice. Damaged counts are not merged: a reader could no
longer detect the damage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

from otel_logtail.model import Counts, Stream
from otel_logtail.store.connection import meta, one, series_bounds, set_meta, transaction
from otel_logtail.store.maintenance.steps import NOTHING, SECOND, Delivered, Steps
from otel_logtail.store.rows import COUNTS, counts_row, counts_to_read, marks, whole_in_all

PassOver = Callable[[Stream, int], Steps]
"""Moves all cursors past an id of a stream."""


class _Group(msgspec.Struct, frozen=True):
    """Rows that become one: the number of their slot, their ids, and the sum of their counts."""

    slot: int
    ids: list[int]
    counts: Counts
    first_breach: int
    last_breach: int


class Rollup:
    """The roll-up of a store's intervals.

    ``delivered`` and ``pass_over`` read and move the cursors of exporters; ``rows`` bounds one transaction.
    """

    def __init__(self, db: sqlite3.Connection, delivered: Delivered, pass_over: PassOver, rows: int) -> None:
        self._db = db
        self._delivered = delivered
        self._pass_over = pass_over
        self._rows = rows

    def merge(self, length_ns: int, until_ns: int) -> Steps:
        """Merge intervals that every exporter has to intervals of this length, up to ``until_ns``."""
        db, key = self._db, f"merged_{length_ns // SECOND}_ns"
        until_ns -= until_ns % length_ns
        self._return_to_late_rows(length_ns, key)
        while True:
            since_ns = int(meta(db, key) or 0)
            first_ns = one(db, "SELECT min(end_ns) FROM interval WHERE end_ns > ?", since_ns)
            if first_ns is None or first_ns > until_ns:
                return
            start_ns = max(since_ns, (first_ns - 1) // length_ns * length_ns)
            end_ns = min(self._end_of_page(start_ns, length_ns), until_ns)
            is_waiting = one(
                db,
                "SELECT 1 FROM interval WHERE end_ns > ? AND end_ns <= ? AND id > ? LIMIT 1",
                start_ns,
                end_ns,
                self._delivered(Stream.INTERVALS),
            )
            if is_waiting:
                return
            groups = self._groups(length_ns, start_ns, end_ns)
            yield from self._pass_over(Stream.INTERVALS, max((max(group.ids) for group in groups), default=0))
            with transaction(db):
                self._write(length_ns, groups)
                set_meta(db, key, end_ns)
            yield NOTHING

    def _return_to_late_rows(self, length_ns: int, key: str) -> None:
        """Go back to new rows that belong where everything was merged: a log that was found late."""
        db = self._db
        known_id, last_id = int(meta(db, f"{key}_id") or 0), one(db, "SELECT max(id) FROM interval") or 0
        if last_id <= known_id:
            return
        # "+" selects the new rows by id: by the index on end_ns they would be found last
        late_ns = one(db, "SELECT min(+end_ns) FROM interval WHERE id > ?", known_id)
        with transaction(db):
            if late_ns is not None and late_ns <= int(meta(db, key) or 0):
                set_meta(db, key, (late_ns - 1) // length_ns * length_ns)
            set_meta(db, f"{key}_id", last_id)

    def _end_of_page(self, start_ns: int, length_ns: int) -> int:
        """Return the end of the slots that hold about as many of the next rows as one transaction may take."""
        last_ns = one(
            self._db,
            "SELECT max(end_ns) FROM (SELECT end_ns FROM interval WHERE end_ns > ? ORDER BY end_ns LIMIT ?)",
            start_ns,
            self._rows,
        )
        return max(start_ns + length_ns, (last_ns or 0) // length_ns * length_ns)

    def _groups(self, length_ns: int, since_ns: int, until_ns: int) -> list[_Group]:
        """Return the rows that can be merged, by series and slot."""
        members: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
        for row in self._db.execute(
            f"SELECT id, series, start_ns, first_breach, last_breach, {counts_to_read()} FROM interval"
            " WHERE end_ns > ? AND end_ns <= ? AND end_ns - start_ns < ? AND start_ns / ? = (end_ns - 1) / ?",
            (since_ns, until_ns, length_ns, length_ns, length_ns),
        ):
            members.setdefault((row[1], row[2] // length_ns), []).append(row)
        bounds_ns = series_bounds(self._db)
        groups = [_group(slot, rows, bounds_ns[of]) for (of, slot), rows in members.items() if len(rows) > 1]
        return [group for group in groups if len(group.ids) > 1]

    def _write(self, length_ns: int, groups: list[_Group]) -> None:
        gone, merged = [], []
        for group in groups:
            highest = max(group.ids)
            gone += [(id_,) for id_ in group.ids if id_ != highest]
            begin_ns = group.slot * length_ns
            breaches = (group.first_breach, group.last_breach)
            merged.append((begin_ns, begin_ns + length_ns, *counts_row(group.counts), *breaches, highest))
        self._db.executemany("DELETE FROM interval WHERE id = ?", gone)
        columns = f"start_ns, end_ns, {COUNTS}, first_breach, last_breach"
        self._db.executemany(f"UPDATE interval SET ({columns}) = ({marks(11)}) WHERE id = ?", merged)


def _group(slot: int, rows: list[tuple[Any, ...]], bounds_ns: tuple[int, ...]) -> _Group:
    counts, whole = whole_in_all([row[5:] for row in rows], bounds_ns)
    taken = [rows[place] for place in whole]
    first = min((row[3] for row in taken if row[3]), default=0)
    last = max((row[4] for row in taken), default=0)
    return _Group(slot, [row[0] for row in taken], counts, first, last)
