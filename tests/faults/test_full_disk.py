"""The store's disk is full: the log is the buffer, it is said once, and it goes on by itself when there is room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.keeping import NOBODY, Daemon, append, fill, lines, small_disk, stored


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 4096) as folder:
        yield folder


@pytest.mark.parametrize("endpoint", ["", NOBODY], ids=["alone", "with an exporter"])
def test_a_disk_that_gets_full_stops_reading_until_there_is_room(tmp_path: Path, disk: Path, endpoint: str) -> None:
    log = tmp_path / "proxy.log"
    append(log, lines(range(100)))
    more = ["--otlp-endpoint", endpoint] if endpoint else []
    with Daemon(tmp_path, disk / "store.db", log, "--from-start", *more) as daemon:
        daemon.reads(range(100))
        ballast = fill(disk)
        append(log, lines(range(100, 20_000)))
        daemon.wait_for(lambda: "no room left" in daemon.said)
        append(log, lines(range(20_000, 20_100)))
        before = len(stored(daemon.db))
        assert before < 20_100
        assert daemon.said.count("reading stops until it can be written") == 1
        ballast.unlink()
        daemon.reads(range(20_100))
        daemon.wait_for(lambda: "the store can be written again" in daemon.said)
        append(log, lines([20_100]))
        daemon.reads(range(20_101))
        assert daemon.said.count("reading stops") == daemon.said.count("can be written again") == 1
        assert daemon.ask("query", "summary")["count"] == 20_101
        assert daemon.stop() == 0


def test_a_disk_that_is_full_at_the_start_is_waited_for(tmp_path: Path, disk: Path) -> None:
    log = tmp_path / "proxy.log"
    append(log, lines(range(100)))
    ballast = fill(disk)
    with Daemon(tmp_path, disk / "store.db", log, "--from-start") as daemon:
        daemon.wait_for(lambda: "no room left" in daemon.said)
        append(log, lines(range(100, 200)))
        ballast.unlink()
        daemon.reads(range(200))
        assert daemon.said.count("reading stops") == daemon.said.count("can be written again") == 1
        assert daemon.stop() == 0
        fill(disk)
        append(log, lines(range(200, 20_000)))
        daemon.start()  # now with a store that is there already
        daemon.wait_for(lambda: daemon.said.count("no room left") == 2)
        (disk / "ballast").unlink()
        daemon.reads(range(20_000))
        assert daemon.stop() == 0


def test_one_that_reads_once_does_not_wait(tmp_path: Path, disk: Path) -> None:
    log = tmp_path / "proxy.log"
    append(log, lines(range(100)))
    fill(disk)
    with Daemon(tmp_path, disk / "store.db", log, "--once") as daemon:
        assert daemon.ends() == 1
        assert "no room left" in daemon.said
