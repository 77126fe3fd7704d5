"""The store's log of changes (``-wal``): how large it may get, and what keeps it from being used again.

SQLite brings changes from it into the store and then writes it from its start again, unless another process reads a
snapshot that is older: then it grows with each commit for as long as that snapshot is held. Nobody can take it away
from its reader. So the growth is slowed down (fewer, larger commits) and, with a bound on the store's size, stopped.

Known limit: one transaction may be larger than the share, and exporters go on noting what was delivered.
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
"""The share of the log of changes where the store's size has no bound; else it is an eighth of that at most."""

EVERY_S = 1.0
PATIENCE_S = 5.0
"""How long a snapshot may be in the way before it is said: ours, and others' short ones, are over by then."""

_PAGE = 4096


class Held(msgspec.Struct, frozen=True):
    """The log of changes can't be used again: its size, who reads (if that is known), whether it may not grow."""

    size: int
    readers: tuple[str, ...]
    full: bool

    @property
    def mib(self) -> str:
        """The size for people."""
        return f"{self.size / 2**20:.1f} MiB"

    def __str__(self) -> str:
        return ", ".join(self.readers) or "a process that reads the store"


class Wal:
    """The log of changes of one store, on its writer's connection and in its writer's thread."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db
        self._max_bytes: int | None = None
        self.share_bytes = LARGEST_BYTES
        self._next_s = -math.inf
        self._since_s = math.inf
        self._readers: tuple[str, ...] = ()

    def limit(self, max_bytes: int | None) -> None:
        """Keep it within an eighth of what the whole store may take."""
        self._max_bytes = max_bytes
        self.share_bytes = LARGEST_BYTES if max_bytes is None else min(LARGEST_BYTES, max_bytes // 8)
        self._db.execute(f"PRAGMA journal_size_limit = {self.share_bytes // 2}")

    def pages(self, wanted: int) -> int:
        """Return after how many pages they are brought into the store: as many as wanted, within half its share.

        The other half is for the transaction that is being written meanwhile.
        """
        return min(wanted, max(self.share_bytes // 2 // _PAGE, 1))

    def tend(self, now_s: float) -> Held | None:
        """Empty it if it is too large; returns what is in the way, once that has been there for some time."""
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
        """Bring all of it into the store and cut it off, if nobody is in the way."""
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
