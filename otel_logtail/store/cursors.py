"""Cursors of an exporter, and the totals that move with them. All moves are here.

All methods work inside the transaction of their caller, so no total is counted twice or lost.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping
from itertools import islice, takewhile
from typing import NamedTuple

from otel_logtail.model import Dropped, Point, SourceInfo, Stream
from otel_logtail.store import progress
from otel_logtail.store.connection import meta, one, series_bounds, set_meta
from otel_logtail.store.marker import Sent
from otel_logtail.store.rows import (
    COUNTS,
    Repaired,
    counts_or_mean,
    counts_row,
    counts_to_read,
    encode_attributes,
    encode_json,
    marks,
)
from otel_logtail.store.sparse import Closed, closed_after
from otel_logtail.store.streams import TABLES
from otel_logtail.store.totals import SKIP_NS, Owed

_SERIES = "(SELECT id FROM series WHERE source = ? AND instrument = ? AND attributes = ? AND bounds = ?)"


class Skipped(NamedTuple):
    """Items that a cursor was moved past, and how many damaged counts were among them."""

    dropped: Dropped | None = None
    repaired: Repaired = Repaired()


class Cursors:
    """The rows of one exporter in the tables cursor, total, sent and owed.

    ``form`` is the exporter's part of what identifies its series at the receiver.
    """

    def __init__(self, db: sqlite3.Connection, exporter: str) -> None:
        self.form = ""
        self._db = db
        self._exporter = exporter

    def begin(self, streams: Collection[Stream]) -> None:
        """Add the cursors of an exporter at the beginning of these streams, and delete those of other streams."""
        self._db.executemany(
            "INSERT INTO cursor VALUES (?, ?, 0) ON CONFLICT DO NOTHING",
            [(self._exporter, stream.value) for stream in streams],
        )
        self._db.execute(
            f"DELETE FROM cursor WHERE exporter = ? AND stream NOT IN ({marks(len(streams))})",
            (self._exporter, *(stream.value for stream in streams)),
        )

    def begin_at_end(self, stream: Stream) -> int | None:
        """Add a cursor behind all items of a stream; returns the last id, or None if there is a cursor already."""
        last = progress.last_id(self._db, stream)
        is_new = self._db.execute(
            "INSERT INTO cursor VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (self._exporter, stream.value, last)
        ).rowcount
        return last if is_new else None

    def position(self, stream: Stream) -> int | None:
        """Return the last id of a stream that the receiver has, or None if there is no cursor in the stream."""
        found = one(
            self._db, "SELECT position FROM cursor WHERE exporter = ? AND stream = ?", self._exporter, stream.value
        )
        return None if found is None else int(found)

    def move(self, stream: Stream, last: int) -> None:
        """Move a cursor to this id, never back."""
        self._db.execute(
            "UPDATE cursor SET position = max(position, ?) WHERE exporter = ? AND stream = ?",
            (last, self._exporter, stream.value),
        )

    def have(self, points: Collection[Point], ends: Mapping[str, int]) -> None:
        """Store the totals that the receiver has after these points.

        Args:
            points: In the order in which they were sent.
            ends: The latest end of an interval among them, by source; 0 if there is none.
        """
        begun = [point for point in points if not point.total.count]
        self._db.executemany(
            "DELETE FROM total WHERE exporter = ? AND series IN"
            " (SELECT id FROM series WHERE source = ? AND instrument = ? AND attributes = ?)",
            [(self._exporter, *_columns(point)[:3]) for point in begun],
        )
        self._db.executemany(
            f"DELETE FROM owed WHERE exporter = ? AND series = {_SERIES}",
            [(self._exporter, *_columns(point)) for point in points if not point.id and point.delta.count],
        )
        latest = {identity(point): point for point in points}.values()
        self._db.executemany(
            f"INSERT OR REPLACE INTO total (exporter, series, start_ns, time_ns, {COUNTS})"
            f" VALUES (?, {_SERIES}, {marks(9)})",
            [
                (self._exporter, *_columns(point), point.start_ns, point.time_ns, *counts_row(point.total))
                for point in latest
            ],
        )
        times: dict[str, int] = {}
        for point in latest:
            times[point.source.name] = max(times.get(point.source.name, 0), point.time_ns)
        for source in {point.source.name: point.source for point in latest}.values():
            self._db.execute(
                "INSERT INTO sent VALUES (?1, ?2, ?3, ?4, ?5, 0, 0) ON CONFLICT DO UPDATE SET"
                " end_ns = max(end_ns, ?4), time_ns = max(time_ns, ?5),"
                " skip_ns = CASE WHEN ?4 > skip_ns + ?6 THEN 0 ELSE skip_ns END",
                (self._exporter, source.name, self._form_of(source), ends[source.name], times[source.name], SKIP_NS),
            )

    def skip(self, stream: Stream, up_to_id: int, most: int) -> Skipped:
        """Move the cursor towards this id, past at most ``most`` items that the exporter will never get.

        The items are counted as dropped. Counts of intervals stay in the totals that the exporter's next points carry.
        """
        # the exporter's own thread may have moved the cursor
        position = self.position(stream)
        if position is None or position >= up_to_id:
            return Skipped()
        found: list[tuple[int, int, int]]
        repaired = Repaired()
        if stream is Stream.INTERVALS:
            closed = list(islice(takewhile(lambda row: row.id <= up_to_id, closed_after(self._db, position)), most))
            found = [(row.id, row.start_ns, row.end_ns) for row in closed]
            repaired = self._owe(closed)
        else:
            (name,), start, end, _ = TABLES[stream]
            found = self._db.execute(
                f"SELECT id, {start}, {end} FROM {name} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
                (position, up_to_id, most),
            ).fetchall()
        self.move(stream, found[-1][0] if len(found) == most else up_to_id)
        if not found:
            return Skipped(repaired=repaired)
        from_ns, to_ns = min(row[1] for row in found), max(row[2] for row in found)
        drop = Dropped(self._exporter, stream, len(found), from_ns, to_ns)
        # the exporter reads its current batch again
        self._db.execute("UPDATE exporter SET generation = generation + 1 WHERE name = ?", (self._exporter,))
        progress.note_dropped(self._db, drop, time.time_ns())
        return Skipped(drop, repaired)

    def _owe(self, closed: Iterable[Closed]) -> Repaired:
        """Add counts that the exporter will never get as intervals to those that its next points carry.

        Returns those that were damaged; these count as the exporter would have counted them.
        """
        bounds_ns = series_bounds(self._db)
        repaired = Repaired()
        owed: dict[int, Owed] = {}
        reached = {
            series: others
            for series, *others in self._db.execute(
                "SELECT s.id, s.start_ns, ifnull(t.time_ns, 0), ifnull(t.skip_ns, 0)"
                " FROM series AS s JOIN source ON source.id = s.source"
                " LEFT JOIN sent AS t ON t.exporter = ? AND t.source = source.name",
                (self._exporter,),
            )
        }
        for row in closed:
            series = row.series
            begun_ns, sent_ns, skip_ns = reached[series]
            if row.end_ns <= skip_ns:
                continue  # a newer copy of this store has sent it
            if series not in owed:
                before = self._db.execute(
                    f"SELECT start_ns, time_ns, {counts_to_read()} FROM owed WHERE exporter = ? AND series = ?",
                    (self._exporter, series),
                ).fetchone()
                if before is None:
                    owed[series] = Owed.after(max(row.start_ns, begun_ns), sent_ns)
                else:
                    counts, is_whole = counts_or_mean(before[2:], bounds_ns[series])
                    if not is_whole:
                        repaired += Repaired.of(counts)
                    owed[series] = Owed(before[0], before[1], counts)
            counts, is_whole = row.counts(bounds_ns[series])
            if not is_whole:
                repaired += Repaired.of(counts)
            owed[series].add(row.end_ns, counts)
        self._db.executemany(
            f"INSERT OR REPLACE INTO owed (exporter, series, start_ns, time_ns, {COUNTS}) VALUES ({marks(11)})",
            [(self._exporter, of, one.begin_ns, one.time_ns, *counts_row(one.counts)) for of, one in owed.items()],
        )
        return repaired

    def sent(self) -> Sent:
        """Return the latest data of each source that was sent, as the marker file stores it."""
        instance = meta(self._db, "instance") or ""
        rows = self._db.execute("SELECT source, end_ns, time_ns FROM sent WHERE exporter = ?", (self._exporter,))
        return Sent(instance, {name: (end_ns, time_ns) for name, end_ns, time_ns in rows})

    def _form_of(self, source: SourceInfo) -> str:
        return encode_json([source.instance, source.event, self.form])

    def meet_form(self, sources: Iterable[SourceInfo]) -> None:
        """Start all series of a source again if the receiver will see its points as other series."""
        before = dict(
            self._db.execute("SELECT source, form FROM sent WHERE exporter = ?", (self._exporter,)).fetchall()
        )
        for source in sources:
            form = self._form_of(source)
            if before.get(source.name, form) == form:
                continue
            if before[source.name]:  # else an older version wrote the row, which did not store the form
                self._start_again(source.name)
            self._db.execute(
                "UPDATE sent SET form = ? WHERE exporter = ? AND source = ?", (form, self._exporter, source.name)
            )

    def meet_marker(self, marker: Sent, now_ns: int) -> int | None:
        """Start all series again if the receiver has more than this store; returns the latest time that it has."""
        sent = self.sent()
        if marker.instance != sent.instance or not marker.is_ahead_of(sent.sources):
            return None
        for name, (end_ns, time_ns) in marker.sources.items():
            self._db.execute(
                "INSERT INTO sent VALUES (?1, ?2, '', ?3, ?4, 0, ?3) ON CONFLICT DO UPDATE SET"
                " end_ns = max(end_ns, ?3), time_ns = max(time_ns, ?4), skip_ns = max(skip_ns, ?3)",
                (self._exporter, name, end_ns, time_ns),
            )
            self._start_again(name)
        # the newer copy sent these counts before anything else
        self._db.execute("DELETE FROM owed WHERE exporter = ?", (self._exporter,))
        # the program's own numbers come from the counters of the older copy
        set_meta(self._db, "counting_ns", now_ns)
        return max(time_ns for _, time_ns in marker.sources.values())

    def interrupt(self) -> None:
        """Stop sending points to the exporter.

        If it gets points again later, all series start again without the intervals that were sent: the receiver would
        count them twice, or take a lower total as a restart.
        """
        for table in ("total", "owed"):
            self._db.execute(f"DELETE FROM {table} WHERE exporter = ?", (self._exporter,))
        self._db.execute(
            "UPDATE sent SET after_ns = time_ns, skip_ns = max(skip_ns, end_ns) WHERE exporter = ?", (self._exporter,)
        )

    def _start_again(self, source: str) -> None:
        self._db.execute(
            "DELETE FROM total WHERE exporter = ? AND series IN"
            " (SELECT s.id FROM series AS s JOIN source ON source.id = s.source WHERE source.name = ?)",
            (self._exporter, source),
        )
        self._db.execute(
            "UPDATE sent SET after_ns = time_ns WHERE exporter = ? AND source = ?", (self._exporter, source)
        )


def identity(point: Point) -> tuple[object, ...]:
    """Return the identity of a point's series at a receiver."""
    return point.source.id, point.series.instrument, point.series.attributes


def _columns(point: Point) -> tuple[int, str, str, str]:
    """Return the columns that identify a point's series in the store, for :data:`_SERIES`."""
    series = point.series
    attributes, bounds = encode_attributes(series.attributes), encode_json(series.bounds_ns)
    return point.source.id, series.instrument.value, attributes, bounds
