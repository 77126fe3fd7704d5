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
from tests.support.tailing import copytruncate, rotate

ROTATIONS = 6


def put_aside(log: Path, mode: str, names: str, number: int) -> None:
    if names == "dated":
        backup = log.with_name(f"{log.name}-202601{number + 1:02}")
        if mode == "move":
            log.rename(backup)
            log.touch()
        else:
            copytruncate(log, backup)
    elif mode == "move":
        rotate(log)
    else:
        for old in range(ROTATIONS, 0, -1):
            path = log.with_name(f"{log.name}.{old}")
            if path.exists():
                path.rename(log.with_name(f"{log.name}.{old + 1}"))
        copytruncate(log)


def backups(log: Path) -> list[Path]:
    """The newest first."""
    return sorted((path for path in log.parent.iterdir() if path != log), key=lambda path: -path.stat().st_mtime_ns)


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
            put_aside(following.log, mode, names, number)
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
        kept = {"none": ROTATIONS, "older ones": 2, "all while away": ROTATIONS - ROTATIONS // 2 - 1}[deletion]
        assert len(os.listdir(following.logs)) == 1 + kept
        following.finish()
