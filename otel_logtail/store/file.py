"""The store's file: its lock, its making, and what becomes of a damaged one.

Beside the store lie its lock (which says whose it is, and that a store was opened there before) and, after damage was
met, a note (``.suspect``): the next start reads the whole store through. While a damaged store is being set aside, the
note says where it goes, so that dying in the middle is no different from not dying: the one that takes its place knows
that it does (``meta.set_aside``), and the logs are read again from their start.

Known limit: the lock is advisory and of this machine; a store on a network file system is not protected by it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from otel_logtail.errors import StoreCorrupt, StoreError, StoreLocked
from otel_logtail.store.connection import connect, translated
from otel_logtail.store.migrate import migrate

CHECKED_BYTES = 64 << 20
"""Up to this size a store is read through at every start, to find damage before anything is built on it."""

_MAGIC = b"SQLite format 3\0"
_BESIDE = ("", "-wal", "-shm", "-journal")
_OPENED = "store\n"
_OWN_SUFFIXES = (".db", ".sqlite", ".sqlite3")


class StoreFile(msgspec.Struct, frozen=True):
    """A store that is open and locked. ``set_aside`` is where a damaged one went, whose place this one takes now."""

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
        lock, was_ours = _lock(path)
    except OSError as problem:
        raise StoreError(
            f"the store can't be made: {problem.filename}: {problem.strerror}",
            hint="name another place with --db, or mend the folder's owner and mode",
        ) from None
    try:
        try:
            connection = _open(path)
        except StoreCorrupt as problem:
            if not (was_ours or path.suffix in _OWN_SUFFIXES):
                # a slip of the keyboard, perhaps: never move a file that is somebody else's
                _lock_of(path).unlink(missing_ok=True)
                raise StoreError(str(problem), hint="name another one with --db") from None
            _set_aside(path)
            connection = _open(path)
        try:
            with translated(path):
                aside = _note_aside(connection, path)
            _own(lock)
        except BaseException:
            connection.close()
            raise
        return StoreFile(lock, connection, aside)
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
    if not _going_to(path):
        suspicion.unlink(missing_ok=True)


def _set_aside(path: Path) -> None:
    """Give a damaged store, and what belongs to it, another name; nothing of it is lost."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    _suspicion(path).touch(mode=0o600)
    _suspicion(path).write_text(aside.name)
    for end in reversed(_BESIDE):  # the database last: dying in between, the next start begins with it again
        beside = path.with_name(path.name + end)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + end))


def _note_aside(connection: sqlite3.Connection, path: Path) -> Path | None:
    """Let the new store know, for ever, that it has taken a damaged one's place."""
    name = _going_to(path)
    if not name:
        return None
    aside = path.with_name(name)
    if aside.exists():
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('set_aside', ?)", (name,))
    _suspicion(path).unlink(missing_ok=True)
    return aside if aside.exists() else None


def _going_to(path: Path) -> str:
    """The name under which a damaged store is being set aside, or nothing."""
    try:
        return _suspicion(path).read_text()
    except OSError:
        return ""


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _suspicion(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def _lock(path: Path) -> tuple[int, bool]:
    """Take the store's lock for as long as this process lives; returns it, and whether a store was opened here before.

    The file says whose it is.
    """
    lock = os.open(_lock_of(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    said = os.read(lock, 64).decode(errors="replace")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = said.partition("\n")[0].strip() or "unknown"
        os.close(lock)
        raise StoreLocked(
            f"{path} is in use by another otel-logtail (pid {pid})",
            hint="one daemon has a store at a time: stop that one, or name another store with --db",
        ) from None
    was_ours = _OPENED in said
    _write(lock, f"{os.getpid()}\n" + (_OPENED if was_ours else ""))
    return lock, was_ours


def _own(lock: int) -> None:
    """Note that what lies here is a store of ours: should it be damaged one day, it may be set aside."""
    _write(lock, f"{os.getpid()}\n{_OPENED}")


def _write(lock: int, text: str) -> None:
    try:
        os.pwrite(lock, text.encode(), 0)
        os.ftruncate(lock, len(text))
    except OSError:
        pass  # no room: the lock itself is held all the same
