"""The log is copied with unread lines, truncated, and both files are written (scenario 17)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import copytruncate


@pytest.mark.parametrize("lines", [2, 20])
def test_the_copys_tail_and_new_lines_of_both_are_read_once(tmp_path: Path, lines: int) -> None:
    copy = tmp_path / "logs" / "proxy-8787.log.1"
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with following.frozen():
            following.write(5)
            copytruncate(following.log, copy)
            following.write(lines, copy)
            following.write(lines)
        following.caught_up()
        following.write(lines, copy)
        following.write(lines)
        following.finish()


def test_while_away(tmp_path: Path) -> None:
    copy = tmp_path / "logs" / "proxy-8787.log.1"
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with following.away(killed=True):
            following.write(5)
            copytruncate(following.log, copy)
            following.write(3, copy)
            following.write(3)
        following.caught_up()
        following.write(2, copy)
        following.write(2)
        following.finish()
