"""Maintenance of the store: when it is due, and in which order its parts run.

The order: intervals are merged, small blocks are compacted, expired data is deleted, files are forgotten, and data over
the size limit is deleted. Each step is one small transaction of the store's writer, so that reading a log waits for
milliseconds only.

Invariants:
  * data is changed or deleted only if every exporter has it. An exporter that has not run for :data:`FORGOTTEN_NS` does
    not count, and the size limit deletes undelivered data, too;
  * undelivered data that is deleted is counted for its exporter (``dropped``) in the same transaction. Counts of
    intervals stay in the totals that the exporter's next points carry;
  * an id is used once: a merged row keeps the highest id of its rows.

Known limit: a batch that an exporter had sent and not confirmed when it was deleted counts as dropped, although the
receiver may have it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from otel_logtail.model import Stream
from otel_logtail.store.connection import one, transaction, translated
from otel_logtail.store.maintenance.compaction import compact
from otel_logtail.store.maintenance.retention import Gone, Retention, log_time
from otel_logtail.store.maintenance.rollup import Rollup
from otel_logtail.store.maintenance.size import SizeLimit
from otel_logtail.store.maintenance.steps import SECOND, Done, Steps, Tuning, total
from otel_logtail.store.maintenance.vacuum import Vacuum
from otel_logtail.store.progress import ALL, delivered_by_all, note_running
from otel_logtail.store.rows import CLOSED, IDS, json_ids

FORGOTTEN_NS = 7 * 86_400 * SECOND
"""Data is kept so long for an exporter that no longer runs."""

EVERY_S = 60.0
"""Time between two passes."""


class Limits(msgspec.Struct, frozen=True):
    """The age and the size of the data that is kept; None: no limit."""

    retention_ns: int | None = None
    max_bytes: int | None = None


class Maintenance:
    """The maintenance of one store, on its writer's connection and in its writer's thread."""

    def __init__(
        self,
        path: Path,
        db: sqlite3.Connection,
        limits: Limits,
        exporters: Collection[str],
        forget_open: Callable[[], None],
        tuning: Tuning,
    ) -> None:
        self._path = path
        self._db = db
        self._retention_ns = limits.retention_ns
        self._exporters = frozenset(exporters)
        self._tuning = tuning
        self._retention = Retention(db, self._delivered, tuning)
        self._size = SizeLimit(db, limits.max_bytes, self._retention, Vacuum(db, path), tuning, forget_open)
        self._pass: Steps | None = None
        self._next_s = 0.0
        self.is_failing = False
        """True if the last step failed."""

    def step(self, now_s: float, gone: Gone | None = None) -> Done | None:
        """Run one small transaction if one is due; returns what it did, or None if nothing is left to do now.

        Args:
            now_s: A monotonic clock.
            gone: Returns the ids of finished files that are no longer on disk; None: unknown.

        Raises:
            StoreError: it cannot be written. The next step that is due tries again.
        """
        try:
            with translated(self._path):
                if self._pass is None:
                    self._pass = self._due(now_s, gone)
                if self._pass is None:
                    return None
                done = next(self._pass, None)
        except BaseException:
            self._pass, self.is_failing = None, True
            raise
        if done is None:
            self._pass, self.is_failing = None, False
        return done

    def run(self) -> Done:
        """Run a whole pass; returns what it did."""
        self._pass, self._next_s = None, 0.0
        return total(self._steps())

    def _steps(self) -> Iterator[Done]:
        while (done := self.step(0.0)) is not None:
            yield done

    def _due(self, now_s: float, gone: Gone | None) -> Steps | None:
        shrinking = self._size.due(now_s)
        if now_s < self._next_s:
            return shrinking
        self._next_s = now_s + EVERY_S
        return self._whole_pass(gone)

    def _whole_pass(self, gone: Gone | None) -> Steps:
        now_ns = time.time_ns()
        with transaction(self._db):
            note_running(self._db, self._exporters, now_ns)
            if gone is not None:
                self._note_gone(gone(), now_ns)
        yield Done()
        newest_ns = one(self._db, "SELECT max(last_ns) FROM block")
        if newest_ns is None:
            ends = [one(self._db, f"SELECT max(end_ns) FROM {table}") for table in CLOSED]
            newest_ns = max((end_ns for end_ns in ends if end_ns is not None), default=None)
        if newest_ns is not None:
            rollup = Rollup(self._db, self._delivered, self._retention.pass_over, self._tuning)
            longest_ns = max((length_ns for length_ns, _ in self._tuning.merges), default=0)
            for length_ns, after_ns in self._tuning.merges:
                # values take less space than the counts of a minute with a few samples: only hours are counted
                tables = CLOSED if length_ns == longest_ns else CLOSED[:1]
                yield from rollup.merge(length_ns, min(newest_ns, now_ns) - after_ns, tables)
            yield from compact(self._db, self._tuning, min(newest_ns, now_ns) - self._tuning.compact_after_ns)
        if self._retention_ns is not None and (log_ns := log_time(self._db)) is not None:
            yield from self._retention.expire(min(log_ns, now_ns) - self._retention_ns)
        yield from self._retention.forget_files(now_ns - (self._retention_ns or FORGOTTEN_NS), gone)
        yield from self._size.shrink()
        yield from self._size.vacuum.give_back()

    def _note_gone(self, gone: Collection[int], now_ns: int) -> None:
        ids = json_ids(gone)
        self._db.execute(f"UPDATE file SET gone_ns = 0 WHERE gone_ns AND id NOT IN {IDS}", (ids,))
        self._db.execute(f"UPDATE file SET gone_ns = ? WHERE NOT gone_ns AND id IN {IDS}", (now_ns, ids))

    def has_receiver(self, stream: Stream) -> bool:
        """Return whether an exporter that counts was sent this stream before: of this daemon, or of the last week."""
        with translated(self._path):
            return self._delivered(stream) < ALL

    def _delivered(self, stream: Stream) -> int:
        """Return the highest id that every exporter has that counts; all ids if there is none."""
        return delivered_by_all(self._db, stream, self._exporters, time.time_ns() - FORGOTTEN_NS)
