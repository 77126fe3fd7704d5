"""The locks of a store: on a file beside it, which holds the pid of its process, and on the store's own inode.

The lock on the inode also holds if the store is opened by another name (a symbolic link) or the lock file was deleted.
A hard link is refused, since SQLite would use another ``-wal`` for each name.

Known limit: the locks are advisory and of this machine. They do not protect a store on a network file system.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import ExitStack
from pathlib import Path

from otel_logtail.errors import StoreError, StoreLocked, StoreUnavailable
from otel_logtail.ownfile import open_own, read_own
from otel_logtail.store.place import file_system, holder

Identity = tuple[int, int] | None
"""Device and inode of a file; None: it does not exist."""

_OPENED = "store\n"
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def lock_file(path: Path) -> Path:
    """Return the lock file of a store."""
    return path.with_name(path.name + ".lock")


def was_opened(path: Path) -> bool:
    """Return whether a store was opened at this path before, as its lock file shows."""
    return _OPENED in (read_own(lock_file(path)) or "")


def take(path: Path) -> tuple[int, bool]:
    """Take the lock of a store for the life of this process.

    Returns the descriptor that holds the lock, and whether a store was opened here before.
    """
    with ExitStack() as unwinding:
        lock = open_own(lock_file(path), os.O_RDWR | os.O_CREAT)
        unwinding.callback(os.close, lock)
        text = os.pread(lock, 64, 0).decode(errors="replace")
        _flock(lock, path, text)
        was_ours = _OPENED in text
        _write(lock, f"{os.getpid()}\n" + (_OPENED if was_ours else ""))
        unwinding.pop_all()
    return lock, was_ours


def note_store(lock: int) -> None:
    """Note that the file here is a store of ours: if it is damaged one day, it may be moved away."""
    _write(lock, f"{os.getpid()}\n{_OPENED}")


def hold(path: Path) -> int:
    """Lock the store's inode, and create the file if it does not exist; returns the descriptor that holds the lock."""
    while True:
        with ExitStack() as unwinding:
            held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            unwinding.callback(os.close, held)
            status = os.fstat(held)
            if status.st_nlink > 1:
                raise StoreError(
                    f"{path} has {status.st_nlink} names (hard links): using two of them destroys a store",
                    hint=f"`find DIRECTORY -samefile {path}` finds the others: delete them, or use a copy",
                )
            _flock(held, path, "")  # this process has the lock file, so its text does not name the other process
            _check_locks_of_ranges(held, path)
            if identity(path) == (status.st_dev, status.st_ino):
                unwinding.pop_all()
                return held
            # replaced meanwhile


def identity(path: Path | str) -> Identity:
    """Return the identity of the file at a path.

    Raises:
        StoreUnavailable: the file system does not answer now.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - at every commit
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise StoreUnavailable(f"{path}: {problem.strerror}", hint="check its folder's owner and mode") from None
    return status.st_dev, status.st_ino


def _flock(descriptor: int, path: Path, text: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = text.partition("\n")[0].strip() or holder(path) or "unknown"
        raise StoreLocked(
            f"{path} is in use by another otel-logtail (pid {pid})",
            hint="one daemon has a store at a time: stop that one, or name another store with --db",
        ) from None
    except OSError as problem:
        raise _cannot_lock(problem, path) from None


def _check_locks_of_ranges(descriptor: int, path: Path) -> None:
    """Check that ranges of bytes can be locked. Without such locks SQLite reports any store as locked."""
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


def _write(lock: int, text: str) -> None:
    try:
        os.pwrite(lock, text.encode(), 0)
        os.ftruncate(lock, len(text))
    except OSError:
        pass  # the disk is full: the lock is held nevertheless
