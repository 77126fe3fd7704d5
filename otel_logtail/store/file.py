"""The store's file: its lock, its making, and what becomes of a damaged or a deleted one.

Beside the store lie its lock (which says whose it is, and that a store was opened there before) and, after damage was
met, a note (``.suspect``): the next start reads the whole store through. While a damaged store is being set aside, the
note says where it goes, so that dying in the middle is no different from not dying: the one that takes its place knows
that it does (``meta.set_aside``), and the logs are read again from their start. A store that is missing although its
lock says that it was here is replaced in the same way.

The lock is held on the store's own inode too, so that no other name of it (a symbolic link, a lock file that was
deleted) lets a second daemon in. Links to the store are followed once, here: SQLite names ``-wal`` and ``-shm`` after
the real file. A hard link is refused, since each of its names would have a ``-wal`` of its own.

Known limit: the locks are advisory and of this machine; a store on a network file system is not protected by them.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sqlite3
import time
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from otel_logtail.errors import StoreCorrupt, StoreError, StoreGone, StoreLocked, StoreUnavailable
from otel_logtail.ownfile import open_own, read_own
from otel_logtail.store.connection import connect, transaction, translated
from otel_logtail.store.migrate import migrate
from otel_logtail.store.place import file_system, holder

CHECKED_BYTES = 64 << 20
"""Up to this size a store is read through at every start, to find damage before anything is built on it."""

_BESIDE = ("", "-wal", "-shm", "-journal")
_OPENED = "store\n"
_OWN_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_GONE = "/gone"
"""What the note says while a store that is missing is being replaced: no file has such a name."""

_AGAIN_NS = 3600 * 10**9
"""Damage that is met again within this time, where SQLite finds none, is where SQLite can't see it."""

_READ_BYTES = 1 << 20

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}

_Identity = tuple[int, int] | None


class StoreFile(msgspec.Struct, frozen=True):
    """A store that is open and locked.

    ``set_aside`` is where a damaged one went, whose place this one takes now; ``was_gone`` says that one was here
    before and is not there any more.
    """

    path: Path
    lock: int
    held: int
    connection: sqlite3.Connection
    identities: tuple[_Identity, ...]
    set_aside: Path | None = None
    was_gone: bool = False

    def see_that_it_is_there(self, *, all_of_it: bool = False) -> None:
        """See that the path still names the file that is open; with ``all_of_it`` also those beside it.

        In WAL mode nothing fails when they are deleted: what is written goes nowhere.

        Raises:
            StoreGone: it does not.
        """
        for end, known in zip(("", "-wal", "-shm")[: 3 if all_of_it else 1], self.identities, strict=False):
            now = _identity(f"{self.path}{end}")
            if now == known:
                continue
            what = "was deleted or moved" if now is None else "was replaced by another file"
            raise StoreGone(f"{self.path}{end} {what} while it was in use", beside=bool(end))

    def close(self) -> None:
        """Close it and free its lock."""
        self.connection.close()
        os.close(self.held)  # after SQLite: closing a descriptor of a file frees the locks that SQLite has on it
        os.close(self.lock)


def real_path(path: Path) -> Path:
    """Return where a store really lies: no links in its path."""
    return Path(os.path.realpath(path))


def open_file(path: Path) -> StoreFile:
    """Open the store, making it and its folder (modes 0600 and 0700) where they are not there.

    Raises:
        StoreLocked: another process has it (its pid is in the message).
        StoreUnavailable: it can't be opened now, but may be later.
        StoreError: it can't be opened, is of a newer schema, or the file is something else.
    """
    path = real_path(path)
    with translated(path):
        _make_folder(path.parent)
        lock, was_ours = _lock(path)
        try:
            was_gone = _note(path) == _GONE or (was_ours and _identity(path) is None and not _note(path))
            if was_gone:
                _write_note(path, _GONE)  # so that dying in the middle is no different from not dying
            try:
                held, connection = _open(path)
            except StoreCorrupt as problem:
                if not (was_ours or path.suffix in _OWN_SUFFIXES):
                    # a slip of the keyboard, perhaps: never move a file that is somebody else's
                    _lock_of(path).unlink(missing_ok=True)
                    raise StoreError(str(problem), hint="name another one with --db") from None
                _set_aside(path)
                held, connection = _open(path)
            try:
                aside = _note_aside(connection, path, was_gone=was_gone)
                _sync_folder(path.parent)
                _own(lock)
                with transaction(connection):  # from here on the files beside it are there
                    identities = tuple(_identity(f"{path}{end}") for end in ("", "-wal", "-shm"))
            except BaseException:
                connection.close()
                os.close(held)
                raise
            return StoreFile(path, lock, held, connection, identities, aside, was_gone)
        except BaseException:
            os.close(lock)
            raise


