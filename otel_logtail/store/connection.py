"""Connections to the store's file, and SQLite's errors as ours."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_logtail.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked
from otel_logtail.store.rows import decode_bounds

SCHEMA_VERSION = 5
_BUSY_MS = 5_000
_ROOM_BYTES = 64 * 1024


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.DatabaseError as problem:
        text = str(problem)
        if "is full" in text or ("disk I/O error" in text and _no_room(path)):
            raise StoreFull(
                f"no room left to write {path}", hint="free some space: reading goes on by itself"
            ) from None
        if "locked" in text:
            raise StoreLocked(
                f"{path} is held by another program for more than {_BUSY_MS // 1000} s",
                hint="look for a program with an open transaction on it, such as a SQLite browser",
            ) from None
        if "malformed" in text or "not a database" in text:
            raise StoreCorrupt(f"{path} is no SQLite database, or a damaged one: {text}") from None
        if isinstance(problem, sqlite3.OperationalError):
            raise StoreError(f"{path}: {text}", hint="check its owner, its mode and the file system") from None
        raise


def _no_room(path: Path) -> bool:
    """Whether the disk is full: SQLite calls it an I/O error where it is the memory beside the store (-shm)."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _ROOM_BYTES


def connect(path: Path) -> sqlite3.Connection:
    """A connection to an existing file that may write: explicit transactions, waits for other writers."""
    connection = sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    try:
        # WAL with NORMAL loses at most the last transactions in a power loss, never their order: the position goes with
        # the data, so what was lost is read again
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = OFF")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction: committed at the end, rolled back by whatever is raised inside."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def series_bounds(connection: sqlite3.Connection) -> dict[int, tuple[int, ...]]:
    """The explicit bounds of every series in nanoseconds, by its id."""
    rows = connection.execute("SELECT id, bounds FROM series")
    return {id_: decode_bounds(text) for id_, text in rows}
