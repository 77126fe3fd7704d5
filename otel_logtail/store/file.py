"""Opening the store's file: locked, checked, of the newest schema, and replaced if it is damaged or missing.

A store that is missing although its lock file shows that it was here is replaced like a damaged one: the logs are read
again from their start. Links to the store are followed once, here: SQLite names ``-wal`` and ``-shm`` after the real
file.
"""

from __future__ import annotations

import errno
import mmap
import os
import sqlite3
from contextlib import ExitStack
from pathlib import Path

import msgspec

from otel_logtail.errors import StoreCorrupt, StoreError, StoreGone, StoreUnavailable
from otel_logtail.ownfile import open_own
from otel_logtail.store.connection import connect, transaction, translated
from otel_logtail.store.damage import GONE, check, clear, move_away, note_replacement, read_note, write_note
from otel_logtail.store.lock import Identity, hold, identity, lock_file, note_store, take
from otel_logtail.store.migrate import migrate
from otel_logtail.store.place import file_system

_OWN_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_READ_BYTES = 1 << 20


class StoreFile(msgspec.Struct, frozen=True):
    """A store that is open and locked.

    ``lock`` and ``held`` are the descriptors of its locks. ``set_aside`` is where a damaged store was moved that this
    one replaces. ``was_gone``: a store was here before, and was missing.
    """

    path: Path
    lock: int
    held: int
    connection: sqlite3.Connection
    identities: tuple[Identity, ...]
    set_aside: Path | None = None
    was_gone: bool = False

    def check(self, *, with_companions: bool = False) -> None:
        """Check that the path is still that of the open file, and on request those of ``-wal`` and ``-shm``.

        In WAL mode no write fails after the files were deleted; its data is lost.

        Raises:
            StoreGone: a file was deleted, moved or replaced.
        """
        for ending, known in zip(("", "-wal", "-shm")[: 3 if with_companions else 1], self.identities, strict=False):
            now = identity(f"{self.path}{ending}")
            if now == known:
                continue
            what = "was deleted or moved" if now is None else "was replaced by another file"
            raise StoreGone(f"{self.path}{ending} {what} while it was in use", beside=bool(ending))

    def check_all(self) -> None:
        """Check the paths of all three files.

        If only ``-wal`` or ``-shm`` is missing, its data is first written to the store, so that the store can be opened
        again.

        Raises:
            StoreGone: a file is missing.
            StoreUnavailable: a file is missing, and a snapshot of another program prevents that its data is written.
        """
        try:
            self.check(with_companions=True)
        except StoreGone as gone:
            if gone.beside:
                with translated(self.path):
                    busy, _, _ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if busy:
                    raise StoreUnavailable(f"{gone}, and another program reads the store", hint=str(gone)) from None
            raise

    def close(self) -> None:
        """Close the store and release its locks."""
        self.connection.close()
        os.close(self.held)  # after SQLite: closing a descriptor of a file releases the locks that SQLite has on it
        os.close(self.lock)


def open_file(path: Path) -> StoreFile:
    """Open the store; creates the file and its directory (modes 0600 and 0700) if they do not exist.

    Raises:
        StoreLocked: another process uses it (its pid is in the message).
        StoreUnavailable: it cannot be opened now, but perhaps later.
        StoreError: it cannot be opened, has a newer schema, or the file is not a store.
    """
    path = Path(os.path.realpath(path))
    with translated(path), ExitStack() as unwinding:
        _make_directory(path.parent)
        lock, was_ours = take(path)
        unwinding.callback(os.close, lock)
        was_gone = read_note(path) == GONE or (was_ours and identity(path) is None and not read_note(path))
        if was_gone:
            write_note(path, GONE)  # if the process dies, the next start continues here
        held, connection = _open_or_replace(path, is_ours=was_ours or path.suffix in _OWN_SUFFIXES)
        unwinding.callback(os.close, held)
        unwinding.callback(connection.close)
        moved = note_replacement(connection, path, was_gone=was_gone)
        _sync_directory(path.parent)
        note_store(lock)
        with transaction(connection):  # from here on -wal and -shm exist
            identities = tuple(identity(f"{path}{ending}") for ending in ("", "-wal", "-shm"))
        unwinding.pop_all()
        return StoreFile(path, lock, held, connection, identities, moved, was_gone)


def _open_or_replace(path: Path, *, is_ours: bool) -> tuple[int, sqlite3.Connection]:
    """Open the store. A damaged one is moved away, and a new one takes its place."""
    try:
        return _open(path)
    except StoreCorrupt as problem:
        if not is_ours:
            # perhaps a typing error: never move a file of another program
            lock_file(path).unlink(missing_ok=True)
            raise StoreError(str(problem), hint="name another one with --db") from None
        move_away(path)
        _sync_directory(path.parent)
        return _open(path)


def _open(path: Path) -> tuple[int, sqlite3.Connection]:
    """Lock the store's inode and connect to it."""
    with ExitStack() as unwinding:
        held = hold(path)
        unwinding.callback(os.close, held)
        try:
            with translated(path):
                try:
                    connection = _connect(path)
                except StoreCorrupt:
                    # SQLite reports a page that could not be read like damage: a temporary fault of the disk is none
                    _read_all(held)
                    connection = _connect(path)
        except StoreUnavailable:
            if why := _no_shared_memory(path):
                raise StoreError(
                    f"the file system of {path} ({file_system(path)}) has no shared memory (mmap), which the store"
                    f" needs: {why}",
                    hint="name a place on a local disk with --db",
                ) from None
            raise
        unwinding.pop_all()
    return held, connection


def _connect(path: Path) -> sqlite3.Connection:
    with translated(path), ExitStack() as unwinding:
        connection = connect(path)
        unwinding.callback(connection.close)
        check(connection, path)
        migrate(connection, path)
        clear(connection, path)
        # not before the file is known to be ours
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA journal_size_limit = 16777216")  # a WAL that grew under a reader shrinks again
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        unwinding.pop_all()
        return connection


def _read_all(descriptor: int) -> None:
    """Read a whole file.

    Raises:
        OSError: it cannot be read now.
    """
    at = 0
    while data := os.pread(descriptor, _READ_BYTES, at):
        at += len(data)


def _no_shared_memory(path: Path) -> str:
    """Return why a file here cannot be shared in memory like SQLite's ``-shm``; empty if it can, or if unknown."""
    trial = path.with_name(f"{path.name}.trial-shm")
    try:
        descriptor = open_own(trial, os.O_RDWR | os.O_CREAT)
    except OSError:
        return ""
    try:
        os.ftruncate(descriptor, mmap.PAGESIZE)
        mmap.mmap(descriptor, mmap.PAGESIZE).close()
    except OSError as problem:
        return "" if problem.errno == errno.ENOSPC else problem.strerror or str(problem)
    finally:
        os.close(descriptor)
        trial.unlink(missing_ok=True)
    return ""


def _make_directory(directory: Path) -> None:
    missing = [parent for parent in (directory, *directory.parents) if not parent.exists()]
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for parent in reversed(missing):
        _sync_directory(parent.parent)


def _sync_directory(directory: Path) -> None:
    """Sync the names in a directory, so that they outlast a power cut, if the file system can do that."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # the directory may be writable and not readable
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.EROFS, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)