def suspect(path: Path) -> None:
    """Note that damage was met, so that the next start reads the whole store through, whatever its size.

    If it finds nothing, and damage is met again within the hour, the start after that sets the store aside.
    """
    try:
        _write_note(real_path(path), "")
    except OSError:
        pass  # then the next start meets it as this one did


def _make_folder(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for parent in reversed(missing):
        _sync_folder(parent.parent)


def _sync_folder(folder: Path) -> None:
    """Let the names in it outlast a power cut; where the file system can't, they may not."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # it may be written to and not be read
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.EROFS, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)


def _open(path: Path) -> tuple[int, sqlite3.Connection]:
    """Hold the store's inode and connect to it: checked, of this version, with a log of changes."""
    held = _hold(path)
    try:
        with translated(path):
            try:
                return held, _connected(path)
            except StoreCorrupt:
                # SQLite tells a page that could not be read like damage: a fault of the disk that passes is none
                _read_through(held)
                return held, _connected(path)
    except StoreUnavailable:
        os.close(held)
        if why := _no_shared_memory(path):
            raise StoreError(
                f"the file system of {path} ({file_system(path)}) has no shared memory (mmap), which the store needs:"
                f" {why}",
                hint="name a place on a local disk with --db",
            ) from None
        raise
    except BaseException:
        os.close(held)
        raise


def _connected(path: Path) -> sqlite3.Connection:
    with translated(path):
        connection = connect(path)
        try:
            _check(connection, path)
            migrate(connection, path)
            _clear(connection, path)
            _begin_wal(connection)  # not before it is known to be ours
        except BaseException:
            connection.close()
            raise
    return connection


def _read_through(descriptor: int) -> None:
    """Read a whole file.

    Raises:
        OSError: it can't be read now.
    """
    at = 0
    while data := os.pread(descriptor, _READ_BYTES, at):
        at += len(data)


def _begin_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA journal_size_limit = 16777216")  # a WAL that grew under a reader shrinks again
    connection.execute("SELECT count(*) FROM sqlite_master").fetchall()


def _no_shared_memory(path: Path) -> str:
    """Why a file here can't be shared in memory as SQLite's ``-shm`` is; empty where it can, or nobody can tell."""
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


def _hold(path: Path) -> int:
    """Lock the store's own inode, whatever name it was opened by; returns the descriptor that holds it."""
    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            status = os.fstat(held)
            if status.st_nlink > 1:
                raise StoreError(
                    f"{path} has {status.st_nlink} names (hard links): using two of them destroys a store",
                    hint=f"`find DIRECTORY -samefile {path}` finds the others: delete them, or use a copy",
                )
            _flock(held, path, "")  # the lock file is ours by now: it does not say whose the store is
            _see_that_ranges_lock(held, path)
            if _identity(path) == (status.st_dev, status.st_ino):
                return held
        except BaseException:
            os.close(held)
            raise
        os.close(held)  # replaced in between


def _flock(descriptor: int, path: Path, said: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = said.partition("\n")[0].strip() or holder(path) or "unknown"
        raise StoreLocked(
            f"{path} is in use by another otel-logtail (pid {pid})",
            hint="one daemon has a store at a time: stop that one, or name another store with --db",
        ) from None
    except OSError as problem:
        raise _cannot_lock(problem, path) from None


def _see_that_ranges_lock(descriptor: int, path: Path) -> None:
    """SQLite locks ranges of bytes: where that is missing it only ever says that the store is locked."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)  # a byte that SQLite never locks
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, 0)
    except (BlockingIOError, PermissionError):
        pass
    except OSError as problem:
        raise _cannot_lock(problem, path) from None


def _cannot_lock(problem: OSError, path: Path) -> Exception:
    if problem.errno not in _NO_LOCKS:
        return problem
    return StoreError(
        f"the file system of {path} ({file_system(path)}) can't lock files, which the store needs: {problem.strerror}",
        hint="name a place on a local disk with --db",
    )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size > CHECKED_BYTES and _note(path) is None:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreCorrupt(f"{path} is damaged: {found}")


def _clear(connection: sqlite3.Connection, path: Path) -> None:
    """Nothing was found in a store in which damage was met: let it go once, and remember that."""
    if _note(path) != "":
        return
    now_ns = time.time_ns()
    before = connection.execute("SELECT value FROM meta WHERE key = 'cleared_ns'").fetchone()
    if before is not None and abs(now_ns - int(before[0])) < _AGAIN_NS:
        raise StoreCorrupt(f"{path} is damaged where SQLite can't see it")
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('cleared_ns', ?)", (str(now_ns),))
    _suspicion(path).unlink(missing_ok=True)


def _set_aside(path: Path) -> None:
    """Give a damaged store, and what belongs to it, another name; nothing of it is lost."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    _write_note(path, aside.name)
    for end in reversed(_BESIDE):  # the database last: dying in between, the next start begins with it again
        beside = path.with_name(path.name + end)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + end))
    _sync_folder(path.parent)


