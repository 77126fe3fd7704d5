"""More of the log's end is lost than a checkpoint has line by line: samples in doubt are compared with the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.following import Following


def cut(log: Path, lost: int) -> None:
    """Cut so many lines off the end, as a power cut does."""
    os.truncate(log, sum(map(len, log.read_bytes().splitlines(keepends=True)[:-lost])))


def written_over(log: Path, lost: int) -> None:
    """Give the log back without its last lines under another inode, as a restored backup does."""
    copy = log.with_name("restored-log")
    copy.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-lost]))
    copy.replace(log)


def ends_with_each_line_once(following: Following) -> None:
    following.write()
    following.caught_up()
    following.stop()
    following.caught_up()


@pytest.mark.parametrize("change", [cut, written_over])
@pytest.mark.parametrize("lost", [300, 1000, 2500])
@pytest.mark.parametrize("killed", [False, True])
def test_each_line_is_stored_once(tmp_path: Path, change: Callable[[Path, int], None], lost: int, killed: bool) -> None:
    with Following(tmp_path) as following:
        following.write(3000)
        following.start().caught_up()
        with following.away(killed=killed):
            change(following.log, lost)
            following.write(2700)
        ends_with_each_line_once(following)
        assert "comparing the samples" in following.said()


def test_killed_before_the_lines_in_doubt_are_read(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(3000)
        following.start().caught_up()
        with following.away(killed=True):
            cut(following.log, 1000)
            following.write(1200)
        for _ in range(3):
            following.kill()
            following.start()
        ends_with_each_line_once(following)
