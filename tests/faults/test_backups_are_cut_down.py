"""Rotations that keep only so many backups, in every style (scenario 3).

The comparable programs' third case, deletion beyond their stored fingerprints, is here the case of backups deleted
while the program is stopped: their checkpoints name files that no longer exist. All combinations are in
tests/unit/tail/test_rotations.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.rotations import back_up, backups

ROTATIONS = 6


@pytest.mark.parametrize(
    ("deletion", "mode", "names"),
    [
        ("none", "copytruncate", "dated"),
        ("older ones", "move", "numbered"),
        ("all while away", "copytruncate", "numbered"),
        ("all while away", "move", "dated"),
    ],
)
def test_every_line_is_read_once(tmp_path: Path, deletion: str, mode: str, names: str) -> None:
    with Following(tmp_path) as following:
        following.log.touch()
        following.start()
        for number in range(ROTATIONS):
            following.write(5)
            back_up(following.log, mode, names, number)
            following.write(3)
            following.caught_up()  # what is deleted from now on has been read
            if deletion == "older ones":
                for path in backups(following.log)[2:]:
                    path.unlink()
            elif deletion == "all while away" and number == ROTATIONS // 2:
                with following.away():
                    following.write(2)
                    for path in backups(following.log):
                        path.unlink()
                following.caught_up()  # a copy that is made during the first scan is another scenario
        kept = {"none": ROTATIONS, "older ones": 2, "all while away": ROTATIONS - ROTATIONS // 2 - 1}[deletion]
        assert len(os.listdir(following.logs)) == 1 + kept
        following.finish()
