"""Checks of the machine: versions, file system events, and descriptors."""

from __future__ import annotations

import platform
import resource
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

from otel_logtail.check import OK, WARN, Check
from otel_logtail.tail.watch import WatchdogWatcher

_LIMITS = Path("/proc/sys/fs/inotify")
_RESERVE = 100


def versions(version: str) -> Check:
    """Return the versions of the program and of the parts below it, which a report of a fault needs.

    Args:
        version: That of the program.
    """
    parts = (
        f"otel-logtail {version}",
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
        f"{platform.system()} {platform.release()} {platform.machine()}",
    )
    return Check(OK, "versions", ", ".join(parts))


def check_machine(directories: Collection[str], files: int) -> Iterator[Check]:
    """Check that this number of files in these directories can be followed, with events."""
    yield _check_events(directories)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and files + _RESERVE > hard:
        what = f"{files} files are to be followed, and a process may open {hard}"
        # a shell cannot raise the hard limit
        number = files + _RESERVE
        todo = f"LimitNOFILE={number} in the systemd unit, or docker run --ulimit nofile={number}"
        yield Check(WARN, "descriptors", what, todo)


def _check_events(directories: Collection[str]) -> Check:
    limits = []
    for name in ("max_user_instances", "max_user_watches"):
        try:
            limits.append(f"{name} {(_LIMITS / name).read_text().strip()}")
        except OSError:
            continue
    known = f" ({', '.join(limits)})" if limits else ""
    try:
        watcher = WatchdogWatcher()
        try:
            watcher.watch(directories)
        finally:
            watcher.close()
    except ImportError as problem:
        todo = "install otel-logtail again with its dependencies; the files are checked every second instead"
        return Check(WARN, "events", f"no file system events: {problem}", todo)
    except OSError as problem:
        return Check(
            WARN,
            "events",
            f"no file system events: {problem.strerror or problem}{known}",
            "sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288; the files are checked"
            " every second instead",
        )
    return Check(OK, "events", f"file system events work{known}")