def _note_aside(connection: sqlite3.Connection, path: Path, *, was_gone: bool) -> Path | None:
    """Let the new store know, for ever, that it has taken the place of one that was damaged or is gone."""
    name = _note(path)
    aside = path.with_name(name) if name and name != _GONE else None
    if aside is not None and not aside.exists():
        aside = None
    if aside is not None or was_gone:
        connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('set_aside', ?)", ("" if aside is None else aside.name,)
        )
    if name is not None:
        _suspicion(path).unlink(missing_ok=True)
    return aside


def _note(path: Path) -> str | None:
    """What is noted of damage: that it was met (empty), where the store goes, or that it is gone; None: no note."""
    note = read_own(_suspicion(path))
    return note if note is None or note == _GONE or note.startswith(f"{path.name}.corrupt-") else ""


def _write_note(path: Path, text: str) -> None:
    descriptor = open_own(_suspicion(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _suspicion(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def _identity(path: Path | str) -> _Identity:
    """Device and inode of what has this name; None: nothing has.

    Raises:
        StoreUnavailable: nobody can tell now.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - at every commit
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise StoreUnavailable(f"{path}: {problem.strerror}", hint="check its folder's owner and mode") from None
    return status.st_dev, status.st_ino


def _lock(path: Path) -> tuple[int, bool]:
    """Take the store's lock for as long as this process lives; returns it, and whether a store was opened here before.

    The file says whose it is.
    """
    lock = open_own(_lock_of(path), os.O_RDWR | os.O_CREAT)
    try:
        said = os.pread(lock, 64, 0).decode(errors="replace")
        _flock(lock, path, said)
        was_ours = _OPENED in said
        _write(lock, f"{os.getpid()}\n" + (_OPENED if was_ours else ""))
        return lock, was_ours
    except BaseException:
        os.close(lock)
        raise


def _own(lock: int) -> None:
    """Note that what lies here is a store of ours: should it be damaged one day, it may be set aside."""
    _write(lock, f"{os.getpid()}\n{_OPENED}")


def _write(lock: int, text: str) -> None:
    try:
        os.pwrite(lock, text.encode(), 0)
        os.ftruncate(lock, len(text))
    except OSError:
        pass  # no room: the lock itself is held all the same
