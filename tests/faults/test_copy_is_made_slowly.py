"""The log is copied slowly, scanned meanwhile, and then truncated (scenarios 17 and 25, in slow motion)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.following import Following


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("late", [0, 5])
def test_lines_are_read_from_the_log_or_from_its_copy_but_not_from_both(
    tmp_path: Path, late: int, *, away: bool
) -> None:
    copy = tmp_path / "logs" / "proxy-8787.log.1"
    with Following(tmp_path) as following:
        following.write(50)
        following.start().caught_up()
        for end in (0, 1, 30, 1_000, 5_000, 8_000):
            with following.log.open("rb") as log, copy.open("ab") as made:
                log.seek(made.tell())
                made.write(log.read(end - made.tell()))
            following.rest()
        with following.away(killed=True) if away else following.frozen():
            following.write(late)
            with following.log.open("rb") as log, copy.open("ab") as made:
                log.seek(made.tell())
                made.write(log.read())
            os.truncate(following.log, 0)
            following.write(3)
        following.caught_up()
        following.finish()
