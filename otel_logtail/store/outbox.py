"""The store as one exporter sees it: the items after its cursor, and moving the cursor when the receiver has answered.

Each exporter has an outbox with a connection of its own in its own thread, so none delays another or the tail. A cursor
moves in one transaction with the totals that the receiver has. So no total is counted twice or lost, whenever the
process dies: a batch whose delivery is uncertain is read again with the same ids, times and totals.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from otel_logtail.model import Dropped, ExportBatch, Item, Point, Stream
from otel_logtail.store import health, marks, progress, quarantine
from otel_logtail.store.connection import connect, snapshot, sync_each_commit, transaction, translated
from otel_logtail.store.cursors import Cursors
from otel_logtail.store.marker import Marker, Sent
from otel_logtail.store.on_trial import OnTrial
from otel_logtail.store.operations import REFUSED, Operations
from otel_logtail.store.points import PointReader
from otel_logtail.store.records import read_breaches, read_episodes, read_parts, read_sources
from otel_logtail.store.rows import Repaired
from otel_logtail.store.streams import TABLES


class Begun(msgspec.Struct, frozen=True):
    """The result of registering an exporter.

    ``held`` is the number of items that a new exporter begins with. ``ahead_ns`` is not None if this store is an older
    copy: the receiver has data up to that time, and all series start again.
    """

    held: int = 0
    ahead_ns: int | None = None


class Outbox:
    """The cursors of one exporter, and the items after them."""

    def __init__(self, path: Path, exporter: str, db: sqlite3.Connection) -> None:
        self.path = path
        self.exporter = exporter
        self._db = db
        self._marker = Marker(path, exporter)
        self._cursors = Cursors(db, exporter)
        self._points = PointReader(db, exporter)
        self.operations = Operations(db, exporter)
        self.on_trial = OnTrial(path, db, exporter, self.operations)
        self.is_last = False
        """True if nothing is left to read once the items that were read last are delivered, and no repeat was due."""
        self._generation = 0

    @classmethod
    def open(cls, path: Path, exporter: str) -> Outbox:
        """Open a connection to the store for an exporter.

        Raises:
            StoreError: the store cannot be opened.
        """
        with translated(path):
            return cls(path, exporter, connect(path))

    def close(self) -> None:
        """Close the connection."""
        self._db.close()
        self._marker.close()

    def register(self, streams: Iterable[Stream], now_ns: int, *, from_now: bool = False, form: str = "") -> Begun:
        """Add the exporter and its cursors. A new exporter begins with all data in the store.

        Data of a stream that the exporter no longer requests does not wait for it. If it requests the stream again, it
        begins with the data that the store has then, and its series start again without the intervals that were sent.

        Args:
            streams: The streams that the exporter requests.
            now_ns: The clock.
            from_now: If true, a new exporter begins after the data in the store; its totals include that data.
            form: The exporter's part of what identifies its series at the receiver. If it changes, or if the receiver
                has more than this store, all series start again.
        """
        chosen = tuple(stream for stream in streams if stream in TABLES)
        self._cursors.form = form
        ahead_ns = None
        with translated(self.path), transaction(self._db):
            is_new = progress.register(self._db, self.exporter, now_ns)
            if from_now:
                self._begin_at_end(chosen)
            self._cursors.begin(chosen)
            quarantine.hold_others(self._db, self.exporter, chosen)
            if Stream.INTERVALS in chosen:
                ahead_ns = self._cursors.meet_marker(self._marker.read(), now_ns)
                self._cursors.meet_form(read_sources(self._db).values())
            else:
                self._cursors.interrupt()
            held = sum(progress.count_after(self._db, TABLES[stream], 0) for stream in chosen) if is_new else 0
            sent = self._cursors.sent()
        # where a new exporter begins is on the disk: after a power cut data is sent again, never left out
        sync_each_commit(self._db, False)
        self._points.forget()
        self._marker.write(sent)
        return Begun(held, ahead_ns)

    def _begin_at_end(self, streams: Iterable[Stream]) -> None:
        for stream in streams:
            last = self._cursors.begin_at_end(stream)
            if last is not None and stream is Stream.INTERVALS:
                self._cursors.have(*self._points.count_as_sent(last))

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self, stream: Stream, limit: int) -> ExportBatch | None:
        """Return the next items after the cursor, at most ``limit``; None if there are none."""
        while True:
            with translated(self.path), snapshot(self._db):  # rows and the totals that they add to belong together
                position = self._cursors.position(stream)
                if position is None:
                    return None
                items, passed = self._read(stream, position, limit)
                if stream is Stream.INTERVALS:
                    self.is_last = len(items) < limit and self._points.is_last
                else:  # a batch of episodes or parts is also full of breaches
                    self.is_last = not items or items[-1].id >= progress.last_id(self._db, stream)
            if items:
                return self._batch(stream, items)
            if not passed:
                return None
            with translated(self.path), transaction(self._db):
                self._cursors.move(stream, passed)

    def _read(self, stream: Stream, position: int, limit: int) -> tuple[tuple[Item, ...], int]:
        """Return the next items. If there are none, the second value is the last id that needs not be sent, or 0."""
        self._generation = progress.generation(self._db, self.exporter)
        if stream is Stream.EPISODES:
            without_parts = self._cursors.position(Stream.PARTS) is None
            return read_episodes(self._db, position, limit, without_parts=without_parts), 0
        if stream is Stream.PARTS:
            return read_parts(self._db, position, limit), 0
        if stream is Stream.BREACHES:
            return read_breaches(self._db, "b.id > ?", (position,), limit), 0
        if stream is Stream.MARKS:
            return marks.read(self._db, position, limit), 0
        self._points.refresh(position, self._generation)
        owed = self._points.owed(limit)
        return (owed, 0) if owed else self._points.read(position, limit)

    def silent(self, older_ns: int, limit: int) -> ExportBatch | None:
        """Return repeats of series whose last point is ``older_ns`` behind the closed time of their source.

        None while intervals wait: they are older than that time, and must be sent first.
        """
        with translated(self.path), snapshot(self._db):
            position = self._cursors.position(Stream.INTERVALS)
            if position is None or progress.last_id(self._db, Stream.INTERVALS) > position:
                return None
            self._generation = progress.generation(self._db, self.exporter)
            self._points.refresh(position, self._generation)
            items = tuple(islice(self._points.idle(older_ns), limit))
        return self._batch(Stream.INTERVALS, items) if items else None

    def _batch(self, stream: Stream, items: tuple[Item, ...]) -> ExportBatch:
        batch = ExportBatch(stream, items)
        self.operations.begin(stream)
        if stream is Stream.INTERVALS:
            self._points.await_answer(batch)
        return batch

    def told(self) -> tuple[Point, ...]:
        """Return the last point of every series that the receiver has, by time, as repeats (id 0)."""
        with translated(self.path), snapshot(self._db):
            return self._points.sent()

    def health(self, now_ns: int) -> ExportBatch:
        """Return the program's own numbers."""
        with translated(self.path), snapshot(self._db):
            return ExportBatch(Stream.SELF, (health.health(self._db, self.path, now_ns),))

    def waiting(self) -> frozenset[Stream]:
        """Return the streams with items after the cursor."""
        with translated(self.path):
            return progress.waiting(self._db, self.exporter)

    def pending(self) -> int:
        """Return how many items wait for delivery."""
        with translated(self.path):
            return health.pending(self._db, self.exporter)

    def take_repaired(self) -> Repaired:
        """Return how many damaged counts were found since the last call. They are sent as their mean."""
        return self._points.take_repaired()

    # --- the receiver's answers -------------------------------------------------------------------------------------

    def advance(
        self, batch: ExportBatch, count: int, now_ns: int, *, skipped: int = 0, rejected: int = 0, why: str = ""
    ) -> None:
        """Move the cursor past the first ``count`` items, with their totals: the receiver has decided about them.

        Args:
            batch: As it was read.
            count: How many of its items are done.
            now_ns: The clock.
            skipped: How many of them were not sent; if all, this is not a success.
            rejected: How many the receiver rejected, in its own units; they count as refused.
            why: The receiver's reason.
        """
        items = batch.items[:count]
        sent = None
        with translated(self.path), transaction(self._db):
            if self._still_holds():
                sent = self._have(batch.stream, items)
            else:
                self.is_last = False  # the items that are left are read again, and counts of dropped ones are owed
            if skipped:
                progress.note_skipped(self._db, self.exporter, skipped)
            if skipped < len(items):
                self.operations.finish(ExportBatch(batch.stream, items[skipped:]), rejected=rejected)
                new = sum(item.id > 0 for item in items) - skipped
                progress.note_success(self._db, self.exporter, new, rejected, why, now_ns)
        self._answered(batch, count, sent)

    def set_aside(self, batch: ExportBatch, why: str, now_ns: int, *, held: bool) -> Dropped | None:
        """Take the only item of this batch out of its stream, and move the cursor past it.

        The totals of later points include its counts, whether the receiver accepts this point or not.

        Args:
            batch: As it was read.
            why: The receiver's reason.
            now_ns: The clock.
            held: If true, the item is quarantined at once; else it is on trial.

        Returns:
            The items that were deleted to make space in the quarantine.
        """
        (item,) = batch.items
        sent = dropped = None
        with translated(self.path), transaction(self._db):
            if self._still_holds():
                sent = self._have(batch.stream, batch.items)
                dropped = self.on_trial.add(item, why, now_ns, held=held)
                if held:
                    self.operations.finish(batch, error=REFUSED)
                else:
                    self.operations.put_off(batch.stream)
            progress.note_error(self._db, self.exporter, why, now_ns)
        self._answered(batch, 1, sent)
        return dropped

    def failed(self, why: str, now_ns: int) -> None:
        """Count a failed attempt, and store its error for ``status``."""
        with translated(self.path), transaction(self._db):
            progress.note_failure(self._db, self.exporter, why, now_ns)

    def _still_holds(self) -> bool:
        """Return whether nothing was dropped since the batch was read. Else cursor and totals are already past it."""
        return progress.generation(self._db, self.exporter) == self._generation

    def _have(self, stream: Stream, items: Sequence[Item]) -> Sent | None:
        """Move the cursor past items, and store their totals; returns how far the sources were sent."""
        self._cursors.move(stream, max((item.id for item in items), default=0))
        points = [item for item in items if isinstance(item, Point)]
        if not points:
            return None
        self._cursors.have(points, self._points.ends(points))
        return self._cursors.sent()

    def _answered(self, batch: ExportBatch, count: int, sent: Sent | None) -> None:
        if batch.stream is not Stream.INTERVALS:
            return
        self._points.answered(batch, is_whole=count >= len(batch.items) and sent is not None)
        if sent is not None:
            self._marker.write(sent)
