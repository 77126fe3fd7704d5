"""The items of one exporter that were taken out of their streams: on trial, or quarantined (:mod:`quarantine`)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from otel_logtail.model import Delivered, Dropped, ExportBatch, Item, Stream
from otel_logtail.store import progress, quarantine
from otel_logtail.store.connection import one, transaction, translated
from otel_logtail.store.operations import REFUSED, Operations


class OnTrial:
    """They are on the exporter's connection, which adds them. Other processes only release and delete them."""

    def __init__(self, path: Path, db: sqlite3.Connection, exporter: str, operations: Operations) -> None:
        self._path = path
        self._db = db
        self._exporter = exporter
        self._operations = operations
        self._may_be_any = True

    def add(self, item: Item, why: str, now_ns: int, *, held: bool) -> Dropped | None:
        """Add an item, on trial or quarantined (``held``), in the transaction of the caller.

        Returns the items that were deleted to make space in the quarantine.
        """
        self._may_be_any = True
        return quarantine.add(self._db, self._exporter, item, why, now_ns, held=held)

    def any(self) -> bool:
        """Return whether items are quarantined or on trial."""
        if self._may_be_any:
            with translated(self._path):
                self._may_be_any = quarantine.any_kept(self._db, self._exporter)
        return self._may_be_any

    def tries(self, stream: Stream) -> dict[int, int]:
        """Return how often each item on trial failed alone while others were accepted, by its id there."""
        with translated(self._path):
            return quarantine.trials(self._db, self._exporter, stream)

    def item(self, id_: int) -> ExportBatch | None:
        """Return an item on trial as it was sent; None if it is gone or unreadable."""
        with translated(self._path):
            return quarantine.trial(self._db, id_)

    def over(self, id_: int, delivered: Delivered, now_ns: int) -> None:
        """Remove an item on trial: the receiver has decided about it, or it is too old to be sent."""
        with translated(self._path), transaction(self._db):
            batch = quarantine.trial(self._db, id_)
            item = one(self._db, "SELECT item FROM refused WHERE id = ?", id_) or 0
            quarantine.remove(self._db, id_)
            if delivered.skipped:
                progress.note_skipped(self._db, self._exporter, 1)
                return
            self._operations.finish_trial(batch, rejected=delivered.rejected)
            new = int(item > 0)
            progress.note_success(self._db, self._exporter, new, delivered.rejected, delivered.why, now_ns)

    def failed(self, id_: int, tries: int, why: str, now_ns: int) -> None:
        """Note that an item on trial failed again, for the ``tries``-th time while others were accepted."""
        with translated(self._path), transaction(self._db):
            quarantine.failed_again(self._db, id_, tries, why, now_ns)
            progress.note_failure(self._db, self._exporter, why, now_ns)

    def hold(self, stream: Stream, id_: int, why: str, now_ns: int) -> Dropped | None:
        """Quarantine an item that was on trial (``why`` empty: for its last reason).

        Returns the items that were deleted to make space in the quarantine.
        """
        with translated(self._path), transaction(self._db):
            self._operations.finish_trial(quarantine.trial(self._db, id_), error=REFUSED)
            dropped = quarantine.hold(self._db, self._exporter, stream, id_, why, now_ns)
            if why:
                progress.note_error(self._db, self._exporter, why, now_ns)
        return dropped
