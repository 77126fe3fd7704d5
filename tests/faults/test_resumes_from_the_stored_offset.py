"""Stopped in order, at the end of the log or in its midst, and started again: each line once (scenarios 29, 30, 33)."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import durations, lines


def test_lines_written_during_a_stop_are_read_once(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 50))
        daemon.start()
        daemon.wait_for(durations(0, 50))
        daemon.stop()
        daemon.write(lines(50, 90))
        daemon.start()
        daemon.write(lines(90, 100))
        daemon.wait_for(durations(0, 100))
        daemon.stop()
        daemon.start()  # nothing new
        daemon.stop()
        assert daemon.samples() == durations(0, 100)
        assert daemon.rows("SELECT offset, size FROM file") == [(daemon.log.stat().st_size,) * 2]


def test_a_big_file_is_stopped_in_its_midst_and_finished_later(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 60_000))
        daemon.start()
        daemon.wait_until(lambda: daemon.rows("SELECT 1 FROM block LIMIT 1"))
        daemon.signal(signal.SIGTERM)
        assert daemon.ends() == 0
        read = daemon.samples().total()
        assert 0 < read < 60_000
        assert daemon.samples() == durations(0, read)
        ((offset,),) = daemon.rows("SELECT offset FROM file")
        assert daemon.log.read_bytes()[:offset].count(b"\n") == read
        daemon.write(lines(60_000, 70_000))
        daemon.start()
        daemon.wait_for(durations(0, 70_000))
        assert daemon.counter("bytes") == daemon.log.stat().st_size
        daemon.stop()
