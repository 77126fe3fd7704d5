"""Vacuum: free pages go back to the file system, a small number at a time."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from otel_logtail.store.maintenance.steps import NOTHING, Steps

_SPARE_PAGES = 64
"""So many free pages stay: the next minutes need them."""
_MOST_PAGES, _LEAST_PAGES, _LONGEST_S = 2000, 8, 0.05
"""Pages of one step, and the time that a step may take."""


class Vacuum:
    """The free pages of one store."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._pages = _SPARE_PAGES

    def used_bytes(self) -> int:
        """Return the size of the store without its free pages."""
        return (self._read("page_count") - self._read("freelist_count")) * self._read("page_size")

    def shrink_to(self, max_bytes: int) -> Steps:
        """Give pages back while the file is larger than this."""
        while self._file_bytes() > max_bytes and self._step():
            yield NOTHING
        self._truncate()

    def give_back(self) -> Steps:
        """Give back the free pages that the next minutes do not need."""
        while self._read("freelist_count") > _SPARE_PAGES and self._step():
            yield NOTHING
        self._truncate()

    def _step(self) -> bool:
        """Give some pages back; returns False if that has no effect (a store without auto_vacuum)."""
        free, began_s = self._read("freelist_count"), time.monotonic()
        # not execute(): it ends the statement after its first page
        self._db.executescript(f"PRAGMA incremental_vacuum({self._pages})")
        took_s = time.monotonic() - began_s
        # a page takes up to some milliseconds if very many are free: SQLite searches the list of them
        if took_s > _LONGEST_S:
            self._pages = max(_LEAST_PAGES, self._pages // 2)
        elif took_s < _LONGEST_S / 4:
            self._pages = min(_MOST_PAGES, self._pages * 2)
        return self._read("freelist_count") < free

    def _truncate(self) -> None:
        """Let the file shrink now. Otherwise it does when much is written the next time."""
        if self._file_bytes() < self._path.stat().st_size:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _file_bytes(self) -> int:
        return self._read("page_count") * self._read("page_size")

    def _read(self, pragma: str) -> int:
        return int(self._db.execute(f"PRAGMA {pragma}").fetchone()[0])
