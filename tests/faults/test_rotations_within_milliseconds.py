"""Three rotations within milliseconds (scenario 15)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import rotate, squeeze


@pytest.mark.parametrize(("lines", "compressed"), [(0, False), (1, False), (500, False), (1, True)])
def test_every_line_of_every_file_is_read_once(tmp_path: Path, lines: int, compressed: bool) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        for _ in range(3):
            following.write(lines)
            rotate(following.log)
        if compressed:
            squeeze(following.log.with_name(f"{following.log.name}.2"), gzip.compress, ".gz")
        following.finish()


def test_three_rotations_between_two_looks(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        for _ in range(3):
            with following.frozen():
                for lines in (5, 1, 200):
                    following.write(lines)
                    rotate(following.log)
                    following.write(3)
        following.finish()
