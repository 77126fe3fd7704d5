"""The store's file: its lock, its making, and what becomes of a damaged one.

Known limit: the lock is advisory and of this machine; a store on a network file system is not protected by it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from otel_logtail.database import connect, translated
from otel_logtail.errors import StoreCorrupt, StoreError, StoreLocked
from otel_logtail.migrate import migrate

CHECKED_BYTES = 64 << 20
"""Up to this size a store is read through at every start, to find damage before anything is built on it."""

_MAGIC = b"SQLite format 3\0"
_BESIDE = ("", "-wal", "-shm", "-journal")
_OWN_SUFFIXES = (".db", ".sqlite", ".sqlite3")


class StoreFile(msgspec.Struct, frozen=True):
    """A store that is open and locked. ``set_aside`` is where a damaged one went, whose place this one has taken."""

    lock: int
    connection: sqlite3.Connection
    set_aside: Path | None = None

    def close(self) -> None:
        """Close it and free its lock."""
        self.connection.close()
        os.close(self.lock)


def open_file(path: Path) -> StoreFile:
    """Open the store, making it and its folder (modes 0600 and 0700) where they are not there.

    Raises:
        StoreLocked: another process has it (its pid is in the message).
        StoreError: it can't be opened, is of a newer schema, or the file is something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        was_ours = _lock_of(path).exists() or path.suffix in _OWN_SUFFIXES
        lock = _lock(path)
    except OSError as problem:
        raise StoreError(
            f"the store can't be made: {problem.filename}: {problem.strerror}",
            hint="name another place with --db, or mend the folder's owner and mode",
        ) from None
    try:
        try:
            return StoreFile(lock, _open(path))
        except StoreCorrupt as problem:
            if not was_ours:  # a slip of the keyboard, perhaps: never move a file that is somebody else's
                _lock_of(path).unlink(missing_ok=True)  # it would make the file look like ours the next time
                raise StoreError(str(problem), hint="name another one with --db") from None
        aside = _set_aside(path)
        return StoreFile(lock, _open(path), aside)
    except OSError as problem:
        os.close(lock)
        raise StoreError(
            f"the store can't be opened: {problem.filename}: {problem.strerror}",
            hint="name another place with --db, or mend its owner and mode",
        ) from None
    except BaseException:
        os.close(lock)
        raise


def suspect(path: Path) -> None:
    """Note that damage was met, so that the next start reads the whole store through, whatever its size."""
    try:
        _suspicion(path).touch(mode=0o600)
    except OSError:
        pass  # then the next start meets it as this one did


def _open(path: Path) -> sqlite3.Connection:
    with translated(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = connect(path)
        try:
            _check(connection, path)
            migrate(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")  # not before it is known to be ours
            connection.execute("PRAGMA journal_size_limit = 16777216")  # a WAL that grew under a reader shrinks again
            return connection
        except BaseException:
            connection.close()
            raise


def _check(connection: sqlite3.Connection, path: Path) -> None:
    suspicion = _suspicion(path)
    if path.stat().st_size > CHECKED_BYTES and not suspicion.exists():
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreCorrupt(f"{path} is damaged: {found}")
    suspicion.unlink(missing_ok=True)


def _set_aside(path: Path) -> Path:
    """Give a damaged store, and what belongs to it, another name; nothing of it is lost."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    for end in reversed(_BESIDE):  # the database last: dying in between, the next start begins with it again
        beside = path.with_name(path.name + end)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + end))
    _suspicion(path).unlink(missing_ok=True)
    return aside


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _suspicion(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def _lock(path: Path) -> int:
    """Take the store's lock for as long as this process lives; the file says whose it is."""
    lock = os.open(_lock_of(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise StoreLocked(
            f"{path} is in use by another otel-logtail (pid {pid})",
            hint="one daemon has a store at a time: stop that one, or name another store with --db",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
