"""A power cut removes unsynced data, and no line is lost (docs/decisions/0078).

A library copies each file of the store when it is synced, as it is then. That copy is what the next start finds.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import durations, lines
from tests.support.preload import POWER, library

NOBODY = "http://127.0.0.1:9"


class Machine:
    """A daemon whose store is on a disk that can lose its power."""

    def __init__(self, folder: Path, *arguments: object, **environ: str) -> None:
        self.disk, self.platter = folder / "disk", folder / "platter"
        self.disk.mkdir()
        self.platter.mkdir()
        preload = {"LD_PRELOAD": library(POWER), "DISK": str(self.disk), "PLATTER": str(self.platter)}
        self.daemon = Daemon(folder, *arguments, **preload, **environ)
        self.daemon.db = self.disk / "store.db"

    def loses_power(self) -> None:
        """The daemon is stopped, and only the synced data of its files remains."""
        self.daemon.kill()
        shutil.rmtree(self.disk)
        shutil.copytree(self.platter, self.disk)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_lines_after_a_first_start_are_not_skipped(machine: Machine) -> None:
    daemon = machine.daemon
    with daemon:
        daemon.write(lines(0, 5))  # before the first start, which leaves them out
        daemon.start()
        daemon.wait_until(lambda: "following" in daemon.said())
        for number in range(5, 25):
            daemon.write(lines(number, number + 1))
        daemon.wait_for(durations(5, 25))
        machine.loses_power()
        daemon.start()
        daemon.wait_for(durations(5, 25))


def test_a_first_start_without_any_log_is_one_too(machine: Machine) -> None:
    daemon = machine.daemon
    with daemon:
        daemon.start()
        daemon.write(lines(0, 20))
        daemon.wait_for(durations(0, 20))
        machine.loses_power()
        daemon.start()
        daemon.wait_for(durations(0, 20))


@pytest.mark.parametrize("number", [30, 20_000])
def test_the_store_is_intact_and_missing_data_is_read_again(machine: Machine, number: int) -> None:
    daemon = machine.daemon
    with daemon:
        daemon.start()
        for first in range(0, number, number // 10):
            daemon.write(lines(first, first + number // 10))
            daemon.wait_for(durations(0, first + number // 10))
        machine.loses_power()
        with closing(sqlite3.connect(machine.disk / "store.db")) as conn:
            assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        daemon.start()
        daemon.wait_for(durations(0, number))
    assert "damaged" not in daemon.said()
    assert "is corrupt" not in daemon.said()


def test_a_large_backlog_is_for_the_most_part_on_the_disk(machine: Machine) -> None:
    """A store that syncs nothing would begin from the start."""
    daemon = machine.daemon
    with daemon:
        daemon.start()
        daemon.write(lines(0, 40_000))
        daemon.wait_for(durations(0, 40_000))
        machine.loses_power()
        with closing(sqlite3.connect(machine.disk / "store.db")) as conn:
            assert conn.execute("SELECT sum(count) FROM block").fetchone()[0] > 10_000
        daemon.start()
        daemon.wait_for(durations(0, 40_000))


def test_where_a_new_exporter_begins_outlasts_it(tmp_path: Path) -> None:
    """Items after its first registration must not count as sent because it registers again."""
    machine = Machine(tmp_path, "--exporter-from", "now", endpoint=NOBODY)
    daemon = machine.daemon
    with daemon:
        daemon.start()
        cursors = "SELECT stream, position FROM cursor ORDER BY 1"
        daemon.wait_until(lambda: len(daemon.rows(cursors)) > 1)
        begun = daemon.rows(cursors)
        daemon.write(lines(0, 20_000))
        daemon.wait_for(durations(0, 20_000))
        machine.loses_power()
        with closing(sqlite3.connect(machine.disk / "store.db")) as conn:
            assert conn.execute(cursors).fetchall() == begun
        daemon.start()
        daemon.wait_for(durations(0, 20_000))
        assert daemon.rows(cursors) == begun


def test_a_store_that_replaced_a_damaged_one_still_has_that_record(machine: Machine) -> None:
    daemon = machine.daemon
    daemon.write(lines(0, 50))
    with daemon:
        daemon.start()
        daemon.wait_until(lambda: "following" in daemon.said())
        daemon.stop()
        (machine.disk / "store.db").write_bytes(b"a letter\n" * 1000)
        daemon.start()
        daemon.wait_for(durations(0, 50))
        machine.loses_power()
        shutil.rmtree(machine.platter)
        machine.platter.mkdir()
        daemon.start()
        daemon.wait_for(durations(0, 50))
