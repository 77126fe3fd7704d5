"""Empty files: at the start, as what a rotation leaves, and as a backup (scenario 47)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import rotate


@pytest.mark.parametrize("away", [False, True])
def test_empty_files_are_rotated_and_filled_later(tmp_path: Path, away: bool) -> None:
    with Following(tmp_path) as following:
        following.log.touch()
        following.start()
        following.rest()
        for _ in range(3):
            if away:
                following.stop()
            rotate(following.log)  # nothing in it
            if away:
                following.start()
            following.rest()
        backup = following.log.with_name(f"{following.log.name}.1")
        following.write(2, backup)
        following.write(2)
        following.caught_up()
        following.write(2, backup)
        following.caught_up()
        following.finish()
