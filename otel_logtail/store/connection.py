"""Connections to the store's file. Errors of SQLite, Python and the system are translated to ours.

There is one table for each of the three. An error is temporary (:class:`StoreUnavailable`: the program waits), damage
(:class:`StoreCorrupt`: the store is moved away) or final (:class:`StoreError`: the user must change something). Other
errors are bugs of ours and are not translated.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from otel_logtail.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable
from otel_logtail.store.rows import decode_bounds

SCHEMA_VERSION = 10
BUSY_MS = 5_000
_ROOM_BYTES = 64 * 1024

_BUSY, _NO_MEMORY, _READ_ONLY, _IO_ERROR, _CORRUPT, _FULL, _CANT_OPEN = 5, 7, 8, 10, 11, 13, 14
_TEXTS = (
    ("malformed", _CORRUPT),
    ("decode to UTF-8", _CORRUPT),  # Python's own, without a code
    ("not a database", 26),
    ("auxiliary database format", 24),
    ("no such ", 1),
    ("has no column", 1),
    ("locking protocol", 15),
    ("locked", _BUSY),
    ("is full", _FULL),
    ("disk I/O error", _IO_ERROR),
    ("unable to open", _CANT_OPEN),
    ("readonly", _READ_ONLY),
    ("out of memory", _NO_MEMORY),
    ("too big", 18),
    ("schema has changed", 17),
    ("access permission denied", 3),
    ("large file support", 22),
)
"""SQLite's result codes by its messages: Python 3.10 has only the messages."""

_DAMAGE = {_CORRUPT, 18, 19, 20, 24, 26}
"""Includes values that do not fit (too big, a constraint, a type): in an undamaged store no commit of ours fails so."""

_TEMPORARY = {_BUSY, 6, _NO_MEMORY, _IO_ERROR, _CANT_OPEN, 15, 17}
_FINAL = {3, _READ_ONLY, 22, 23}

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
TEMPORARY_ERRNOS = frozenset(
    getattr(errno, name)
    for name in (
        *(
            "EIO",
            "EAGAIN",
            "EINTR",
            "EBUSY",
            "ENOMEM",
            "ENOBUFS",
            "EMFILE",
            "ENFILE",
            "ESTALE",
            "ETIMEDOUT",
            "ENOTCONN",
        ),
        *("ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET"),
        *("EREMOTEIO", "ENOLINK", "EUCLEAN", "ENXIO", "ENODEV"),
    )
    if hasattr(errno, name)
)
"""Faults of a disk, of a network file system or of a machine with too few resources: they may be temporary."""

_WAITS = "reading continues when the store can be used again"


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate errors of SQLite, Python and the system to ours."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OSError, UnicodeDecodeError, MemoryError, msgspec.MsgspecError) as problem:
        ours = error_of(problem, path)
        if ours is None:
            raise
        raise ours from None


def error_of(problem: Exception, path: Path) -> StoreError | None:
    """Return our error for an exception that was raised while the store was used, or None if it is a bug of ours."""
    text = " ".join(str(problem).split())
    if isinstance(problem, (UnicodeDecodeError, msgspec.MsgspecError)):
        return StoreCorrupt(f"{path} is damaged: {text}")
    if isinstance(problem, MemoryError):
        return StoreUnavailable(f"{path}: out of memory", hint=_WAITS)
    if isinstance(problem, OSError):
        return _of_the_system(problem, path)
    code = _code_of(problem)
    if code in _DAMAGE or (code == 1 and text.startswith(("no such table", "no such column"))):
        return StoreCorrupt(f"{path} is not a SQLite database, or is damaged: {text}")
    if code == _FULL or (code == _IO_ERROR and _no_room(path)):
        return StoreFull(f"no room left to write {path}", hint="free some space; reading continues by itself")
    if code in (_BUSY, 6):
        return StoreUnavailable(
            f"{path} is held by another program for more than {BUSY_MS // 1000} s",
            hint="look for a program with an open transaction on it, such as a SQLite browser",
        )
    if code == _CANT_OPEN and not _takes_files(str(path.parent)):
        return StoreError(f"{path}: {text}: {path.parent} can't be written to", hint="check its owner and its mode")
    # SQLite reports a file that it could not open for writing, and opened for reading, as read-only
    if code in _TEMPORARY or (code == _READ_ONLY and _may_be_written(path)):
        return StoreUnavailable(f"{path}: {text}", hint=_WAITS)
    if code in _FINAL or isinstance(problem, sqlite3.OperationalError):
        return StoreError(f"{path}: {text}", hint="check its owner, its mode and the file system")
    return None


