"""A rotated copy that is scanned while it is made: its lines are read once, from the live file or from the copy."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_logtail.model import FileState
from otel_logtail.tail import identify, live, planner
from otel_logtail.tail.held import GRACE_S
from otel_logtail.tail.reader import Reader, ending
from tests.support.tailing import Follower, append, append_bytes, copytruncate, numbered, rotate, squeeze


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "proxy.log"


@pytest.fixture
def copy(log: Path) -> Path:
    return log.with_name("proxy.log.1")


@pytest.fixture
def follower(log: Path) -> Follower:
    """Follows an empty file from its start."""
    log.touch()
    follower = Follower(log)
    follower.follow()
    return follower


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("long", [0, 3000])
@pytest.mark.parametrize("first", [0, 10, 50, 2500, 4000])
def test_copy_that_is_seen_in_pieces_is_not_read_a_second_time(
    log: Path, copy: Path, follower: Follower, first: int, long: int, *, restarts: bool
) -> None:
    lines = [line + "x" * long for line in numbered(1, 5)]
    append(log, *lines)
    follower.follow()
    data = log.read_bytes()
    for end in (0, first, first + 1, len(data) // 2, len(data)):
        with copy.open("ab") as file:
            file.write(data[copy.stat().st_size : end])
        if restarts:
            follower.restart()
        assert follower.follow() == []
    os.truncate(log, 0)
    append(log, "new")
    assert follower.follow_over_grace() == ["new"]
    follower.restart()
    assert follower.follow_over_grace() == []
    assert follower.lines == [*lines, "new"]


@pytest.mark.parametrize("restarts", [False, True])
def test_what_only_the_copy_holds_is_read_from_it_however_it_was_seen(
    log: Path, copy: Path, follower: Follower, *, restarts: bool
) -> None:
    append(log, *numbered(1, 5))
    follower.follow()
    copy.touch()
    follower.follow()
    append_bytes(copy, log.read_bytes()[:20])
    follower.look()
    append(log, *numbered(6, 8))  # not read before it is cut off
    copy.write_bytes(log.read_bytes())
    if restarts:
        follower.restart()
    os.truncate(log, 0)
    append(log, "new")
    assert follower.follow_over_grace() == [*numbered(6, 8), "new"]


def test_copy_over_the_last_one_in_place_is_not_read_a_second_time(log: Path, copy: Path, follower: Follower) -> None:
    append_bytes(log, b"half a li")
    follower.follow()
    copytruncate(log)
    follower.follow()  # the copy is known, and nothing of it was read
    append(log, *numbered(1, 5))
    follower.follow()
    data = log.read_bytes()
    with copy.open("r+b") as file:
        file.truncate(0)
        for end in (0, 10, 100, len(data)):
            file.write(data[file.tell() : end])
            file.flush()
            assert follower.follow() == []
    os.truncate(log, 0)
    append(log, "new")
    assert follower.follow_over_grace() == ["new"]


def _while_told_apart(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Run an action between the first and the second comparison of a file that may be a copy."""
    pending = [happens]
    real = ending

    def noting(reader: Reader, most: int) -> tuple[int, bytes]:
        if pending:
            pending.pop()()
        return real(reader, most)

    monkeypatch.setattr(identify, "ending", noting)


@pytest.mark.parametrize("unread", [0, 3])
def test_a_live_file_that_is_cut_off_while_it_is_compared_with_its_copy_is_read_once(
    log: Path, copy: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch, unread: int
) -> None:
    append(log, *numbered(1, 5))
    follower.follow()
    append(log, *numbered(6, 5 + unread))
    copy.write_bytes(log.read_bytes())

    def cut_off() -> None:
        os.truncate(log, 0)
        append(log, "new")

    _while_told_apart(monkeypatch, cut_off)
    assert follower.follow_over_grace() == [*numbered(6, 5 + unread), "new"]
    follower.restart()
    assert follower.follow_over_grace() == []


