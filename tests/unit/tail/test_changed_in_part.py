"""A known file that changed in part: each line is read once, for any change, scanned halfway or not."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from otel_logtail.errors import StoreFull
from otel_logtail.tail import replaced, resume
from otel_logtail.tail.lines import CHUNK_BYTES
from otel_logtail.tail.reader import CompressedReader, open_reader
from otel_logtail.tail.trail import MARK_BYTES, Trail, extended, pack, unpack
from tests.support.tailing import Follower, append, append_bytes, copytruncate, read_one, rotate, squeeze


def lines_of(first: int, last: int, *, size: int = 0) -> list[str]:
    return [f"{n:06d} INFO request {n} took {n * 7 % 997} ms ".ljust(size, ".") for n in range(first, last)]


def in_place(path: Path, content: bytes) -> None:
    """As ``cat new > log`` does: the same file, truncated and rewritten."""
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(content)


def renamed_over(path: Path, content: bytes) -> None:
    """As ``sed -i`` and ``mv new log`` do: another file under the name."""
    other = path.with_name("sedAbCdEf")
    other.write_bytes(content)
    other.replace(path)


def moved_away_and_written(path: Path, content: bytes) -> None:
    """As an editor does that keeps a backup."""
    path.rename(path.with_name(path.name + "~"))
    path.write_bytes(content)


def through_a_copy(path: Path, content: bytes) -> None:
    """As ``rsync --inplace`` does: written over from the start, and cut off at the end."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


WRITES = [in_place, renamed_over, moved_away_and_written, through_a_copy]


def keep_last(number: int) -> Callable[[bytes], bytes]:
    return lambda data: b"".join(data.splitlines(keepends=True)[-number:])


def without(*numbers: int) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        for number in sorted(numbers, reverse=True):
            del lines[number]
        return b"".join(lines)

    return edit


