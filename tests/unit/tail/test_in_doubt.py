"""Lines that may have been read are compared with the store: each is there once, and no new line is left out."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from otel_logtail.tail.lines import CHUNK_BYTES
from tests.support.tailing import Follower, append, append_bytes, copytruncate, read_one, rotate

TRACEBACK = [
    "Traceback (most recent call last):",
    "  File 'a.py', line 7, in run",
    "    return run()",
    "CancelledError",
]


def lines_of(first: int, last: int) -> list[str]:
    return [f"{n:06d} INFO ".ljust(400, ".") + f" request {n} took {n * 7 % 997} ms" for n in range(first, last)]


def data_of(lines: list[str], end: str = "\n") -> bytes:
    return "".join(line + end for line in lines).encode()


class Stored:
    """Follows a log and stores its lines as the engine stores samples: a line in doubt counts only if it is new."""

    def __init__(self, log: Path) -> None:
        self.follower = Follower(log, from_start=True)
        self.lines: list[str] = []

    def settle(self) -> Stored:
        """Scan until a file that is being rewritten would be taken for complete, and read all."""
        for _ in range(3):
            self.follower.look()
            self.read()
        return self

    def read(self) -> None:
        while (found := read_one(self.follower.tail, self.follower.now_s)) is not None:
            tail, chunk = found
            self.follower.memory.checkpoints.update(chunk.after)
            stored, offset = Counter(self.lines), chunk.base
            for line in chunk.data.splitlines(keepends=True):
                text = line.decode().rstrip("\r\n")
                if offset < chunk.after.doubt and stored[text]:
                    stored[text] -= 1
                else:
                    self.lines.append(text)
                offset += len(line)
            tail.accept(chunk.after)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "proxy.log"


def renamed_over(path: Path, data: bytes) -> None:
    other = path.with_name("sedAbCdEf")
    other.write_bytes(data)
    other.replace(path)


def in_place(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def change(stored: Stored, log: Path, data: bytes, *, away: bool, replaces: bool) -> None:
    """Replace the content of the log, while it is followed or while the program is stopped."""

    def write() -> None:
        (renamed_over if replaces else in_place)(log, data)

    if away:
        stored.follower.restart(before=write)
    else:
        write()
    stored.settle()


EACH_WAY = pytest.mark.parametrize(("away", "replaces"), [(False, False), (False, True), (True, False), (True, True)])


@EACH_WAY
@pytest.mark.parametrize(("first", "last"), [(250, 597), (40, 600), (650, 690)])
def test_lines_in_the_middle_are_removed(log: Path, first: int, last: int, *, away: bool, replaces: bool) -> None:
    old, new = lines_of(0, 700), lines_of(700, 900)
    append(log, *old)
    stored = Stored(log).settle()
    change(stored, log, data_of(old[:first] + old[last:] + new), away=away, replaces=replaces)
    assert stored.lines == old + new


@EACH_WAY
@pytest.mark.parametrize("at", [300, 900])
def test_a_line_is_inserted_in_the_middle_and_the_end_is_lost(
    log: Path, at: int, *, away: bool, replaces: bool
) -> None:
    old, new = lines_of(0, 1400), lines_of(1400, 1410)
    for first in range(0, 1400, 200):
        append(log, *old[first : first + 200])
        if not first:
            stored = Stored(log)
        stored.settle()
    changed = [*old[:at], "inserted", *old[at:-300], *new]
    change(stored, log, data_of(changed), away=away, replaces=replaces)
    assert stored.lines == [*old, "inserted", *new]


@EACH_WAY
@pytest.mark.parametrize("written", [1, 2, 3])
def test_the_end_was_lost_and_the_new_lines_end_with_the_same_traceback(
    log: Path, written: int, *, away: bool, replaces: bool
) -> None:
    old, new = lines_of(0, 40), lines_of(40, 40 + written)
    append(log, *old, *TRACEBACK)
    stored = Stored(log).settle()
    change(stored, log, data_of(old[:-5] + new + TRACEBACK), away=away, replaces=replaces)
    assert [line for line in stored.lines if line not in TRACEBACK] == old + new


@EACH_WAY
def test_an_edit_is_undone_after_more_was_read(log: Path, *, away: bool, replaces: bool) -> None:
    old, new = lines_of(0, 300), lines_of(300, 400)
    append(log, *old)
    stored = Stored(log).settle()
    change(stored, log, data_of(old, "\r\n"), away=away, replaces=replaces)
    append_bytes(log, data_of(new[:60], "\r\n"))
    stored.settle()
    change(stored, log, data_of(old + new), away=away, replaces=replaces)
    assert stored.lines == old + new
    append(log, *lines_of(400, 410))
    stored.follower.restart()
    assert stored.settle().lines == lines_of(0, 410)
    assert "comparing the samples" in stored.follower.said


def restored(log: Path) -> Stored:
    """Return a log of 360 lines that was edited, read on and restored, with a line that is new."""
    old, new = lines_of(0, 300), lines_of(300, 360)
    append(log, *old)
    stored = Stored(log).settle()
    change(stored, log, data_of(old, "\r\n"), away=False, replaces=True)
    append_bytes(log, data_of(new, "\r\n"))
    stored.settle()
    change(stored, log, data_of(old + new), away=False, replaces=True)
    assert stored.lines == lines_of(0, 360)
    return stored


def compared(stored: Stored) -> int:
    return stored.follower.said.count("comparing the samples")


@pytest.mark.parametrize("restarts", [False, True])
def test_a_restored_file_is_put_in_doubt_once(log: Path, *, restarts: bool) -> None:
    """The file that it replaces is still open, and names beside it change: each scan identifies the files again."""
    stored = restored(log)
    doubt = max(state.doubt for state in stored.follower.memory.states.values())
    for number in range(360, 364):
        append(log, *lines_of(number, number + 1))
        log.with_name(f"proxy.log.{number}").touch()
        if restarts and number == 361:
            stored.follower.restart()
        stored.settle()
    assert (compared(stored), stored.lines) == (1, lines_of(0, 364))
    assert max(state.doubt for state in stored.follower.memory.states.values()) == doubt


def test_new_lines_are_not_in_doubt_once_a_restored_file_has_grown(log: Path) -> None:
    stored = restored(log)
    again = lines_of(360, 361)
    append(log, *again, *lines_of(361, 5000))
    stored.settle()
    log.with_name("proxy.log.7").touch()
    append(log, *again)
    stored.settle()
    assert (compared(stored), stored.lines) == (1, lines_of(0, 5000) + again)


@pytest.mark.parametrize("replaces", [False, True])
@pytest.mark.parametrize("last", [370, 4500])
def test_a_file_is_restored_again_after_more_was_read(log: Path, last: int, *, replaces: bool) -> None:
    stored = restored(log)
    change(stored, log, data_of(lines_of(0, 360), "\r\n"), away=False, replaces=replaces)
    append_bytes(log, data_of(lines_of(360, last), "\r\n"))
    stored.settle()
    before = compared(stored)
    change(stored, log, data_of(lines_of(0, last + 10)), away=False, replaces=replaces)
    assert (compared(stored), stored.lines) == (before + 1, lines_of(0, last + 10))


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_a_rotated_file_and_the_live_one_are_put_together(log: Path, *, kept: bool, away: bool) -> None:
    append(log, *lines_of(0, 300))
    stored = Stored(log).settle()
    rotate(log)
    append(log, *lines_of(300, 400))
    stored.settle()
    backup = log.with_name("proxy.log.1")

    def join() -> None:
        renamed_over(log, backup.read_bytes() + log.read_bytes())
        if not kept:
            backup.unlink()
        append(log, *lines_of(400, 410))

    if away:
        stored.follower.restart(before=join)
    else:
        join()
    assert stored.settle().lines == lines_of(0, 410)


def test_a_file_is_rewritten_and_copied_and_cut_off_before_it_is_compared(log: Path) -> None:
    append(log, *lines_of(0, 300))
    stored = Stored(log).settle()
    renamed_over(log, data_of(lines_of(0, 200)))
    append(log, *lines_of(300, 400))
    stored.settle()
    os.truncate(log, 0)
    stored.follower.look()  # it is being rewritten
    in_place(log, data_of(lines_of(150, 200) + lines_of(300, 410)))
    copytruncate(log)
    append(log, *lines_of(410, 411))
    stored.settle()
    stored.follower.look(after_s=10.0)
    stored.read()
    assert sorted(stored.lines) == lines_of(0, 411)


def test_a_log_whose_beginning_was_freed_is_copied_and_cut_off_while_the_program_is_stopped(log: Path) -> None:
    """As ``fallocate --punch-hole`` does: NULs in place of more lines than are compared at once."""
    old, new = lines_of(0, 4000), lines_of(4000, 4010)
    append(log, *old)
    stored = Stored(log).settle()

    def free_and_rotate() -> None:
        with log.open("r+b") as file:
            file.write(bytes(CHUNK_BYTES + 4096))
        append(log, *new)
        copytruncate(log)
        append(log, *lines_of(4010, 4012))

    stored.follower.restart(before=free_and_rotate)
    assert stored.settle().lines == lines_of(0, 4012)


def test_a_line_behind_nuls_is_known_in_a_file_that_changes_again(log: Path) -> None:
    old, new = lines_of(0, 10), lines_of(10, 11)
    append(log, *old)
    stored = Stored(log).settle()
    with log.open("r+b") as file:
        file.seek(-len(data_of(old[8:])), os.SEEK_END)
        file.write(bytes(len(data_of(old[8:]))))
    append(log, *new)
    stored.settle()
    data = log.read_bytes()
    in_place(log, data[: len(data_of(old[:4]))] + data[len(data_of(old[:6])) :])
    assert stored.settle().lines == old + new
