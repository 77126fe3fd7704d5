"""A fault that may pass is waited for at the start as it is while running, with a word; one that lasts is an error.

The systemd unit never starts a daemon again that has ended with 2: only what the user must change ends with that.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import durations, lines
from tests.support.preload import FAILING_CALL, NO_SHARED_MEMORY, library
from tests.support.waiting import wait_until

WAITS = "reading stops until it can be written"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """One that has read five lines and has ended; five more have come since."""
    with Daemon(tmp_path) as daemon:
        daemon.write(lines(0, 5))
        daemon.once()
        daemon.write(lines(5, 10))
        yield daemon


def test_a_transaction_of_another_program_is_waited_for(daemon: Daemon) -> None:
    with closing(sqlite3.connect(daemon.db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        daemon.launch()
        daemon.wait_until(lambda: "is held by another program" in daemon.said())
        daemon.wait_until(lambda: WAITS in daemon.said())
        other.execute("ROLLBACK")
    daemon.wait_for(durations(0, 10))
    daemon.wait_until(lambda: "the store can be written again" in daemon.said())
    daemon.stop()


FAULTS = [
    ("pread", "store.db", errno.EIO),
    ("pwrite", "store.db-wal", errno.EIO),
    ("pwrite", "store.db-wal", errno.ENOSPC),
    ("flock", "store.db", errno.EIO),
    ("flock", "store.db.lock", errno.EIO),
    ("flock", "store.db", errno.ESTALE),
    ("fcntl", "store.db", errno.EIO),
]


@pytest.mark.parametrize(("call", "ends", "number"), FAULTS, ids=lambda value: str(value))
def test_a_fault_that_passes_is_waited_for(tmp_path: Path, call: str, ends: str, number: int) -> None:
    fault = tmp_path / "fault"
    shim = {"LD_PRELOAD": library(FAILING_CALL), "CALL": call, "ENDS": ends, "ERROR": str(number)}
    with Daemon(tmp_path, **shim, WHILE=str(fault)) as daemon:
        daemon.write(lines(0, 5))
        daemon.once()
        daemon.write(lines(5, 10))
        fault.touch()
        daemon.launch()
        daemon.wait_until(lambda: WAITS in daemon.said())
        fault.unlink()
        daemon.wait_for(durations(0, 10))
        assert daemon.said().count(WAITS) == 1
        daemon.stop()


def test_one_that_reads_once_ends_with_1(tmp_path: Path) -> None:
    fault = {"CALL": "pread", "ENDS": "store.db", "ERROR": str(errno.EIO)}
    with Daemon(tmp_path) as daemon:
        daemon.write(lines(0, 5))
        daemon.once()
    with Daemon(tmp_path, LD_PRELOAD=library(FAILING_CALL), **fault) as daemon:
        assert "disk I/O error" in daemon.once(code=1)


ONE_FAULT = [
    *(("pread", "store.db", number) for number in (1, 2, 3, 4, 5, 8, 13, 21, 34)),
    *(("pwrite", "store.db-wal", number) for number in (1, 2, 3, 5, 8)),
    *(("open", "store.db", number) for number in (1, 2, 3)),
    *(("open", "store.db-wal", number) for number in (1, 2)),
]


@pytest.mark.parametrize(("call", "ends", "number"), ONE_FAULT, ids=lambda value: str(value))
def test_one_single_fault_neither_ends_it_nor_sets_a_good_store_aside(
    tmp_path: Path, call: str, ends: str, number: int
) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.write(lines(0, 3000))
        daemon.once()
        daemon.write(lines(3000, 3010))
    shim = {"LD_PRELOAD": library(FAILING_CALL), "CALL": call, "ENDS": ends, "ERROR": str(errno.EIO)}
    with Daemon(tmp_path, **shim, ONLY=str(number)) as daemon:
        daemon.launch()
        daemon.wait_for(durations(0, 3010))
        daemon.stop()
        assert "damaged" not in daemon.said()
        assert "is corrupt" not in daemon.said()
    assert not list(tmp_path.glob("*.corrupt-*"))


LASTING = [
    ("flock", "store.db", errno.ENOLCK),
    ("flock", "store.db", errno.ENOSYS),
    ("flock", "store.db", errno.EOPNOTSUPP),
    ("flock", "store.db.lock", errno.ENOLCK),
    ("flock", "store.db.lock", errno.EOPNOTSUPP),
    ("fcntl", "store.db", errno.ENOLCK),
    ("fcntl", "store.db", errno.ENOSYS),
]


@pytest.mark.parametrize(("call", "ends", "number"), LASTING, ids=lambda value: str(value))
def test_a_file_system_that_cannot_lock_is_named(tmp_path: Path, call: str, ends: str, number: int) -> None:
    fault = {"CALL": call, "ENDS": ends, "ERROR": str(number)}
    with Daemon(tmp_path, LD_PRELOAD=library(FAILING_CALL), **fault) as daemon:
        daemon.write(lines(0, 5))
        for how in (daemon.once, lambda code: ended(daemon, code)):
            said = how(code=2)
            assert "the file system of " in said
            assert "can't lock files, which the store needs: " + os.strerror(number) in said
            assert "name a place on a local disk with --db" in said
            assert said.count("error:") == 1
            assert "None" not in said


def test_a_file_system_without_shared_memory_is_named(tmp_path: Path) -> None:
    with Daemon(tmp_path, LD_PRELOAD=library(NO_SHARED_MEMORY)) as daemon:
        daemon.write(lines(0, 5))
        for how in (daemon.once, lambda code: ended(daemon, code)):
            said = how(code=2)
            assert "has no shared memory (mmap), which the store needs: No such device" in said
            assert "name a place on a local disk with --db" in said
    assert not list(tmp_path.glob("*trial*"))


def ended(daemon: Daemon, code: int) -> str:
    before = len(daemon.said())
    daemon.launch()
    assert daemon.ends() == code
    return daemon.said()[before:]


# --- damage that only shows when what is in the store is used ---

UNSEEN = {
    "a file's name": "UPDATE file SET path = CAST(x'ff2f' AS TEXT)",
    "a series' labels": "UPDATE series SET attributes = '{', bounds = '['",
    "an open episode": "UPDATE open_episode SET attributes = '{', cause = CAST(x'ff' AS TEXT)",
}


@pytest.mark.parametrize("damage", UNSEEN.values(), ids=UNSEEN.keys())
def test_damage_that_sqlite_does_not_see_moves_the_store_and_the_logs_are_read_again(
    tmp_path: Path, damage: str
) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 50, ms=600))
        daemon.start()
        daemon.wait_for(durations(0, 50, ms=600))
        daemon.stop()
        with closing(sqlite3.connect(daemon.db)) as conn, conn:
            assert conn.execute(damage).rowcount, "nothing was damaged"
            assert conn.execute("PRAGMA quick_check").fetchone() == ("ok",)
        daemon.write(lines(50, 60, ms=600))
        daemon.launch()
        for _ in range(2):  # met while it runs, it ends with 1, and is started again
            wait_until(
                lambda: daemon.exit_code() is not None or "is corrupt, moved to" in daemon.said(), told=daemon.said
            )
            if daemon.exit_code() is not None:
                assert daemon.ends() == 1
                daemon.launch()
        daemon.wait_until(lambda: "is corrupt, moved to" in daemon.said())
        daemon.wait_until(lambda: daemon.samples() == durations(0, 60, ms=600))
        daemon.stop()
    assert len(list(tmp_path.glob("store.db.corrupt-*Z"))) == 1
