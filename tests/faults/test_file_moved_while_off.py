"""The log is renamed while the program is stopped, and its writer continues in the renamed file (scenario 31)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import durations, lines


@pytest.mark.parametrize("name", ["proxy-8787.log.1", "proxy-8787.log.2026-11-20", "proxy-8787.log-20261120"])
def test_its_rest_is_read_before_the_new_file(tmp_path: Path, name: str) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 10))
        daemon.start()
        daemon.wait_for(durations(0, 10))
        daemon.stop()
        moved = daemon.log.with_name(name)
        with daemon.log.open("ab") as held:
            held.write(lines(10, 20))
            os.rename(daemon.log, moved)
            held.write(lines(20, 30))
        daemon.write(lines(30, 40))
        daemon.start()
        daemon.wait_for(durations(0, 40))
        with moved.open("ab") as late:
            late.write(lines(40, 50))
        daemon.write(lines(50, 60))
        daemon.wait_for(durations(0, 60))
        daemon.stop()


def test_a_file_that_left_the_pattern_is_read_from_its_start_when_the_name_comes_again(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 10))
        daemon.start()
        daemon.wait_for(durations(0, 10))
        daemon.stop()
        os.rename(daemon.log, tmp_path / "elsewhere")
        daemon.write(lines(10, 20))
        daemon.start()
        daemon.wait_for(durations(0, 20))
        daemon.stop()
