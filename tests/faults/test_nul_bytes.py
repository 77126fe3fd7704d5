"""NULs in the log: the hole that a stale writer leaves after a truncation, and what a crashed file system leaves."""

from __future__ import annotations

from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import durations, line, lines


def test_lines_around_a_hole_are_kept(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.write(b"\0" * 5000 + line(0), b"\0\n", lines(1, 3), b"\0" * (3 << 20) + line(3), lines(4, 6))
        daemon.write(line(1000)[:100] + b"\0" + line(1000)[100:], line(6))
        daemon.once()
        assert daemon.samples() == durations(0, 7)
        assert daemon.counter("drift") + sum(daemon.rejected().values()) == 1
        assert daemon.counter("oversized") == 0


def test_a_hole_that_grows_at_the_end_is_waited_behind(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 2))
        daemon.start()
        daemon.wait_for(durations(0, 2))
        daemon.write(b"\0" * (2 << 20))
        daemon.write(b"\0" * 1000)
        daemon.write(lines(2, 4))
        daemon.wait_for(durations(0, 4))
        daemon.stop()