def _may_be_written(path: Path) -> bool:
    return os.access(path, os.W_OK) and _takes_files(str(path.parent))


def _of_the_system(problem: OSError, path: Path) -> StoreError:
    where, what = problem.filename or path, problem.strerror or str(problem)
    if problem.errno in FULL_ERRNOS:
        return StoreFull(f"no room left to write {where}", hint="free some space; reading continues by itself")
    if problem.errno in TEMPORARY_ERRNOS:
        return StoreUnavailable(f"{where}: {what}", hint=_WAITS)
    return StoreError(
        f"the store can't be opened: {where}: {what}",
        hint="name another place with --db, or change its owner and mode",
    )


def _code_of(problem: Exception) -> int | None:
    """Return SQLite's primary result code, or None if it is unknown."""
    code = getattr(problem, "sqlite_errorcode", None)
    if code is not None:
        return int(code) & 0xFF
    if isinstance(problem, sqlite3.IntegrityError):
        return 19
    text = str(problem)
    return next((known for words, known in _TEXTS if words in text), None)


def _no_room(path: Path) -> bool:
    """Return whether the disk is full: if ``-shm`` cannot grow, SQLite reports an I/O error."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _ROOM_BYTES


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to an existing file for reading and writing, with explicit transactions."""
    uri = path.absolute().as_uri() + "?mode=rw"  # does not create a file: the store may have been deleted meanwhile
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    try:
        sync_each_commit(connection, True)
        connection.execute("PRAGMA foreign_keys = OFF")
        find_room_for_temporary_files(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def sync_each_commit(connection: sqlite3.Connection, on: bool) -> None:
    """Choose whether a commit is on the disk when it returns, or at the next checkpoint at the latest.

    A new connection syncs each commit. Otherwise a power cut takes the last transactions, complete and in order. The
    position is in the same transaction as the data, so lost data is read again (docs/decisions/0078).
    """
    connection.execute(f"PRAGMA synchronous = {'FULL' if on else 'NORMAL'}")


def find_room_for_temporary_files(connection: sqlite3.Connection, path: Path) -> None:
    """Let SQLite create temporary files beside the store if its usual directories are not writable.

    SQLite needs such files for VACUUM, a large sort and a large statement. If no directory is writable (a read-only
    container), they are kept in memory.
    """
    usual = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108
    if any(_takes_files(folder) for folder in usual if folder):
        return
    folder = str(path.resolve().parent)
    if _takes_files(folder):
        # the setting is of the whole process: another thread may use it
        if connection.execute("PRAGMA temp_store_directory").fetchone() is None:
            connection.execute(f"PRAGMA temp_store_directory = '{folder.replace(chr(39), chr(39) * 2)}'")
        if connection.execute("PRAGMA temp_store_directory").fetchone() is not None:
            return
    connection.execute("PRAGMA temp_store = MEMORY")  # or this version of SQLite no longer has the setting


def _takes_files(folder: str) -> bool:
    return Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run one write transaction: committed at the end, rolled back by any exception."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Let everything that is read inside see the store at one moment; the outermost snapshot decides which."""
    is_outermost = not connection.in_transaction
    if is_outermost:
        connection.execute("BEGIN")
    try:
        yield
    finally:
        if is_outermost and connection.in_transaction:
            connection.execute("ROLLBACK")


def series_bounds(connection: sqlite3.Connection) -> dict[int, tuple[int, ...]]:
    """Return the explicit bounds of every series in nanoseconds, by id."""
    rows = connection.execute("SELECT id, bounds FROM series")
    return {id_: decode_bounds(text) for id_, text in rows}


def one(connection: sqlite3.Connection, sql: str, *parameters: object) -> Any:
    """Return the first column of the first row of a query, or None if it has no rows."""
    row = connection.execute(sql, parameters).fetchone()
    return None if row is None else row[0]


def meta(connection: sqlite3.Connection, key: str) -> str | None:
    """Return a value of the table meta, or None if there is none."""
    return cast("str | None", one(connection, "SELECT value FROM meta WHERE key = ?", key))


def set_meta(connection: sqlite3.Connection, key: str, value: object) -> None:
    """Store a value in the table meta."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value)))
