"""Empty lines, blank lines and Windows line ends among headroom's lines (scenario 63)."""

from __future__ import annotations

from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import durations, line, lines


def test_they_do_no_harm(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.write(b"\n\n", lines(0, 1), b"\r\n \t\n", line(1)[:-1] + b"\r\n", b"\n" * 5000, b"\r\n" * 5000)
        daemon.write(line(2)[:-1] + b"  \r\n", lines(3, 4), b"\n")
        daemon.once()
        assert daemon.samples() == durations(0, 4)
        assert daemon.counter("drift") == 0
        assert daemon.counter("bytes") == daemon.log.stat().st_size


def test_a_carriage_return_and_its_newline_come_apart(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.start()
        daemon.write(lines(0, 1), line(1)[:-1] + b"\r")
        daemon.wait_for(durations(0, 1))
        daemon.write(b"\n", lines(2, 3))
        daemon.wait_for(durations(0, 3))
        daemon.stop()
        assert daemon.rejected() == {}
