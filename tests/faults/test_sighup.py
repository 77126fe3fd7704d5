"""SIGHUP: scan all files now, without waiting for the periodic scan, and continue."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from otel_logtail.daemon.pace import SCAN_S
from tests.support.daemon import Daemon
from tests.support.lines import durations, lines
from tests.support.waiting import bound_s


def test_a_file_without_an_event_is_found_at_once(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--path", tmp_path / "*" / "proxy.log") as daemon:
        daemon.start()
        for number in range(3):
            folder = tmp_path / f"new-{number}"
            folder.mkdir()
            (folder / "proxy.log").write_bytes(lines(number, number + 1))
            began_s = time.monotonic()
            daemon.signal(signal.SIGHUP)
            daemon.wait_for(durations(0, number + 1))
            # each round begins just after a scan: without the signal it would take the whole time to the next one
            assert number == 0 or time.monotonic() - began_s < bound_s(0.75 * SCAN_S)
        daemon.stop()


def test_many_of_them_do_no_harm(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.start()
        for number in range(200):
            daemon.write(lines(number, number + 1))
            daemon.signal(signal.SIGHUP)
        daemon.wait_for(durations(0, 200))
        daemon.stop()
