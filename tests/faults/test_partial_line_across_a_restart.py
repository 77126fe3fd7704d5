"""Half a line is in the log when the program ends: it is read once, whole, by the next one (scenario 35)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import durations, line, lines


@pytest.mark.parametrize(("end", "cut"), [("kill", 1), ("stop", 40), ("kill", 90), ("stop", -1)])
def test_it_is_read_once_when_it_is_complete(tmp_path: Path, end: str, cut: int) -> None:
    half, rest = line(5)[:cut], line(5)[cut:]
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 5), half)
        daemon.start()
        daemon.wait_for(durations(0, 5))
        if end == "stop":
            daemon.stop()
        else:
            daemon.kill()
        assert daemon.rows("SELECT offset FROM file") == [(len(lines(0, 5)),)]
        daemon.write(rest)
        daemon.start()
        daemon.wait_for(durations(0, 6))
        daemon.stop()
        assert daemon.rejected() == {}
        assert daemon.counter("drift") == 0


def test_one_that_is_given_up_is_rejected_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    """The writer died halfway through a line, and the next one continued right behind it."""
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 5), line(5)[:150])
        daemon.start()
        daemon.wait_for(durations(0, 5))
        daemon.stop()
        daemon.write(lines(6, 10))
        daemon.start()
        daemon.wait_for(durations(0, 5) + durations(7, 10))
        daemon.stop()
        assert daemon.counter("drift") + sum(daemon.rejected().values()) == 1
