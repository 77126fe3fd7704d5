"""Rotations in every style, with backups that are deleted and writers that keep or reopen the file; stepped by hand.

The tests of the same scenarios in tests/faults run one variation each against the real program.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.rotations import back_up, backups, copy_and_truncate, create, delayed_compression, nocreate
from tests.support.tailing import Follower, append, numbered

ROTATIONS = 6


class Writer:
    """Writes numbered lines to a log, and counts them."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.written = 0

    def lines(self, number: int) -> list[str]:
        self.written += number
        return numbered(self.written - number + 1, self.written)

    def write(self, number: int) -> None:
        append(self.log, *self.lines(number))

    def write_to(self, descriptor: int, number: int) -> None:
        os.write(descriptor, "".join(f"{line}\n" for line in self.lines(number)).encode())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "proxy.log"
    log.touch()
    return log


@pytest.mark.parametrize("names", ["dated", "numbered"])
@pytest.mark.parametrize("mode", ["move", "copytruncate"])
@pytest.mark.parametrize("deletion", ["none", "older ones", "all while away"])
def test_backups_are_cut_down(log: Path, deletion: str, mode: str, names: str) -> None:
    follower, writer = Follower(log), Writer(log)
    follower.follow()

    def all_deleted() -> None:
        writer.write(2)
        for path in backups(log):
            path.unlink()

    for number in range(ROTATIONS):
        writer.write(5)
        back_up(log, mode, names, number)
        writer.write(3)
        follower.follow()  # what is deleted from now on has been read
        if deletion == "older ones":
            for path in backups(log)[2:]:
                path.unlink()
        elif deletion == "all while away" and number == ROTATIONS // 2:
            follower.restart(before=all_deleted)
    follower.follow_over_grace()
    assert sorted(follower.lines) == sorted(numbered(1, writer.written))


@pytest.mark.parametrize("scanned", [False, True])
@pytest.mark.parametrize("writer", ["keeps", "reopens at the rotation", "reopens for each line"])
@pytest.mark.parametrize("mode", [create, nocreate, copy_and_truncate, delayed_compression])
def test_writer_keeps_or_reopens(log: Path, mode: Callable[[Path, int], None], writer: str, scanned: bool) -> None:
    stays = writer == "keeps" and mode is not copy_and_truncate  # in the first file, forever
    follower, lines = Follower(log), Writer(log)
    follower.follow()
    held = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in range(1 if stays else ROTATIONS):
        for _ in range(10):
            if writer == "reopens for each line":
                lines.write(1)
            else:
                lines.write_to(held, 1)
        if scanned or mode is copy_and_truncate:
            follower.follow()
        mode(log, number)
        if writer == "reopens at the rotation":
            lines.write_to(held, 2)  # before it is signaled
            os.close(held)
            held = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        if scanned:
            follower.follow()
    lines.write_to(held, 10)
    os.close(held)
    follower.follow_over_grace()
    assert sorted(follower.lines) == sorted(numbered(1, lines.written))
