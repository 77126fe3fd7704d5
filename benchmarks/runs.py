"""Runs of the program in forked processes, on stores whose content is checked afterwards."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.data import Log
from benchmarks.forks import cpu_s, program
from benchmarks.writer import line

KEEP = ("--retention", "none", "--max-db-size", "none")
"""Old samples stay, whatever the date is."""
SAMPLES = "SELECT sum(samples) FROM source"


def once(log: Log, db: Path, *arguments: object) -> Callable[[], object]:
    """Return a function that reads a log into a store."""
    words = ("--observer", "headroom", "--path", log.files[0], "--db", db, "--once", *KEEP)
    return program(*words, *arguments)


def read(log: Log, db: Path, *arguments: object) -> float:
    """Read a log into an empty store and return the CPU seconds.

    Raises:
        RuntimeError: a sample is missing.
    """
    remove(db)
    spent_s = cpu_s(once(log, db, *arguments))
    check(db, SAMPLES, log.samples)
    return spent_s


def floor(folder: Path, function: Callable[[Path], object], times: int = 1) -> float:
    """CPU seconds of a loop that makes a database; the mean of so many, because short runs vary more."""
    databases = [folder / f"floor-{number}.db" for number in range(times)]
    for db in databases:
        remove(db)

    def all_of_them() -> None:
        for db in databases:
            function(db)

    return cpu_s(all_of_them) / times


def check(db: Path, sql: str, expected: int) -> None:
    """See that a store answers as expected.

    Raises:
        RuntimeError: it does not.
    """
    if (found := asked(db, sql)) != expected:
        raise RuntimeError(f"{db}: {sql} is {found} and not {expected}")


def asked(db: Path, sql: str) -> int | None:
    """Return the number that a store answers."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as store:
        found: int | None = store.execute(sql).fetchone()[0]
    return found


def wait_for(db: Path, samples: int) -> None:
    """Wait until a new store has so many samples."""

    def has_them() -> bool:
        try:
            return (asked(db, SAMPLES) or 0) >= samples
        except sqlite3.Error:
            return False  # it is being made

    wait_until(has_them, 0.01)


def wait_until(done: Callable[[], bool], every_s: float = 0.0005) -> None:
    """Wait for something.

    Raises:
        RuntimeError: it is not so after a minute.
    """
    end_s = time.monotonic() + 60
    while not done():
        if time.monotonic() > end_s:
            raise RuntimeError("a condition was not met within a minute")
        time.sleep(every_s)


def written(folder: Path, lines: int, name: str = "proxy-8787.log") -> Path:
    """A log of so many lines."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(b"".join(line(number, 1.0) for number in range(lines)))
    return path


def remove(db: Path) -> None:
    """Delete a store and the files beside it."""
    for path in db.parent.glob(f"{db.name}*"):
        path.unlink()