def _after_told_apart(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Run an action after the files were compared with the checkpoints, before it is decided which are read."""
    pending = [happens]

    def noting(*args: Any) -> dict[str, FileState | None]:
        claims = identify.identify(*args)
        if pending:
            pending.pop()()
        return claims

    monkeypatch.setattr(planner, "identify", noting)


def test_a_hole_that_appears_in_the_live_file_while_a_copy_with_one_is_told_apart_is_read_once(
    log: Path, copy: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_behind_a_hole(*lines: str) -> None:
        with log.open("r+b") as file:
            file.seek(4096)
            file.write("".join(f"{line}\n" for line in lines).encode())

    append(log, "one")
    follower.follow()
    os.truncate(log, 0)
    write_behind_a_hole("two")
    follower.look()  # a new file: its first bytes are NULs, and nothing is read yet
    copytruncate(log, copy)
    _after_told_apart(monkeypatch, lambda: write_behind_a_hole("three", "four", "five"))
    follower.follow_over_grace()
    append(log, "six")
    follower.follow_over_grace()
    assert [line.lstrip("\0") for line in follower.lines] == ["one", "two", "three", "four", "five", "six"]


def test_copy_that_is_cut_off_while_it_is_told_apart_is_read_once(
    log: Path, copy: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, *numbered(1, 5))
    follower.follow()
    data = log.read_bytes()
    copy.write_bytes(data[:100])
    _while_told_apart(monkeypatch, lambda: os.truncate(copy, 0))  # its maker begins again
    assert follower.follow() == []
    append_bytes(copy, data)
    assert follower.follow() == []
    os.truncate(log, 0)
    assert follower.follow_over_grace() == []


def test_new_rotated_file_that_was_empty_is_read_when_something_comes(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    with log.open("ab", buffering=0) as late:
        rotate(log)  # no scan saw the middle file while it was live
        append(log, "three")
        assert follower.follow() == ["three"]
        late.write(b"two\n")
        assert follower.follow() == ["two"]
    follower.restart(before=lambda: append(log, "four"))
    assert follower.follow_over_grace() == ["four"]


def test_a_new_rotated_file_that_began_like_the_live_one_is_read_when_it_grows(log: Path, follower: Follower) -> None:
    rotate(log)
    with log.open("ab", buffering=0) as late:
        late.write(b"line 1")
        rotate(log)
        append(log, "line 11")
        assert follower.follow() == ["line 11"]
        late.write(b"2\n")
        assert follower.follow() == ["line 12"]


def test_copy_that_was_given_the_inode_of_an_empty_file_that_is_gone_is_not_read_a_second_time(
    log: Path, copy: Path, follower: Follower
) -> None:
    def while_away() -> None:
        log.rename(log.with_name("kept"))  # its inode is that of the copy later: as if it were deleted, and used again
        append(log, "one")

    follower.restart(before=while_away)
    log.with_name("kept").rename(copy)
    assert follower.follow() == ["one"]
    copy.write_bytes(log.read_bytes())
    os.truncate(log, 0)
    append(log, "two")
    assert follower.follow_over_grace() == ["two"]
    follower.restart()
    assert follower.follow_over_grace() == []


def test_an_empty_file_that_was_renamed_between_scans_is_read_when_it_grows(
    log: Path, copy: Path, follower: Follower
) -> None:
    def while_away() -> None:
        rotate(log)
        append(log, "two")

    follower.restart(before=while_away)
    assert follower.follow() == ["two"]
    append(copy, "one")
    assert follower.follow() == ["one"]
    assert "between two scans" not in follower.said


def test_an_empty_rotated_file_that_is_compressed_gives_no_message(log: Path, follower: Follower) -> None:
    rotate(log)
    rotate(log)
    follower.follow()
    squeeze(log.with_name("proxy.log.1"), gzip.compress, ".gz")
    append(log, "one")
    assert follower.follow_over_grace() == ["one"]
    assert "gone" not in follower.said


def test_file_of_which_nothing_was_read_is_known_to_be_another_when_it_is_cut_off(
    log: Path, copy: Path, follower: Follower
) -> None:
    append(log, *numbered(1, 5))
    follower.look()  # the store was full, perhaps: nothing is read
    append(log, *numbered(6, 8))
    copy.write_bytes(log.read_bytes())
    follower.look().look()
    os.truncate(log, 0)
    append(log, "new")
    assert follower.read() == []
    assert follower.follow() == [*numbered(1, 8), "new"]
    assert follower.look(after_s=GRACE_S + 1).read() == []


def test_a_copy_that_turns_out_to_be_another_file_is_read_while_the_live_file_is_idle(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SETTLED_NS", 0)
    append(log, "one", "two")
    follower = Follower(log, from_start=True)
    assert follower.follow() == ["one", "two"]
    copy = log.with_name("proxy.log.1")
    append(copy, "one")
    os.utime(log.parent, (0, 0))  # no name has changed for long
    for _ in range(3):
        assert follower.follow() == []
    append(copy, "other")
    assert "other" in follower.follow()
    assert follower.lines.count("two") == 1
