"""The store's disk is full: the log is the buffer, one message is logged, and it continues when there is space."""

from __future__ import annotations

import gzip
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.daemon import NOBODY, Daemon
from tests.support.disk import fill, small_disk
from tests.support.lines import line, lines
from tests.support.ports import free_port
from tests.support.scraping import probe
from tests.support.tailing import append_bytes, rotate


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 4096) as folder:
        yield folder


@pytest.mark.parametrize("endpoint", ["", NOBODY], ids=["alone", "with an exporter"])
def test_a_disk_that_gets_full_stops_reading_until_there_is_room(tmp_path: Path, disk: Path, endpoint: str) -> None:
    log = tmp_path / "proxy.log"
    append_bytes(log, lines(0, 100))
    more = ["--otlp-endpoint", endpoint] if endpoint else []
    with Daemon(tmp_path, "--from-start", *more, db=disk / "store.db", log=log).launch() as daemon:
        daemon.reads(0, 100)
        ballast = fill(disk)
        append_bytes(log, lines(100, 20_000))
        daemon.wait_until(lambda: "no room left" in daemon.said())
        append_bytes(log, lines(20_000, 20_100))
        before = daemon.samples().total()
        assert before < 20_100
        assert daemon.said().count("reading stops until it can be written") == 1
        ballast.unlink()
        daemon.reads(0, 20_100)
        daemon.wait_until(lambda: "the store can be written again" in daemon.said())
        append_bytes(log, line(20_100))
        daemon.reads(0, 20_101)
        assert daemon.said().count("reading stops") == daemon.said().count("can be written again") == 1
        assert daemon.ask("query", "summary")["count"] == 20_101
        daemon.stop()


def test_a_disk_that_is_full_at_the_start_is_waited_for(tmp_path: Path, disk: Path) -> None:
    log = tmp_path / "proxy.log"
    append_bytes(log, lines(0, 100))
    ballast, port = fill(disk), free_port()
    with Daemon(tmp_path, "--from-start", "--health-port", port, db=disk / "store.db", log=log).launch() as daemon:
        daemon.wait_until(lambda: "no room left" in daemon.said())
        assert probe(port, "/livez") == (200, "ok\n")
        status, reasons = probe(port, "/readyz")
        assert (status, "no room left" in reasons) == (503, True), reasons
        append_bytes(log, lines(100, 200))
        ballast.unlink()
        daemon.reads(0, 200)
        daemon.wait_until(lambda: probe(port, "/readyz") == (200, "ok\n"))
        assert daemon.said().count("reading stops") == daemon.said().count("can be written again") == 1
        daemon.stop()
        fill(disk)
        append_bytes(log, lines(200, 20_000))
        daemon.launch()  # now with a store that is there already
        daemon.wait_until(lambda: daemon.said().count("no room left") == 2)
        (disk / "ballast").unlink()
        daemon.reads(0, 20_000)
        daemon.stop()


def test_one_that_reads_once_does_not_wait(tmp_path: Path, disk: Path) -> None:
    log = tmp_path / "proxy.log"
    append_bytes(log, lines(0, 100))
    fill(disk)
    with Daemon(tmp_path, "--once", db=disk / "store.db", log=log).launch() as daemon:
        assert daemon.ends() == 1
        assert "no room left" in daemon.said()


def rotated(log: Path) -> None:
    rotate(log)
    append_bytes(log, lines(150, 160))


def compressed(log: Path) -> None:
    rotated(log)
    old = log.with_name("proxy.log.1")
    with gzip.open(f"{old}.gz", "wb") as packed:
        packed.write(old.read_bytes())
    old.unlink()


def copied_and_cut_off(log: Path) -> None:
    log.with_name("proxy.log.1").write_bytes(log.read_bytes())
    os.truncate(log, 0)
    append_bytes(log, lines(150, 160))


def untouched(log: Path) -> None:
    append_bytes(log, lines(150, 160))


@pytest.mark.parametrize("happens", [untouched, rotated, compressed, copied_and_cut_off])
def test_lines_written_while_the_first_start_waits_for_space_are_read(
    tmp_path: Path, disk: Path, happens: Callable[[Path], None]
) -> None:
    log = tmp_path / "proxy.log"
    append_bytes(log, lines(0, 100))
    append_bytes(log, line(100)[:50])  # a line that is just being written
    ballast = fill(disk)
    with Daemon(
        tmp_path, "--path", log, "--path", tmp_path / "*.log", db=disk / "store.db", log=log
    ).launch() as daemon:
        daemon.wait_until(lambda: "reading stops" in daemon.said())
        append_bytes(log, line(100)[50:] + lines(101, 150))
        append_bytes(tmp_path / "another.log", lines(160, 170))  # was not there when it started
        happens(log)
        ballast.unlink()
        daemon.reads(100, 170)
        append_bytes(log, lines(170, 180))
        daemon.reads(100, 180)
        assert daemon.said().count("reading stops") == 1
        assert daemon.said().count(f"following {log} from byte {len(lines(0, 100))}\n") == 1
        daemon.stop()


def test_a_source_without_files_at_the_first_scan_is_read_from_its_start(tmp_path: Path, disk: Path) -> None:
    log = tmp_path / "proxy.log"
    ballast = fill(disk)
    with Daemon(tmp_path, db=disk / "store.db", log=log).launch() as daemon:
        daemon.wait_until(lambda: "reading stops" in daemon.said())
        append_bytes(log, lines(0, 100))
        ballast.unlink()
        daemon.reads(0, 100)
        daemon.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_waits_for_room_at_the_start_ends_in_order(tmp_path: Path, disk: Path, number: signal.Signals) -> None:
    fill(disk)
    with Daemon(tmp_path, db=disk / "store.db", log=tmp_path / "proxy.log").launch() as daemon:
        daemon.wait_until(lambda: "reading stops" in daemon.said())
        daemon.signal(signal.SIGHUP)  # there is no file to scan yet
        daemon.signal(number)
        assert daemon.ends() == 0
        assert "Traceback" not in daemon.said()


def test_a_port_is_not_taken_by_the_try_before(tmp_path: Path, disk: Path) -> None:
    pytest.importorskip("prometheus_client")
    log = tmp_path / "proxy.log"
    append_bytes(log, lines(0, 10))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ballast = fill(disk)
    arguments = ["--from-start", "--exporter", "prometheus", "--prometheus-port", port]
    with Daemon(tmp_path, *arguments, db=disk / "store.db", log=log).launch() as daemon:
        daemon.wait_until(lambda: "reading stops" in daemon.said())
        ballast.unlink()
        daemon.reads(0, 10)
        daemon.stop()
