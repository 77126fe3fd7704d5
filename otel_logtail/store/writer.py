"""The one write path of the store: a commit writes everything that pieces of a log gave rise to.

Invariants:
  * :meth:`Store.commit` is one transaction: all of its batches and the positions behind them, or nothing;
  * one process at a time writes to a store (:mod:`~otel_logtail.store.file`);
  * a row of a stream gets its id in the transaction in which it becomes final, and an id is used once.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import msgspec

from otel_logtail.counts import SampleKey
from otel_logtail.model import Batch, FileState, Samples, SourceInfo, Unfinished
from otel_logtail.store import episodes, files, health, home, marks, sources
from otel_logtail.store.connection import meta, one, sync_each_commit, transaction, translated
from otel_logtail.store.file import StoreFile, open_file
from otel_logtail.store.maintenance import Limits, Maintenance
from otel_logtail.store.maintenance.steps import Tuning
from otel_logtail.store.open_intervals import NO_BREACHES, OpenIntervals
from otel_logtail.store.rows import Repaired
from otel_logtail.store.samples import SampleTables
from otel_logtail.store.series import SeriesTable
from otel_logtail.store.wal import Held, Wal


class Committed(msgspec.Struct, frozen=True):
    """The result of a commit.

    ``sealed`` is the number of closed intervals, ``closed`` that of closed episodes. ``repaired`` are damaged counts
    that were replaced. ``overflowed``: samples were counted in the series beyond the limit on series.
    ``too_many_marks``: marks were rejected, since their hour has enough.
    ``first_end_ns`` is the end of the source's earliest open interval, or None if there is none.
    """

    sealed: int = 0
    closed: int = 0
    breaches: int = 0
    repaired: Repaired = Repaired()
    overflowed: bool = False
    first_end_ns: int | None = None
    too_many_marks: bool = False


class Store:
    """The write side of one store. Not for use by two threads at once.

    ``home_change`` is not None if the store was last used elsewhere.
    """

    def __init__(self, file: StoreFile, home_change: home.Change | None) -> None:
        self.home_change = home_change
        self.wal = Wal(file.path, file.connection)
        self.series = SeriesTable(file.connection)
        self._file = file
        self._db = file.connection
        self._samples = SampleTables(file.connection, self.series)
        self._intervals = OpenIntervals(file.connection, self.series)
        self._is_abandoned = False
        self._syncs = True
        self._is_together = False

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the store; creates the file and its directory (modes 0600 and 0700) if they do not exist.

        Raises:
            StoreLocked: another process uses it (its pid is in the message).
            StoreUnavailable: it cannot be opened now, but perhaps later.
            StoreError: it cannot be opened, has a newer schema, or the file is not a store.
        """
        with ExitStack() as unwinding:
            file = open_file(path)
            unwinding.callback(file.close)
            with translated(path):
                store = cls(file, home.settle(file.connection, path))
            unwinding.pop_all()
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store and release its lock."""
        self._file.close()

    @property
    def path(self) -> Path:
        """The path of the store, without links."""
        return self._file.path

    @property
    def instance(self) -> str:
        """The id of the store: ``service.instance.id``."""
        return meta(self._db, "instance") or ""

    @property
    def set_aside(self) -> Path | None:
        """The new path of a damaged store that this one replaces; None if there was no damage."""
        return self._file.set_aside

    @property
    def was_gone(self) -> bool:
        """True if a store was here before, and was missing when this one was opened."""
        return self._file.was_gone

    @property
    def replaces(self) -> bool:
        """True if this store replaces a damaged or missing one: its logs are read again from their start."""
        with translated(self.path):
            return meta(self._db, "set_aside") is not None

    def check_files(self) -> None:
        """Check that the store's files are still at their paths: :meth:`StoreFile.check_all`."""
        self._file.check_all()

    def abandon(self) -> None:
        """Accept that the store is gone: later commits go to a file that only this process has open."""
        self._is_abandoned = True

    def maintenance(self, limits: Limits, exporters: Collection[str], tuning: Tuning | None = None) -> Maintenance:
        """Return the maintenance of this store, for a daemon with these exporters."""
        self.wal.limit(limits.max_bytes)
        if limits.max_bytes is not None:  # the limit includes the write-ahead log
            limits = msgspec.structs.replace(limits, max_bytes=limits.max_bytes - self.wal.share_bytes)
        return Maintenance(self.path, self._db, limits, exporters, self._intervals.forget, tuning or Tuning())

    def tend(self, now_s: float) -> Held | None:
        """Keep the write-ahead log small; returns what prevents it, or None.

        Raises:
            StoreError: the store cannot be used.
        """
        with translated(self.path):
            return self.wal.tend(now_s)

    # --- sources and files ----------------------------------------------------------------------------------------

    def source(
        self,
        name: str,
        observer: str,
        event: str,
        *,
        threshold_ns: int,
        stall_ns: int,
        quiet_ns: int,
        options: Mapping[str, str] | None = None,
    ) -> SourceInfo:
        """Add the source, or give it the settings of this start; returns it with its id."""
        info = SourceInfo(0, name, observer, event, self.instance, threshold_ns, stall_ns, quiet_ns)
        with translated(self.path), transaction(self._db):
            return sources.save(self._db, info, options or {})

    def first_look(self, source: int) -> bool:
        """Return whether this is the first scan of a source, and note that it was.

        Call it before the scan: if the process dies meanwhile, files are read from their start, never skipped.
        """
        with translated(self.path), transaction(self._db):
            cursor = self._db.execute("UPDATE source SET looked = 1 WHERE id = ? AND looked = 0", (source,))
        return cursor.rowcount == 1

    def files(self, source: int) -> list[FileState]:
        """Return all known files of a source, in the order in which they were found."""
        with translated(self.path):
            return files.read(self._db, source)

    def add_files(self, source: int, states: list[FileState]) -> list[FileState]:
        """Add files in one transaction; returns them with their ids, in the same order."""
        with translated(self.path), self._for_files():
            return files.insert(self._db, source, states)

    def update_file(self, source: int, state: FileState) -> None:
        """Store where a known file of a source is now, and whether it is finished."""
        with translated(self.path), self._for_files():
            files.update(self._db, source, state)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Use one transaction for all changes of files inside: there may be thousands."""
        if self._is_together:
            yield
            return
        with translated(self.path), transaction(self._db):
            self._is_together = True
            try:
                yield
            finally:
                self._is_together = False

    def _for_files(self) -> AbstractContextManager[None]:
        return nullcontext() if self._is_together else transaction(self._db)

    # --- what the daemon continues from ---------------------------------------------------------------------------

    def unfinished(self, source: int) -> Unfinished:
        """Return the open episodes and the span of the open intervals of a source."""
        with translated(self.path):
            first_end_ns, last_start_ns = self._intervals.first_end_ns(source), self._intervals.last_start_ns(source)
            return Unfinished(episodes.read_open(self._db, source), first_end_ns, last_start_ns)

    def has_samples(self, source: int) -> bool:
        """Return whether a source ever had a sample."""
        with translated(self.path):
            return bool(one(self._db, "SELECT samples FROM source WHERE id = ?", source))

    def stored(self, source: int, file: FileState, samples: Samples) -> Counter[SampleKey]:
        """Count those of these samples (at least one) that are stored from other files with the same live path."""
        with translated(self.path):
            return self._samples.count_stored(source, file, samples)

    def undelivered(self, exporters: Collection[str]) -> int:
        """Return how many items wait for these exporters; 0 if the store cannot be read."""
        try:
            return sum(health.pending(self._db, exporter) for exporter in exporters)
        except sqlite3.Error:
            return 0

    # --- the write path -------------------------------------------------------------------------------------------

    def commit(self, *batches: Batch) -> Committed:
        """Write batches of one source, and the positions behind them, in one transaction.

        Raises:
            StoreUnavailable: it cannot be written now (a full disk, a temporary fault); nothing was written.
            StoreGone: the file is no longer at its path; nothing was written.
            StoreError: another failure; nothing was written.
        """
        try:
            with translated(self.path):
                self.wal.prepare(sum(batch.tally.bytes for batch in batches))
                with transaction(self._db):
                    committed = self._write(batches)
                    if not self._is_abandoned:
                        self._file.check()
                if self._syncs:
                    # later commits build on this one (known files, and where they are read from), so it is on the disk:
                    # a power cut makes lines be read again, never skipped
                    sync_each_commit(self._db, False)
                    self._syncs = False
                return committed
        except BaseException:
            self._samples.forget()
            self.series.forget()
            self._intervals.forget()
            raise

    def _write(self, batches: Sequence[Batch]) -> Committed:
        self._intervals.repaired, self.series.overflowed = Repaired(), False
        sealed = sum([self._write_one(batch) for batch in batches])
        too_many_marks = sum([self._add_marks(batch) for batch in batches]) > 0
        self._intervals.write()
        sources.count(self._db, batches[-1].source, [batch.tally for batch in batches], time.time_ns())
        return Committed(
            sealed=sealed,
            closed=sum(len(batch.closed) for batch in batches),
            breaches=sum(len(batch.hits) for batch in batches),
            repaired=self._intervals.repaired,
            overflowed=self.series.overflowed,
            first_end_ns=self._intervals.first_end_ns(batches[-1].source),
            too_many_marks=too_many_marks,
        )

    def _write_one(self, batch: Batch) -> int:
        """Write one batch; returns how many intervals became final."""
        breaches = NO_BREACHES
        if batch.file is not None:
            files.update(self._db, batch.source, batch.file)
            breaches = self._samples.add(batch, batch.file.id)
        if batch.continued is not None:
            files.update(self._db, batch.source, batch.continued)
        self._intervals.add(batch, breaches)
        episodes.write(self._db, batch)
        if batch.seal_until_ns is None:
            return 0
        return self._intervals.close(batch.source, batch.seal_until_ns, batch.is_last)

    def _add_marks(self, batch: Batch) -> int:
        """Add the marks of a batch; returns how many were rejected."""
        too_many = marks.add(self._db, batch.source, batch.marks) if batch.marks else 0
        if too_many:
            sources.count_rejected(self._db, batch.source, {marks.TOO_MANY: too_many}, time.time_ns())
        return too_many
