"""A file that goes from one live path's names to another's: each line once, wherever the file is."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_logtail.errors import StoreFull
from otel_logtail.tail.held import GRACE_S
from tests.support.tailing import Follower, append, numbered


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "archive").mkdir()
    return tmp_path / "proxy.log"


@pytest.fixture
def archive(log: Path) -> Path:
    return log.parent / "archive"


OLD = numbered(1, 100)


def follow(log: Path, archive: Path) -> Follower:
    append(log, *OLD)
    follower = Follower(log, archive / "proxy.log", archive / "*.log", from_start=True)
    assert follower.follow() == OLD
    return follower


def renamed(path: Path, target: Path) -> None:
    path.rename(target)


def across(path: Path, target: Path) -> None:
    """As ``mv`` does over a file system's border: another file with the same content."""
    shutil.copy(path, target)
    path.unlink()


def compressed(path: Path, target: Path) -> None:
    target.with_name(target.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def linked(path: Path, target: Path) -> None:
    os.link(path, target)


def settle(follower: Follower) -> None:
    for _ in range(3):
        follower.look().read()
    follower.follow_over_grace()
    follower.follow_over_grace()


@pytest.mark.parametrize(
    ("name", "move"),
    [
        *itertools.product(["proxy.log.1", "proxy.log-2026-01-01"], [renamed, across, compressed, linked]),
        *itertools.product(["another.log"], [renamed, across, linked]),  # nothing follows another.log.gz
    ],
)
@pytest.mark.parametrize("when", ["at once", "after the grace period", "away"])
@pytest.mark.parametrize("unread", [0, 3])
def test_rotated_file_that_is_moved_to_another_directory_that_is_followed_is_not_read_again(
    log: Path, archive: Path, name: str, move: Callable[[Path, Path], None], when: str, unread: int
) -> None:
    follower = follow(log, archive)
    rotated = log.with_name("proxy.log.1")

    def rotate_and_move() -> None:
        append(log, *numbered(101, 100 + unread))
        log.rename(rotated)
        append(log, "new")
        if when == "after the grace period":
            settle(follower)
        move(rotated, archive / name)

    if when == "away":
        follower.restart(before=rotate_and_move)
    else:
        rotate_and_move()
    settle(follower)
    append(log, "more")
    settle(follower)
    follower.restart()
    settle(follower)
    assert sorted(follower.lines) == sorted([*OLD, *numbered(101, 100 + unread), "new", "more"])


def test_copy_of_a_file_that_is_still_there_is_another_file(log: Path, archive: Path) -> None:
    follower = follow(log, archive)
    log.rename(log.with_name("proxy.log.1"))
    settle(follower)
    shutil.copy(log.with_name("proxy.log.1"), archive / "proxy.log.1")
    settle(follower)
    assert follower.lines == OLD * 2


def test_moved_file_is_continued(log: Path, archive: Path) -> None:
    follower = follow(log, archive)
    with log.open("ab", buffering=0) as writer:
        log.rename(archive / "proxy.log.1")
        settle(follower)
        writer.write(b"late\n")
        follower.look(after_s=GRACE_S).read()
        settle(follower)
        append(archive / "proxy.log", "new")  # its directory changes: all is told apart
        settle(follower)
    assert follower.lines == [*OLD, "late", "new"]


@pytest.mark.parametrize("left", [None, *range(6)])
def test_file_that_was_taken_over_is_given_back_where_that_can_not_be_remembered(
    log: Path, archive: Path, left: int | None
) -> None:
    follower = follow(log, archive)
    log.rename(log.with_name("proxy.log.1"))
    settle(follower)
    log.with_name("proxy.log.1").rename(archive / "other.log.1")
    append(archive / "another.log", "new")
    append(archive / "other.log", "also new")
    follower.memory.fails = left
    with contextlib.suppress(StoreFull):
        follower.look()
    follower.memory.fails = None
    settle(follower)
    assert sorted(follower.lines) == sorted([*OLD, "new", "also new"])


def test_file_whose_inode_another_one_was_given_is_known_where_it_is_now(log: Path, archive: Path) -> None:
    follower = follow(log, archive)
    rotated = log.with_name("proxy.log.1")
    log.rename(rotated)
    settle(follower)
    shutil.copy(rotated, archive / "other.log.1")
    rotated.rename(log)
    log.write_text("new\n")
    append(archive / "other.log", "also new")
    settle(follower)
    assert sorted(follower.lines) == sorted([*OLD, "new", "also new"])


def test_of_a_moved_file_and_its_copy_one_takes_the_checkpoint(log: Path, archive: Path) -> None:
    follower = follow(log, archive)
    append(archive / "proxy.log", *numbered(1001, 1010))
    settle(follower)

    def move_and_copy() -> None:
        append(log, *numbered(101, 120))
        log.rename(archive / "proxy.log.1")
        shutil.copy(archive / "proxy.log.1", archive / "proxy.log.2")

    follower.restart(before=move_and_copy)
    settle(follower)
    assert sorted(follower.lines) == sorted([*numbered(1, 120), *numbered(1001, 1010)])
    held = [state.id for states in follower.tail.held.values() for state in states]
    assert len(set(held)) == len(held)
