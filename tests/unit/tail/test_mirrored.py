"""Files that are replaced by longer ones with the same content, and directories that are replaced by others."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from otel_logtail.tail.held import GRACE_S
from tests.support.tailing import Follower, append, numbered


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "proxy.log"


def put(path: Path, lines: list[str]) -> None:
    """As rsync does: another file is made beside it, and renamed over it."""
    beside = path.with_name(f".{path.name}.Xy12")
    beside.write_text("".join(line + "\n" for line in lines))
    beside.replace(path)


def settle(follower: Follower) -> None:
    for _ in range(3):
        follower.look().read()


@pytest.mark.parametrize("away", [False, True])
def test_rotated_file_that_is_replaced_by_a_longer_one_is_read_on(log: Path, away: bool) -> None:
    put(log, numbered(1, 50))
    follower = Follower(log, from_start=True)
    settle(follower)

    def rotate() -> None:
        put(log, numbered(101, 107))  # the old one is gone, but it is open here

    follower.restart(before=rotate) if away else rotate()
    settle(follower)
    for end in (60, 75, 90):
        put(log.with_name("proxy.log.1"), numbered(1, end))
        settle(follower)
        assert sorted(follower.lines) == sorted(numbered(1, end) + numbered(101, 107))
    follower.follow_over_grace()
    put(log.with_name("proxy.log.1"), numbered(1, 95))
    settle(follower)
    assert sorted(follower.lines) == sorted(numbered(1, 95) + numbered(101, 107))


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize(("first", "second"), [(50, 70), (70, 50)])
def test_of_two_copies_the_longer_one_is_read(log: Path, first: int, second: int, away: bool) -> None:
    append(log, *numbered(1, 50))
    follower = Follower(log, from_start=True)
    settle(follower)

    def replace() -> None:
        put(log.with_name("proxy.log.2"), numbered(1, first))
        put(log.with_name("proxy.log.1"), numbered(1, second))
        put(log, numbered(101, 103))

    follower.restart(before=replace) if away else replace()
    settle(follower)
    follower.follow_over_grace()
    assert sorted(follower.lines) == sorted(numbered(1, 70) + numbered(101, 103))
    follower.restart()
    assert follower.follow_over_grace() == []


def test_file_at_the_path_is_read_before_an_open_one_is_finished(log: Path) -> None:
    append(log, *numbered(1, 50))
    follower = Follower(log, from_start=True)
    settle(follower)
    put(log, numbered(101, 103))
    put(log.with_name("proxy.log.1"), numbered(1, 50))
    settle(follower)
    append(log.with_name("proxy.log.1"), *numbered(51, 60))  # no name has changed
    follower.look(after_s=GRACE_S + 1).read()
    settle(follower)
    assert sorted(follower.lines) == sorted(numbered(1, 60) + numbered(101, 103))


def test_compressed_file_does_not_replace_one_that_is_still_written_to(log: Path) -> None:
    append(log, *numbered(1, 50))
    follower = Follower(log, from_start=True)
    settle(follower)
    with log.open("ab", buffering=0) as writer:
        log.with_name("proxy.log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
        log.unlink()
        append(log, "new")
        settle(follower)
        writer.write(b"late\n")
        settle(follower)
    assert sorted(follower.lines) == sorted([*numbered(1, 50), "new", "late"])


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("rotated", [False, True])
def test_link_above_the_log_is_switched(tmp_path: Path, rotated: bool, away: bool) -> None:
    old, new, link = tmp_path / "r1", tmp_path / "r2", tmp_path / "current"
    old.mkdir()
    new.mkdir()
    link.symlink_to("r1")
    append(old / "proxy.log", *numbered(1, 50))
    follower = Follower(link / "proxy.log", from_start=True)
    settle(follower)

    def switch() -> None:
        append(old / "proxy.log", *numbered(51, 60))
        if rotated:
            (old / "proxy.log").rename(old / "proxy.log.1")
        append(new / "proxy.log", *numbered(101, 110))
        (tmp_path / "next").symlink_to("r2")
        os.replace(tmp_path / "next", link)

    follower.restart(before=switch) if away else switch()
    settle(follower)
    append(new / "proxy.log", *numbered(111, 112))
    settle(follower)
    follower.restart()
    follower.follow_over_grace()
    assert follower.lines == numbered(1, 60) + numbered(101, 112)
