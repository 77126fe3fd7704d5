"""The log is cut off while its last line is only half there (scenario 26)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.lines import line
from tests.support.tailing import append_bytes, copytruncate


def test_half_a_line_that_is_cut_off_is_not_joined_with_the_next(tmp_path: Path) -> None:
    half = line(99_000)[:100]
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        for _ in range(3):
            append_bytes(following.log, half)
            following.rest()
            os.truncate(following.log, 0)
            following.write(4)
            following.caught_up()
        following.finish()


@pytest.mark.parametrize("at", [1, 100, -1])
def test_half_in_the_copy_and_half_in_the_new_file(tmp_path: Path, at: int) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with following.frozen():
            append_bytes(following.log, line(99_000)[:at])
            copytruncate(following.log)
            append_bytes(following.log, line(99_000)[at:])  # they cannot be known to belong together
            following.write(4)
        following.caught_up()
        following.stop()
