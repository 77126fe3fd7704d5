"""The log ends without a newline: its last line waits until it is complete (scenario 59)."""

from __future__ import annotations

from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import durations, lines


def test_the_last_line_is_read_once_when_its_newline_comes(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.write(lines(0, 10).removesuffix(b"\n"))
        daemon.once()
        assert daemon.samples() == durations(0, 9)
        daemon.once()
        assert daemon.samples() == durations(0, 9)
        daemon.write(b"\n")
        daemon.once()
        assert daemon.samples() == durations(0, 10)
        assert daemon.counter("bytes") == daemon.log.stat().st_size


def test_a_file_of_one_line_without_a_newline_is_followed(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 1).removesuffix(b"\n"))
        daemon.start()
        daemon.wait_until(lambda: "from byte 0" in daemon.said())
        assert daemon.samples() == durations(0, 0)
        daemon.write(b"\n" + lines(1, 2).removesuffix(b"\n"))
        daemon.wait_for(durations(0, 1))
        daemon.write(b"\n")
        daemon.wait_for(durations(0, 2))
        daemon.stop()