def redacted(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    for number in range(0, len(lines) - 1, 5):
        lines[number] = lines[number].replace(b"request", b"***")
    return b"".join(lines)


def end_lost(number: int) -> Callable[[bytes], bytes]:
    return lambda data: b"".join(data.splitlines(keepends=True)[:-number])


def end_of_nuls(data: bytes) -> bytes:
    return data[:-300] + bytes(300)


def beginning_of_nuls(data: bytes) -> bytes:
    return bytes(300) + data[300:]


def first_lines_lost(data: bytes) -> bytes:
    return data[data.index(b"\n", len(data) // 3) + 1 :]


def to_crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def longer_first_line(data: bytes) -> bytes:
    return b"# this log was edited\n" + data


def unchanged(data: bytes) -> bytes:
    return data


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "last 50 lines kept": keep_last(50),
    "last line kept": keep_last(1),
    "one line removed": without(100),
    "first and last but one removed": without(0, 198),
    "every fifth line redacted": redacted,
    "one line lost at the end": end_lost(1),
    "thirty lines lost at the end": end_lost(30),
    "most lines lost at the end": end_lost(150),
    "end of NULs": end_of_nuls,
    "beginning of NULs": beginning_of_nuls,
    "first lines lost": first_lines_lost,
    "unix2dos": to_crlf,
    "a line put before": longer_first_line,
    "unchanged": unchanged,
}

# 200 lines are all known one by one; of 3000 only the last ones
SIZES = [200, 3000]


OLD = {size: lines_of(1, 1 + size, size=80) for size in SIZES}


@pytest.fixture(params=SIZES)
def old(request: pytest.FixtureRequest) -> list[str]:
    return list(OLD[request.param])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "proxy.log"


@pytest.fixture
def follower(log: Path, old: list[str]) -> Follower:
    append(log, *old)
    follower = Follower(log, from_start=True)
    assert follower.follow() == old
    return follower


NEW = lines_of(900_001, 900_011)


def settle(follower: Follower) -> None:
    """Scan until a file that is being rewritten would be taken for complete."""
    for _ in range(3):
        follower.look().read()


def change(follower: Follower, files: Callable[[], None], *, away: bool) -> None:
    """Change files while they are followed, or while the program is stopped."""
    if away:
        follower.restart(before=files)
    else:
        files()
    settle(follower)


def nothing_comes_twice(follower: Follower, expected: list[str]) -> None:
    assert follower.lines == expected
    follower.follow_over_grace()
    follower.restart()
    follower.follow_over_grace()
    assert follower.lines == expected
    assert "comparing the samples" not in follower.said


EACH = pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
HOW = pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)


@EACH
@HOW
def test_while_it_is_followed(
    log: Path, old: list[str], follower: Follower, edit: Callable[[bytes], bytes], write: Callable[[Path, bytes], None]
) -> None:
    write(log, edit(log.read_bytes()))
    settle(follower)
    append(log, *NEW[:4])
    settle(follower)
    append(log, *NEW[4:])
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


@EACH
@HOW
def test_while_it_is_followed_and_written_to_at_once(
    log: Path, old: list[str], follower: Follower, edit: Callable[[bytes], bytes], write: Callable[[Path, bytes], None]
) -> None:
    write(log, edit(log.read_bytes()))
    append(log, *NEW)
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


@EACH
@HOW
@pytest.mark.parametrize("more", [0, 10])
def test_while_the_program_is_stopped(
    log: Path,
    old: list[str],
    follower: Follower,
    edit: Callable[[bytes], bytes],
    write: Callable[[Path, bytes], None],
    more: int,
) -> None:
    def while_away() -> None:
        write(log, edit(log.read_bytes()))
        append(log, *NEW[:more])

    follower.restart(before=while_away)
    follower.follow()
    append(log, *NEW[more:])
    follower.follow()
    nothing_comes_twice(follower, old + NEW)
    assert "may be lost" not in follower.said


@EACH
@HOW
@pytest.mark.parametrize("away", [False, True])
def test_after_it_was_rotated(
    log: Path,
    old: list[str],
    follower: Follower,
    edit: Callable[[bytes], bytes],
    write: Callable[[Path, bytes], None],
    away: bool,
) -> None:
    backup = log.with_name("proxy.log.1")
    log.rename(backup)
    append(log, *NEW[:5])
    follower.follow_over_grace()
    change(follower, lambda: write(backup, edit(backup.read_bytes())), away=away)
    append(log, *NEW[5:])
    follower.follow()
    nothing_comes_twice(follower, old + NEW)


@EACH
@pytest.mark.parametrize("away", [False, True])
def test_compressed_after_it_was_changed(
    log: Path, old: list[str], follower: Follower, edit: Callable[[bytes], bytes], away: bool
) -> None:
    backup = log.with_name("proxy.log.1.gz")

    def rotate_edit_and_compress() -> None:
        backup.write_bytes(gzip.compress(edit(log.read_bytes())))
        log.unlink()
        append(log, *NEW[:5])

    change(follower, rotate_edit_and_compress, away=away)
    append(log, *NEW[5:])
    follower.follow()
    nothing_comes_twice(follower, old + NEW)


@EACH
@pytest.mark.parametrize("write", [in_place, renamed_over], ids=["in_place", "renamed_over"])
@pytest.mark.parametrize("away", [False, True])
def test_changed_appended_to_rotated_and_compressed_before_any_scan(
    log: Path,
    old: list[str],
    follower: Follower,
    edit: Callable[[bytes], bytes],
    write: Callable[[Path, bytes], None],
    away: bool,
) -> None:
    def change_and_rotate() -> None:
        write(log, edit(log.read_bytes()))
        append(log, *NEW[:5])
        rotate(log, compress=gzip.compress, suffix=".gz")
        append(log, *NEW[5:])

    change(follower, change_and_rotate, away=away)
    nothing_comes_twice(follower, old + NEW)


def test_compressed_file_that_has_the_inode_of_the_plain_one_is_compared_with_it(
    log: Path, old: list[str], follower: Follower
) -> None:
    def change_and_rotate() -> None:
        in_place(log, without(100)(log.read_bytes()))
        append(log, *NEW[:5])
        rotate(log, compress=gzip.compress, suffix=".gz")
        append(log, *NEW[5:])
        states = follower.memory.states  # as some file systems do
        states[1] = msgspec.structs.replace(states[1], inode=log.with_name("proxy.log.1.gz").stat().st_ino)

    follower.restart(before=change_and_rotate)
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


@EACH
@pytest.mark.parametrize("away", [False, True])
def test_rotated_file_is_changed_appended_to_and_compressed(
    log: Path, old: list[str], follower: Follower, edit: Callable[[bytes], bytes], away: bool
) -> None:
    backup = log.with_name("proxy.log.1")
    log.rename(backup)
    append(log, *NEW[:2])
    follower.follow()

    def change_and_compress() -> None:
        in_place(backup, edit(backup.read_bytes()))
        append(backup, *NEW[2:5])
        squeeze(backup, gzip.compress, ".gz")
        append(log, *NEW[5:])

    change(follower, change_and_compress, away=away)
    nothing_comes_twice(follower, old + NEW)


def test_a_copy_of_a_changed_file_is_known_by_its_lines_beside_many_deleted_files(
    log: Path, old: list[str], tmp_path: Path
) -> None:
    append(log, *lines_of(-1, 0))
    follower = Follower(log, from_start=True)
    follower.follow()
    for number in range(-10, -2):  # each of them is still open, and any file might replace it
        rotate(log)
        append(log, *lines_of(number, number + 1))
        follower.follow()
        log.with_name("proxy.log.1").unlink()
    append(log, *old)
    follower.follow()
    in_place(log, keep_last(len(old) * 2 // 3)(log.read_bytes()))
    append(log, *NEW[:5])
    copytruncate(log, tmp_path / "copy-in-the-making")
    settle(follower)
    before = [*follower.lines]
    (tmp_path / "copy-in-the-making").rename(log.with_name("proxy.log.1"))
    append(log, *NEW[5:])
    settle(follower)
    assert sorted(follower.lines) == sorted([*before, *NEW])
    assert before[-len(old) :] == old


# --- scanned halfway through a change
# -----------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("piece", [100, 4096, 100_000])
@pytest.mark.parametrize("empty_is_seen", [False, True])
def test_rewritten_in_pieces(
    log: Path, old: list[str], follower: Follower, edit: Callable[[bytes], bytes], piece: int, empty_is_seen: bool
) -> None:
    content = edit(log.read_bytes())
    with log.open("r+b", buffering=0) as file:
        file.truncate(0)
        if empty_is_seen:
            follower.follow()
        for at in range(0, len(content), max(piece, len(content) // 10)):
            file.write(content[at : at + max(piece, len(content) // 10)])
            follower.look(hints=[log]).read()
    settle(follower)
    append(log, *NEW)
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


@pytest.mark.parametrize("edit", [without(1, 2), keep_last(6)], ids=["within", "beginning lost"])
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("empty_is_seen", [False, True])
@pytest.mark.parametrize("then", ["settles", "is rotated", "restart"])
def test_rotated_file_that_is_rewritten_and_scanned_within_its_first_line(
    log: Path, edit: Callable[[bytes], bytes], finished: bool, empty_is_seen: bool, then: str
) -> None:
    log.touch()
    follower = Follower(log)
    follower.follow()
    old = lines_of(1, 10, size=1500)
    append(log, *old)
    follower.follow()
    rotate(log)
    append(log, *NEW[:5])
    _ = follower.follow_over_grace() if finished else follower.follow()
    backup = log.with_name("proxy.log.1")
    content = edit(backup.read_bytes())
    with backup.open("r+b", buffering=0) as file:
        file.truncate(0)
        if empty_is_seen:
            follower.follow()
        file.write(content[:700])
        follower.follow()
        file.write(content[700:2000])
        if then == "settles":
            follower.follow()
        file.write(content[2000:])
    if then == "is rotated":
        rotate(log)
    if then == "restart":
        follower.restart()
    settle(follower)
    append(log, *NEW[5:])
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


@pytest.mark.parametrize("restarts", [False, True])
def test_line_that_a_late_writer_finishes_in_a_rotated_file_is_read(log: Path, restarts: bool) -> None:
    log.touch()
    follower = Follower(log)
    follower.follow()
    rotate(log)
    append_bytes(log, NEW[0][:10].encode())
    rotate(log)  # no scan has found it under its first name
    follower.follow()
    assert follower.lines == []
    if restarts:
        follower.restart()
    append_bytes(log.with_name("proxy.log.1"), NEW[0][10:].encode() + b"\n")
    settle(follower)
    nothing_comes_twice(follower, NEW[:1])


# --- more of the same kind ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [False, True])
def test_end_lost_within_a_line_costs_the_line_that_is_written_there(
    log: Path, old: list[str], follower: Follower, away: bool
) -> None:
    def cut() -> None:
        os.truncate(log, log.stat().st_size - 500)
        append(log, *NEW)

    follower.restart(before=cut) if away else cut()
    settle(follower)
    half = log.read_bytes().splitlines()[-10].decode()
    assert half.endswith(NEW[0])
    nothing_comes_twice(follower, [*old, half, *NEW[1:]])


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("nuls", [10, 5000, 3 << 20])
def test_line_behind_nuls_is_read_however_many_they_are(
    log: Path, old: list[str], follower: Follower, nuls: int, away: bool
) -> None:
    def lose_the_end() -> None:
        os.truncate(log, log.stat().st_size - 500)
        append_bytes(log, bytes(nuls))

    follower.restart(before=lose_the_end) if away else lose_the_end()
    settle(follower)
    append(log, *NEW)
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


@pytest.mark.parametrize("rotated", [False, True])
def test_nuls_over_the_first_lines_of_a_file_of_few_bytes(log: Path, rotated: bool) -> None:
    few = [f"line {n}" for n in range(8)]
    append(log, *few)
    follower = Follower(log, from_start=True)
    assert follower.follow() == few
    path = log.with_name("proxy.log.1") if rotated else log
    if rotated:
        rotate(log)
        follower.follow_over_grace()
    with path.open("r+b") as file:
        file.write(bytes(14))
    follower.restart()
    settle(follower)
    append(log, *NEW)
    settle(follower)
    nothing_comes_twice(follower, few + NEW)


def test_last_lines_kept_by_cron_again_and_again(log: Path, old: list[str], follower: Follower) -> None:
    expected = list(old)
    for hour in range(20):
        new = lines_of(10_000 * (hour + 1), 10_000 * (hour + 1) + 30)
        append(log, *new[:20])
        if hour % 3:
            follower.follow()
        in_place(log, keep_last(50)(log.read_bytes()))
        append(log, *new[20:])
        settle(follower)
        expected += new
        if hour % 4 == 0:
            follower.restart()
    nothing_comes_twice(follower, expected)


def test_backup_is_made_and_the_last_lines_are_kept(log: Path, old: list[str], follower: Follower) -> None:
    append(log, *NEW[:3])
    shutil.copy(log, log.with_name("proxy.log.1"))
    in_place(log, keep_last(50)(log.read_bytes()))
    append(log, *NEW[3:])
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


@pytest.mark.parametrize("away", [False, True])
def test_copytruncate_that_keeps_a_header(log: Path, old: list[str], follower: Follower, away: bool) -> None:
    def rotate() -> None:
        append(log, *NEW[:3])
        copytruncate(log)
        append(log, *NEW[3:])

    follower.restart(before=rotate) if away else rotate()
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


def test_unread_lines_of_an_edited_file_are_read_once(log: Path, old: list[str], follower: Follower) -> None:
    append(log, *NEW[:5])
    follower.look()  # seen, and not read yet
    renamed_over(log, without(7)(log.read_bytes()))
    append(log, *NEW[5:])
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


def test_writer_that_still_has_the_old_file_is_read_too(log: Path, old: list[str], follower: Follower) -> None:
    with log.open("ab", buffering=0) as writer:
        moved_away_and_written(log, without(7)(log.read_bytes()))
        settle(follower)
        writer.write(NEW[0].encode() + b"\n")
        settle(follower)
    append(log, *NEW[1:])
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


def test_changed_while_the_store_is_full(log: Path, old: list[str], follower: Follower) -> None:
    in_place(log, keep_last(50)(log.read_bytes()))
    append(log, *NEW)
    for calls in range(4):
        follower.memory.fails = calls
        with contextlib.suppress(StoreFull):
            settle(follower)
    follower.memory.fails = None
    settle(follower)
    nothing_comes_twice(follower, old + NEW)


def test_changed_and_killed_before_anything_was_read(log: Path, old: list[str], follower: Follower) -> None:
    os.truncate(log, 0)
    follower.follow()
    append(log, *old[-50:])
    follower.restart()
    follower.look()
    follower.restart(before=lambda: append(log, *NEW))
    follower.follow()
    nothing_comes_twice(follower, old + NEW)


# --- changes that are not partial
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("write", [in_place, renamed_over], ids=lambda write: write.__name__)
@pytest.mark.parametrize("header", [1, 5])
def test_another_log_with_the_same_header_is_read_from_its_start(
    log: Path, old: list[str], follower: Follower, write: Callable[[Path, bytes], None], header: int, away: bool
) -> None:
    new = [*old[:header], *NEW]
    content = "".join(line + "\n" for line in new).encode()
    change(follower, lambda: write(log, content), away=away)
    assert follower.lines == old + new


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("write", [in_place, renamed_over], ids=lambda write: write.__name__)
@pytest.mark.parametrize("place", [0, 5, 500])
def test_lines_that_are_written_again_hide_no_new_ones(
    log: Path, old: list[str], follower: Follower, write: Callable[[Path, bytes], None], place: int, away: bool
) -> None:
    traceback = [f"  File proxy.py, line {n}, in handle_request" for n in range(30)]
    append(log, *traceback)
    follower.follow()
    new = lines_of(500_000, 501_000)
    new[place:place] = traceback
    content = "".join(line + "\n" for line in new).encode()
    change(follower, lambda: write(log, content), away=away)
    read = follower.lines[len(old) + len(traceback) :]
    assert [line for line in read if line not in traceback] == lines_of(500_000, 501_000)


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("write", [in_place, renamed_over], ids=lambda write: write.__name__)
def test_lines_that_are_written_all_the_time_hide_no_new_ones(
    log: Path, old: list[str], follower: Follower, write: Callable[[Path, bytes], None], away: bool
) -> None:
    def with_two_more(lines: list[str]) -> list[str]:
        return [line.ljust(63) for number in lines for line in (number, "idle: nothing to do", "pool: 4 connections")]

    append(log, *with_two_more(lines_of(1000, 4000)))
    before = len(old) + len(follower.follow())
    new = with_two_more(lines_of(500_000, 503_000))
    content = "".join(line + "\n" for line in new).encode()
    change(follower, lambda: write(log, content), away=away)
    assert follower.lines[before:] == new


@pytest.mark.parametrize("away", [False, True])
def test_nothing_is_read_again_behind_more_nuls_than_are_read_at_once(tmp_path: Path, away: bool) -> None:
    """As after a power cut that took the first blocks."""
    log = tmp_path / "proxy.log"
    append(log, *lines_of(1, 15_001, size=100))
    follower = Follower(log, from_start=True)
    follower.follow()
    if away:
        follower.restart()
    with log.open("r+b") as file:
        file.write(bytes(CHUNK_BYTES + 100_000))
    append(log, *NEW)
    settle(follower)
    assert follower.lines == [*lines_of(1, 15_001, size=100), *NEW]
    follower.close()


def test_memory_of_a_search_does_not_grow_with_lines_that_are_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "BLOCK_BYTES", 1 << 12)
    peaks = []
    for number in (5_000, 50_000):
        data = bytearray(b"idle\n" * number)
        trail = unpack(extended(b"", data, 0, len(data), 0))
        path = tmp_path / f"proxy-{number}.log"
        path.write_bytes(b"begin\n" + data)
        reader = open_reader(str(path))
        tracemalloc.start()
        resume.find(reader, trail)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        reader.close()
    assert peaks[1] < 2 * peaks[0]


@pytest.mark.parametrize("kept", [10, 10_000, 29_000])
def test_a_compressed_file_is_unpacked_a_few_times_for_any_trail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    lines = [f"{line}\n".encode() for line in lines_of(0, 30_000, size=99)]
    trail = Trail()
    for first in range(0, len(lines), 500):
        part = bytearray(b"".join(lines[first : first + 500]))
        trail = unpack(extended(pack(trail), part, 0, len(part), first * 100))
    assert len(trail.marks) > 20
    path = tmp_path / "proxy.log.1.gz"
    path.write_bytes(gzip.compress(b"".join(lines[:kept]) + b"something else\n" * 100_000, 1))
    unpacked = 0
    rewind = CompressedReader._rewind

    def counted(reader: CompressedReader) -> None:
        nonlocal unpacked
        unpacked += 1
        rewind(reader)

    monkeypatch.setattr(CompressedReader, "_rewind", counted)
    reader = open_reader(str(path))
    found = resume.find(reader, trail)
    if found is not None:
        assert found.offset <= kept * 100 <= found.offset + found.doubt
        replaced.still_true(reader, trail, found)
    assert unpacked <= 6
    reader.close()


@pytest.mark.parametrize("away", [False, True])
def test_truncated_log_is_read_at_once(log: Path, old: list[str], follower: Follower, away: bool) -> None:
    os.truncate(log, 0)
    follower.follow()
    if away:
        follower.restart()
    append(log, *NEW)
    assert follower.follow() == NEW


# --- deeper than every line is known --------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("lost", [300, 1000, 2500])
def test_if_an_end_was_lost_far_back_little_is_read_again_and_that_is_reported(
    log: Path, tmp_path: Path, lost: int, away: bool
) -> None:
    old = lines_of(1, 3001, size=80)
    append(log, *old)
    follower = Follower(log, from_start=True)
    follower.follow()

    def cut() -> None:
        in_place(log, end_lost(lost)(log.read_bytes()))
        append(log, *NEW)

    follower.restart(before=cut) if away else cut()
    settle(follower)
    again = follower.lines[len(old) : -len(NEW)]
    assert follower.lines == [*old, *again, *NEW]
    assert again == old[len(old) - lost - len(again) : len(old) - lost]
    assert len(again) * 81 <= max(2 * MARK_BYTES, lost * 81 // 8)
    assert not again or "comparing the samples" in follower.said


def test_a_file_that_changes_twice_is_compared_with_its_newest_checkpoint(log: Path) -> None:
    append(log, *lines_of(1, 3001, size=80))
    follower = Follower(log, from_start=True)
    follower.follow()
    renamed_over(log, keep_last(300)(log.read_bytes()))
    append(log, *lines_of(3001, 6001, size=80))
    settle(follower)
    assert follower.lines == lines_of(1, 6001, size=80)
    in_place(log, end_lost(700)(log.read_bytes()))  # the older file has more lines in common with it
    append(log, *NEW)
    settle(follower)
    again = follower.lines[6000 : -len(NEW)]
    assert follower.lines[-len(NEW) :] == NEW
    assert len(again) * 81 <= 2 * MARK_BYTES


@pytest.mark.parametrize("change", [first_lines_lost, keep_last(1500), longer_first_line, without(3)])
def test_lines_in_doubt_stay_so_in_a_file_that_changes_again_before_they_are_read(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    log = tmp_path / "proxy.log"
    append(log, *lines_of(1, 3001, size=80))
    follower = Follower(log, from_start=True)
    follower.follow()
    follower.restart(before=lambda: renamed_over(log, end_lost(1000)(log.read_bytes())))
    follower.look()
    assert read_one(follower.tail, follower.now_s) is not None  # and it is killed before that is stored
    follower.restart(before=lambda: renamed_over(log, change(log.read_bytes())))
    end = log.stat().st_size
    append(log, *NEW)
    follower.look()
    read = read_one(follower.tail, follower.now_s)
    assert read is not None
    assert read[1].base < end <= read[1].after.doubt
    follower.close()
