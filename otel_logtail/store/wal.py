"""The size of the store's write-ahead log (``-wal``).

At a checkpoint, SQLite writes the changes in this file to the store and then uses the file from its start again. While
another process holds an older snapshot, that is not possible, and the file grows with each commit. The snapshot cannot
be ended from here. So growth is slowed down (fewer, larger commits) and, if the store has a size limit, stopped.

Known limit: one transaction may be larger than the share, and exporters continue to store their progress.
"""

from __future__ import annotations

import math
import os
import sqlite3
from pathlib import Path

import msgspec

from otel_logtail.store.connection import BUSY_MS
from otel_logtail.store.place import readers

LARGEST_BYTES = 32 << 20
"""The share of the write-ahead log if the store has no size limit. The largest share with a limit is its eighth."""

EVERY_S = 1.0
PATIENCE_S = 5.0
"""Time that a snapshot may be held before it is reported. Snapshots of this program end sooner."""

_PAGE = 4096
_BACKLOG_BYTES, _BACKLOG_PAGES = 256 * 1024, 4000
"""Pages that start a checkpoint, if a commit has more than so many bytes of log. The commit that starts a checkpoint
takes a millisecond for each few hundred pages. In a backlog no one waits, and fewer checkpoints write fewer pages."""


class Held(msgspec.Struct, frozen=True):
    """A write-ahead log that a snapshot keeps: its size, its readers if known, and whether it must not grow."""

    size: int
    readers: tuple[str, ...]
    full: bool

    @property
    def mib(self) -> str:
        """The size in MiB as text."""
        return f"{self.size / 2**20:.1f} MiB"

    def __str__(self) -> str:
        return ", ".join(self.readers) or "a process that reads the store"


class Wal:
    """The write-ahead log of one store, on its writer's connection and in its writer's thread."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db
        self._max_bytes: int | None = None
        self.share_bytes = LARGEST_BYTES
        self._next_s = -math.inf
        self._since_s = math.inf
        self._readers: tuple[str, ...] = ()
        self._checkpoint_pages = 0
        self.live_pages = 250
        """Pages that start a checkpoint, if no backlog is read. (SQLite's default is 1000.)"""

    def limit(self, max_bytes: int | None) -> None:
        """Keep the write-ahead log within an eighth of the store's size limit."""
        self._max_bytes = max_bytes
        self.share_bytes = LARGEST_BYTES if max_bytes is None else min(LARGEST_BYTES, max_bytes // 8)
        self._db.execute(f"PRAGMA journal_size_limit = {self.share_bytes // 2}")

    def pages(self, wished: int) -> int:
        """Return after how many pages a checkpoint starts: the wished number, but at most half the share.

        The other half is for the transaction that is written meanwhile.
        """
        return min(wished, max(self.share_bytes // 2 // _PAGE, 1))

    def prepare(self, log_bytes: int) -> None:
        """Let SQLite start checkpoints as it suits a commit of so many bytes of log."""
        pages = self.pages(_BACKLOG_PAGES if log_bytes > _BACKLOG_BYTES else self.live_pages)
        if pages != self._checkpoint_pages:
            self._db.execute(f"PRAGMA wal_autocheckpoint = {pages}")
            self._checkpoint_pages = pages

    def tend(self, now_s: float) -> Held | None:
        """Empty the file if it is too large; returns the obstacle, once it has lasted for some time."""
        size = _size_of(f"{self._path}-wal")
        if size <= self.share_bytes:
            self._since_s = math.inf
            return None
        full = self._max_bytes is not None and size + _size_of(str(self._path)) > self._max_bytes
        if now_s >= self._next_s or (full and self._since_s == math.inf):
            self._next_s = now_s + EVERY_S
            if self._empties():
                self._since_s = math.inf
                return None
            self._since_s = min(self._since_s, now_s)
            self._readers = tuple(readers(self._path))
        if not full and now_s - self._since_s < PATIENCE_S:
            return None
        return Held(size, self._readers, full)

    def _empties(self) -> bool:
        """Write all changes to the store and truncate the file; returns whether that was possible."""
        self._db.execute("PRAGMA busy_timeout = 0")
        try:
            return not self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - every second
    except OSError:
        return 0
