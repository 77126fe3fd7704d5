"""After a truncation a writer continues at its old offset and leaves a hole of NULs (scenario 18)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import copytruncate


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("before", [10, 12_000])  # a hole of some kB; one of more than the bound of a line
def test_the_line_behind_the_hole_is_read(tmp_path: Path, before: int, away: bool) -> None:
    with Following(tmp_path) as following:
        stale = os.open(following.log, os.O_WRONLY | os.O_CREAT)  # not O_APPEND: it keeps its own place
        os.write(stale, following.lines(before))
        following.start().caught_up()
        for _ in range(2):
            if away:
                with following.away():
                    copytruncate(following.log)
                    os.write(stale, following.lines(3))
            else:
                copytruncate(following.log)
                os.write(stale, following.lines(3))
            following.caught_up()
        os.close(stale)
        following.finish()


def test_hole_that_appears_before_and_after_the_writer_wrote(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        stale = os.open(following.log, os.O_WRONLY | os.O_CREAT)
        following.start()
        for number in range(10):
            os.write(stale, following.lines(5))
            copytruncate(following.log, following.log.with_name(f"{following.log.name}-202601{number + 1:02}"))
            os.write(stale, following.lines())
        os.close(stale)
        following.finish()
