"""The place of a store: its file system, and the processes that use it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from otel_logtail.ownfile import read_own

MOUNTS = Path("/proc/self/mountinfo")
"""The mounts that this process sees. Spaces and backslashes in paths are octal; all else is as in the path."""

_READ_MARKS = range(123, 128)
"""Bytes of ``-shm`` that SQLite locks while a connection has a snapshot (wal.c, WAL_READ_LOCK)."""


class _Lock(NamedTuple):
    kind: str
    mode: str
    pid: int
    place: str
    start: int


def file_system(path: Path) -> str:
    """Return the type of the file system of a path, such as ``nfs4``; ``unknown`` if the system does not list it."""
    found, longest = "unknown", -1
    real = os.path.realpath(path)
    for mount, kind in _mounts():
        if (real == mount or real.startswith(mount + "/")) and len(mount) >= longest:
            found, longest = kind, len(mount)
    return found


def is_mounted_alone(path: Path) -> bool:
    """Return whether a file is a mount of its own, as a single file in a container is.

    Its name then stays on one file: after a rotation by rename on the host, the new file is not seen.
    """
    real = os.path.realpath(path)
    return any(mount == real for mount, _ in _mounts())


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield the path and the type of each mount."""
    try:
        rows = MOUNTS.read_bytes().split(b"\n")
    except OSError:
        return
    for row in rows:
        before, _, after = row.partition(b" - ")
        fields = before.split()
        if len(fields) >= 5 and after:
            mount = re.sub(rb"\\([0-7]{3})", lambda escape: bytes([int(escape[1], 8)]), fields[4])
            yield os.fsdecode(mount).rstrip("/"), os.fsdecode(after.split()[0])


def holder(path: Path) -> int | None:
    """Return the pid of the daemon that uses the store, 0 if the pid is unknown, or None if there is no daemon.

    No lock is taken: that could stop a daemon that starts now.
    """
    real = Path(os.path.realpath(path))
    lock = Path(f"{real}.lock")
    named = (read_own(lock) or "").partition("\n")[0].strip()
    locks = _locks()
    if locks is not None:
        for file in (real, lock):
            for held in locks:
                if held.kind == "FLOCK" and _is_on(held, file, named):
                    return held.pid if held.pid > 0 else int(named) if named.isdecimal() else 0
        return None
    if not named.isdecimal():
        return None
    try:
        os.kill(int(named), 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # another user's process, and alive
    return int(named)


def readers(path: Path) -> list[str]:
    """Return the processes that hold a snapshot of the store now, such as ``sqlite3 (pid 17)``.

    This process and the daemon are left out: their snapshots are short.
    """
    shared = Path(f"{os.path.realpath(path)}-shm")
    pids = {
        lock.pid
        for lock in _locks() or ()
        if lock.kind == "POSIX" and lock.mode == "READ" and lock.start in _READ_MARKS and _is_on(lock, shared, "")
    }
    return [_name_of(pid) for pid in sorted(pids - {os.getpid(), holder(path)})]


def _name_of(pid: int) -> str:
    if pid <= 0:
        return "a process of another container"
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        name = ""
    return f"{name} (pid {pid})" if name else f"pid {pid}"


def _is_on(lock: _Lock, file: Path, named: str) -> bool:
    """Return whether a lock is on this file."""
    try:
        status = file.stat()
    except OSError:
        return False
    where, _, inode = lock.place.rpartition(":")
    if inode != str(status.st_ino):
        return False
    # some file systems show different devices in stat() and in /proc/locks: then the pid in the lock file decides
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    return where == device or named == str(lock.pid)


def _locks() -> list[_Lock] | None:
    """Return all locks of this machine; None if the system has no list of them."""
    try:
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return None
    return [
        _Lock(row[1], row[3], int(row[4]), row[5], int(row[6]) if row[6].isdecimal() else 0)
        for row in rows
        if len(row) > 6 and row[1] != "->"
    ]
