"""Checks of the store: file, damage, daemon, disk space, and the counts of each source."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from otel_logtail.check import FAIL, NOTE, OK, WARN, Check, is_recent
from otel_logtail.errors import LogtailError
from otel_logtail.query import Reader
from otel_logtail.store.health import BEHIND_BYTES, size_on_disk, wal_size
from otel_logtail.store.home import here, recorded
from otel_logtail.store.place import holder, readers
from otel_logtail.text import size, span

CHECK_S = 30.0
"""The longest time that the integrity check takes, in seconds."""

_START = "sudo systemctl start otel-logtail, or run otel-logtail with its options"
_FULL = 16 << 20
_SPARE = 256 << 20
_LARGE_WAL = 32 << 20
"""A write-ahead log of this size, in bytes, means that a process holds a snapshot."""


def check_store(path: Path, max_bytes: int | None) -> Iterator[Check]:
    """Check the file, its lock and its disk; :func:`check_counts` checks the content."""
    area = "store"
    if not path.is_file():
        yield Check(WARN, area, f"no store at {path} yet", "the daemon creates it when it starts; another path: --db")
        yield from _check_room(_there(path), 0, max_bytes)
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Check(WARN, area, f"{path} is open to others (mode {mode:o})", f"chmod 600 {shlex.quote(str(path))}")
    path = path.resolve()  # the files beside a store are in the directory of its real path
    suspicion = path.with_name(path.name + ".suspect")
    if suspicion.exists():
        yield Check(
            WARN,
            area,
            f"damage was found in {path}",
            "sudo systemctl restart otel-logtail, or restart the daemon: it checks the store",
        )
    found = _check_integrity(path, traceless=True)
    # a daemon that starts to write at this moment looks like damage: check again in the way that allows for it
    yield found if found.level == OK else _check_integrity(path, traceless=False)
    yield from _check_home(path)
    pid = holder(path)
    if pid is None:
        yield Check(WARN, "daemon", "no daemon has this store: nothing is followed now", _START)
    else:
        yield Check(OK, "daemon", f"running as pid {pid}")
    yield from _check_wal(path, max_bytes)
    yield from _check_room(path.parent, size_on_disk(path), max_bytes)


def _check_wal(path: Path, max_bytes: int | None) -> Iterator[Check]:
    large = wal_size(path)
    if large > min(_LARGE_WAL, (max_bytes or math.inf) / 8):
        names = readers(path)
        by = f"{', '.join(names)} holds a snapshot" if names else "a process held a snapshot for long"
        what = f"the write-ahead log {path}-wal has {size(large)}: {by}"
        yield Check(WARN, "store", what, f"{_kill(names)}, or end its transaction: the daemon then shrinks the file")


def _kill(names: Sequence[str]) -> str:
    """Return the command that ends these processes, such as ``less (pid 7)``."""
    pids = [match[1] for name in names if (match := re.search(r"\(pid (\d+)\)$", name))]
    return f"kill {' '.join(pids)}" if pids else "end that program"


def _check_integrity(path: Path, *, traceless: bool) -> Check:
    try:
        reader = Reader.open(path, traceless=traceless)
    except LogtailError as problem:
        return Check(FAIL, "store", str(problem), problem.hint)
    deadline = time.monotonic() + CHECK_S
    try:
        reader.conn.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        found = str(reader.conn.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as problem:
        if time.monotonic() > deadline:
            return Check(
                OK, "store", f"{path} ({size(path.stat().st_size)}): no damage found in {CHECK_S:.0f} s of reading"
            )
        found = str(problem)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as problem:
        found = str(problem)
    finally:
        reader.conn.close()
    if found != "ok":
        return Check(
            FAIL,
            "store",
            f"{path} is damaged: {found}",
            "restart the daemon: it moves the file away and rebuilds the store from the logs",
        )
    return Check(OK, "store", f"{path} passes the integrity check ({size(path.stat().st_size)})")


def _check_home(path: Path) -> Iterator[Check]:
    """Check that this is not a copy: two daemons with copies of one store would send as one instance."""
    try:
        with Reader.open(path, traceless=True) as reader:
            before = recorded(reader.conn)
    except (LogtailError, sqlite3.DatabaseError):
        return  # the checks above report it
    if before is None or before == (now := here(path)):
        return
    where = f"as {before.path}" if before.is_on(now) else f"on another machine ({before.host}, {before.path})"
    yield Check(
        WARN,
        "store",
        f"{path} was last used {where}",
        "if a daemon still uses it there, start one here: it takes a new service.instance.id, if this is a copy",
    )


def _check_room(folder: Path, used: int, max_bytes: int | None) -> Iterator[Check]:
    free = shutil.disk_usage(folder).free
    may_grow = max(0, (max_bytes or 0) - used)
    what = f"{size(free)} free in {folder}"
    todo = "free some space, or name another place with --db"
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Check(
            WARN, "disk", f"this user may not write in {folder}", "if the daemon runs as this user, fix the permissions"
        )
    if free < _FULL:
        yield Check(FAIL, "disk", what, todo + "; reading pauses until then")
    elif free < max(_SPARE, may_grow):
        grow = f"; the store may grow by {size(may_grow)} more (--max-db-size)" if may_grow else ""
        yield Check(WARN, "disk", what + grow, todo)
    else:
        yield Check(OK, "disk", what)


def _there(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.is_dir())


def check_counts(status: Mapping[str, Any], problems: Mapping[str, Mapping[str, int]], now_ns: int) -> Iterator[Check]:
    """Check the counts of each source since the store was created.

    Args:
        status: The answer ``query.status``.
        problems: When lines of each source last had each problem (``store.sources``).
        now_ns: The clock.
    """
    for source in status["sources"]:
        area = f"source {source['name']}"
        troubles = [
            *_check_lines(source, area, problems.get(source["name"], {}), now_ns),
            *_check_reading(source, area),
        ]
        yield from troubles or [
            Check(OK, area, f"{source['samples']} samples in {size(source['bytes'])} of log, none rejected")
        ]


def _check_lines(source: Mapping[str, Any], area: str, problems: Mapping[str, int], now_ns: int) -> Iterator[Check]:
    """Check for lines that hold no sample although they should."""

    def found(what: str, todo: str, *names: str) -> Check:
        last_ns = max((problems[name] for name in names if name in problems), default=None)
        ago = f"the last one {span((now_ns - last_ns) / 1e9)} ago" if last_ns else "before the last upgrade"
        level = WARN if is_recent(last_ns, now_ns) else NOTE
        return Check(level, area, f"{what} since the store was created, {ago}", todo)

    if source["drift"]:
        todo = "the log had another format; the checks of its files show whether it still has"
        yield found(f"{source['drift']} lines could not be read", todo, "drift")
    by = dict(source["rejected_by"])
    if too_many := by.pop("too_many_marks", 0):
        todo = "an hour has at most 60 marks; if a client can forge lines of starts, look for it"
        yield found(f"rejected {too_many} marks as too_many_marks", todo, "rejected too_many_marks")
    if by:
        unknown = " (unknown_path: a new path; look for a newer otel-logtail)" if "unknown_path" in by else ""
        reasons = ", ".join(f"{count} as {reason}" for reason, count in by.items())
        todo = f"lines that can't be true; they are never samples{unknown}"
        yield found(f"rejected {reasons}", todo, *(f"rejected {reason}" for reason in by))
    if source["oversized"]:
        todo = "no sample is that long: is it the right file?"
        yield found(f"{source['oversized']} lines of more than 1 MiB were skipped", todo, "oversized")


def _check_reading(source: Mapping[str, Any], area: str) -> Iterator[Check]:
    """Check the samples, and how far the files are read."""
    if source["unknown_stages"]:
        what = f"{source['unknown_stages']} samples have stages that have no name here"
        yield Check(WARN, area, what, "counted under 'unknown'; look for a newer otel-logtail")
    if source["no_sample"]:
        yield Check(WARN, area, f"no sample in {size(source['bytes'])} of log", source["no_sample"])
    behind = sum(max(0, file["size"] - file["offset"]) for file in source["files"])
    if behind > BEHIND_BYTES:
        yield Check(WARN, area, f"{size(behind)} are still to be read", "check again: does it decrease?")
