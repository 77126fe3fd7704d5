"""The log is rotated between the end of one run and the start of the next (scenario 34)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import rotate


@pytest.mark.parametrize("rotations", [1, 2, 7])
@pytest.mark.parametrize("compressed", [False, True])
def test_unread_rest_and_all_newer_files_are_read_once(tmp_path: Path, compressed: bool, rotations: int) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        for killed in (False, True):
            with following.away(killed=killed):
                for _ in range(rotations):
                    following.write(6)
                    rotate(following.log, compress=gzip.compress if compressed else None, suffix=".gz")
                following.write(4)
            following.caught_up()
        following.finish()


def test_rotated_right_before_it_stops_and_right_after_it_starts(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        for _ in range(3):
            following.write(6)
            rotate(following.log)
            following.write(6)
            with following.away():
                following.write(6)
            rotate(following.log)
            following.write(6)
        following.finish()
