"""The log is cut off and less is written to it than was there (scenarios 16, 20 and 21)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.following import Following

UNSEEN = "proxy-8787.log was deleted or truncated between two scans: .* may be lost$"


@pytest.mark.parametrize("looks", [False, True])
def test_cut_off_and_written_while_it_is_followed(tmp_path: Path, looks: bool) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        for _ in range(5):
            os.truncate(following.log, 0)
            if looks:
                following.rest()
            following.write(3)
            following.caught_up()
        assert "was truncated" in following.said()
        following.finish()


def test_cut_off_then_stopped_then_written(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        os.truncate(following.log, 0)
        following.wait_for_words("was truncated")
        with following.away():
            following.write(3)
        following.finish()


@pytest.mark.parametrize("lines", [0, 3])
def test_cut_off_and_written_while_away(tmp_path: Path, lines: int) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with following.away(killed=True):
            os.truncate(following.log, 0)
            following.write(lines)
        following.finish(warnings=[UNSEEN])
