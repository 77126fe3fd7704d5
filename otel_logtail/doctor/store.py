"""Is the store there, whole, writable and followed by a daemon, and what does it say of what was read?"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from otel_logtail.doctor.check import FAIL, OK, WARN, Check, size
from otel_logtail.errors import LogtailError
from otel_logtail.query import open_readonly

CHECK_S = 30.0
"""How long a large store is read through at most."""

_FULL = 16 << 20
_SPARE = 256 << 20
_BEHIND = 16 << 20


def check_store(path: Path, max_bytes: int | None) -> Iterator[Check]:
    """The file, its lock, its disk; what it holds is for :func:`check_counts`."""
    area = "store"
    if not path.is_file():
        yield Check(WARN, area, f"no store at {path} yet", "the daemon makes it when it starts; another place: --db")
        yield from _check_room(_there(path), 0, max_bytes)
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Check(WARN, area, f"{path} is open to others (mode {mode:o})", f"chmod 600 {path}")
    suspicion = path.with_name(path.name + ".suspect")
    if suspicion.exists():
        yield Check(WARN, area, f"damage was met in {path}", "restart the daemon: it reads the whole store through")
    found = _check_integrity(path, traceless=True)
    # a daemon that has just begun to write would look like damage: looked at again, with the care that it needs
    yield found if found.level == OK else _check_integrity(path, traceless=False)
    pid = lock_holder(path)
    if pid is None:
        yield Check(WARN, "daemon", "no daemon has this store: nothing is followed now", "start it")
    else:
        yield Check(OK, "daemon", f"running as pid {pid}")
    yield from _check_room(path.parent, path.stat().st_size, max_bytes)


def _check_integrity(path: Path, *, traceless: bool) -> Check:
    try:
        conn = open_readonly(path, traceless=traceless)
    except LogtailError as problem:
        return Check(FAIL, "store", str(problem), problem.hint)
    deadline = time.monotonic() + CHECK_S
    try:
        conn.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        found = str(conn.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as problem:
        if time.monotonic() > deadline:
            return Check(
                OK, "store", f"{path} ({size(path.stat().st_size)}): no damage found in {CHECK_S:.0f} s of reading"
            )
        found = str(problem)
    except sqlite3.DatabaseError as problem:
        found = str(problem)
    finally:
        conn.close()
    if found != "ok":
        return Check(
            FAIL,
            "store",
            f"{path} is damaged: {found}",
            "restart the daemon: it sets the file aside and reads again what the logs still hold",
        )
    return Check(OK, "store", f"{path} ({size(path.stat().st_size)}) is whole")


def _check_room(folder: Path, used: int, max_bytes: int | None) -> Iterator[Check]:
    free = shutil.disk_usage(folder).free
    may_grow = max(0, (max_bytes or 0) - used)
    what = f"{size(free)} free in {folder}"
    todo = "free some space, or name another place with --db"
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Check(
            WARN, "disk", f"this user may not write in {folder}", "is the daemon another user? else mend its mode"
        )
    if free < _FULL:
        yield Check(FAIL, "disk", what, todo + "; reading stands still meanwhile, and goes on by itself")
    elif free < max(_SPARE, may_grow):
        grow = f"; the store may grow by {size(may_grow)} more (--max-db-size)" if may_grow else ""
        yield Check(WARN, "disk", what + grow, todo)
    else:
        yield Check(OK, "disk", what)


def _there(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.is_dir())


def lock_holder(path: Path) -> int | None:
    """The pid of the daemon that has the store; None: nobody. The lock is not touched."""
    lock = path.with_name(path.name + ".lock")
    try:
        status = lock.stat()
        said = lock.read_text(errors="replace").partition("\n")[0].strip()
    except OSError:
        return None
    if locks := _locks():
        device, inode = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}", f"{status.st_ino}"
        for kind, pid, place in locks:
            where, _, number = place.rpartition(":")
            # some file systems say another device here than there; then the pid must be the one that the file says
            if kind == "FLOCK" and number == inode and (where == device or pid == said):
                return int(pid) if pid.isdecimal() and int(pid) > 0 else int(said or 0)
        return None
    if not said.isdecimal():
        return None
    try:
        os.kill(int(said), 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # somebody else's, and alive
    return int(said)


def _locks() -> list[tuple[str, str, str]]:
    """Kind, pid and place of every lock that is held on this machine; none where the system does not tell."""
    try:
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return []
    return [(row[1], row[4], row[5]) for row in rows if len(row) > 5 and row[1] != "->"]


def check_counts(status: Mapping[str, Any]) -> Iterator[Check]:
    """What the store says of each source since it was made."""
    for source in status["sources"]:
        area = f"source {source['name']}"
        troubles = []
        if source["drift"]:
            troubles.append(
                Check(
                    WARN,
                    area,
                    f"{source['drift']} lines could not be read since the store was made",
                    "the program's log had another format; is it mended now? (see the lines on its logs)",
                )
            )
        if source["rejected"]:
            reasons = ", ".join(f"{count} as {reason}" for reason, count in source["rejected_by"].items())
            unknown = " (unknown_path: a path that is new to us; look for a newer otel-logtail)"
            troubles.append(
                Check(
                    WARN,
                    area,
                    f"rejected since the store was made: {reasons}",
                    "lines that can't be true; they are never samples"
                    + (unknown if "unknown_path" in source["rejected_by"] else ""),
                )
            )
        if source["unknown_stages"]:
            what = f"{source['unknown_stages']} samples have stages that have no name here"
            troubles.append(Check(WARN, area, what, "counted under 'unknown'; look for a newer otel-logtail"))
        if source["oversized"]:
            what = f"{source['oversized']} lines of more than 1 MiB were skipped"
            troubles.append(Check(WARN, area, what, "no line of a latency is so long: is it the right file?"))
        behind = sum(max(0, file["size"] - file["offset"]) for file in source["files"])
        if behind > _BEHIND:
            troubles.append(Check(WARN, area, f"{size(behind)} are still to be read", "look again: does it get less?"))
        yield from troubles or [
            Check(OK, area, f"{source['samples']} samples out of {size(source['bytes'])} of log, nothing odd")
        ]
