"""Looks come between the rename and the creation of the new file (scenario 11)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import rotate
from tests.support.waiting import bound_s


@pytest.mark.parametrize("late", [0, 3])
def test_looks_between_rename_and_creation_do_no_harm(tmp_path: Path, late: int) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        for _ in range(3):
            following.write(5)
            rotate(following.log, create=False)
            for _ in range(5):
                following.rest()
            if late:
                following.write(late, following.log.with_name(f"{following.log.name}.1"))
                following.caught_up()
            following.write(5)
            following.caught_up()
        following.finish()


def test_rename_without_a_new_file_is_seen_by_its_own_scan(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        began_s = time.monotonic()
        rotate(following.log, create=False)
        following.write(5, following.log.with_name(f"{following.log.name}.1"))
        following.caught_up()
        assert time.monotonic() - began_s < bound_s(3)  # by the periodic scan, if there was no event
        following.finish()
