"""Each line exactly once and in order, for everything that happens to one live path; stepped by hand."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_logtail.errors import StoreFull
from otel_logtail.model import Chunk, FileState
from otel_logtail.tail import held, live, opening, planner
from otel_logtail.tail import lines as chunks
from otel_logtail.tail.directories import Names
from otel_logtail.tail.fingerprint import is_cut_off
from otel_logtail.tail.held import GRACE_S, SETTLE_S
from otel_logtail.tail.lines import CHUNK_BYTES
from otel_logtail.tail.naming import rotated_of
from otel_logtail.tail.reader import CompressedReader, PlainReader, Reader, open_reader
from tests.support.tailing import Follower, append, append_bytes, copytruncate, numbered, read_one, rotate, squeeze

CODECS: list[tuple[str, Callable[[bytes], bytes]]] = [
    (".gz", gzip.compress),
    (".bz2", bz2.compress),
    (".xz", lzma.compress),
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "proxy.log"


@pytest.fixture
def follower(log: Path) -> Follower:
    """Follows an empty file from its start."""
    log.touch()
    follower = Follower(log)
    follower.follow()
    return follower


# --- growing ------------------------------------------------------------------------------------------------------


def test_appended_lines_are_read_once(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 3))
    assert follower.follow() == numbered(1, 3)
    assert follower.follow() == []
    append(log, *numbered(4, 5))
    assert follower.follow() == numbered(4, 5)
    assert follower.bytes == log.stat().st_size


def test_line_written_byte_by_byte_is_read_when_it_is_complete(log: Path, follower: Follower) -> None:
    for byte in b"one\ntwo\n":
        append_bytes(log, bytes([byte]))
        follower.follow()
    assert follower.lines == ["one", "two"]


def test_half_a_line_is_never_read(log: Path, follower: Follower) -> None:
    append_bytes(log, b"one\ntw")
    assert follower.follow() == ["one"]
    assert follower.follow_over_grace() == []
    append_bytes(log, b"o\nthr")
    assert follower.follow() == ["two"]


def test_empty_lines_carriage_returns_and_invalid_bytes_are_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    path.touch()
    follower = Follower(path)
    follower.follow()
    data = b"\n\r\n\xff\xfe\n\xef\xbb\xbfbom\n"
    append_bytes(path, data)
    follower.look()
    found = read_one(follower.tail, 0.0)
    assert found is not None
    assert found[1].data == data


def test_chunk_is_handed_out_again_until_it_is_accepted(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.look()
    first = read_one(follower.tail, 0.0)
    append(log, "two")
    second = read_one(follower.tail, 0.0)
    assert first is not None
    assert second is not None
    assert (first[1].data, second[1].data) == (b"one\n", b"one\ntwo\n")
    assert follower.follow() == ["one", "two"]


def test_backlog_of_many_chunks_is_read_in_order(log: Path, follower: Follower) -> None:
    lines = [f"{n:06d} " + "x" * 90 for n in range(40_000)]
    append(log, *lines)
    assert follower.follow() == lines


# --- lines beyond the bound ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [CHUNK_BYTES, CHUNK_BYTES + 1, CHUNK_BYTES * 3 + 17])
@pytest.mark.parametrize("pieces", [1, 2])
def test_lines_behind_one_that_is_skipped_are_where_they_are(
    log: Path, follower: Follower, size: int, pieces: int
) -> None:
    append(log, "before")
    for piece in range(pieces):
        append_bytes(log, b"x" * (size // pieces + (size % pieces if piece else 0)))
        follower.follow()
    append_bytes(log, b"\nafter\nand another\n")
    follower.follow()
    data = log.read_bytes()
    assert (follower.lines, follower.oversized) == (["before", "after", "and another"], 1)
    assert [offset for _, offset in follower.taken] == [
        data.index(b"\n" + w) + 1 if at else 0 for at, w in enumerate([b"before", b"after", b"and"])
    ]


@pytest.mark.parametrize("size", [CHUNK_BYTES + 1, CHUNK_BYTES * 2, CHUNK_BYTES * 3 + 17])
def test_line_beyond_the_bound_is_skipped_and_its_neighbours_kept(log: Path, follower: Follower, size: int) -> None:
    append(log, "before", "x" * size, "after")
    assert follower.follow() == ["before", "after"]
    assert follower.oversized == 1
    assert follower.bytes == log.stat().st_size


def test_line_just_within_the_bound_is_read(log: Path, follower: Follower) -> None:
    append(log, "before", "x" * (CHUNK_BYTES - 1), "after")
    assert follower.follow() == ["before", "x" * (CHUNK_BYTES - 1), "after"]
    assert follower.oversized == 0


def test_line_beyond_the_bound_that_is_still_being_written_is_counted_once(log: Path, follower: Follower) -> None:
    append(log, "before")
    for _ in range(5):
        append_bytes(log, b"x" * (CHUNK_BYTES // 2))
        follower.follow()
    append_bytes(log, b"\nafter\n")
    follower.follow()
    assert (follower.lines, follower.oversized) == (["before", "after"], 1)


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_restart_within_a_line_beyond_the_bound_continues_skipping(log: Path, follower: Follower, chunks: int) -> None:
    append(log, "before", "x" * (CHUNK_BYTES * 3), "after")
    follower.look().read(chunks)
    follower.restart()
    follower.follow()
    assert (follower.lines, follower.oversized) == (["before", "after"], 1)


def test_first_start_within_a_line_beyond_the_bound_begins_with_the_next_line(log: Path) -> None:
    append_bytes(log, b"x" * (CHUNK_BYTES + 10))
    follower = Follower(log)
    assert follower.follow() == []
    append_bytes(log, b"rest\nwhole\n")
    assert follower.follow() == ["whole"]


@pytest.mark.parametrize("hole", [10, CHUNK_BYTES, CHUNK_BYTES * 2 + 100])
def test_line_behind_the_hole_of_a_writer_that_missed_the_truncation_is_read(
    log: Path, follower: Follower, hole: int
) -> None:
    append(log, *numbered(1, 2))
    follower.follow()
    copytruncate(log)
    with log.open("r+b") as file:
        file.seek(hole)
        file.write(b"behind\nnext\n")
    got = follower.follow()
    assert [line.lstrip("\0") for line in got] == ["behind", "next"]
    assert follower.oversized == 0


def test_skipped_line_that_has_nuls_in_it_does_not_become_two(log: Path, follower: Follower) -> None:
    append_bytes(log, b"before\n" + b"x" * (CHUNK_BYTES - 100) + b"\0" * 200 + b"tail of it\nafter\n")
    follower.follow()
    assert (follower.lines, follower.oversized) == (["before", "after"], 1)


# --- first start --------------------------------------------------------------------------------------------------


def test_first_start_begins_at_the_end_of_the_last_whole_line(log: Path) -> None:
    append_bytes(log, b"old\nhal")
    follower = Follower(log)
    assert follower.follow() == []
    append_bytes(log, b"f\nnew\n")
    assert follower.follow() == ["half", "new"]


def test_first_start_from_the_start_reads_rotated_files_too_oldest_first(log: Path) -> None:
    for n in range(1, 13):
        append(log, *numbered(10 * n, 10 * n + 2))
        rotate(log)
    squeeze(log.with_name("proxy.log.3"), gzip.compress, ".gz")
    append(log, "live")
    follower = Follower(log, from_start=True)
    expected = [line for n in range(1, 13) for line in numbered(10 * n, 10 * n + 2)]
    assert follower.follow() == [*expected, "live"]


def test_first_start_at_the_end_reads_no_rotated_file_later(log: Path) -> None:
    append(log, *numbered(1, 3))
    rotate(log, compress=gzip.compress, suffix=".gz")
    append(log, *numbered(4, 6))
    rotate(log)
    append(log, *numbered(7, 9))
    follower = Follower(log)
    assert follower.follow() == []
    append(log, "new")
    rotate(log, compress=gzip.compress, suffix=".gz")
    append(log, "newer")
    assert follower.follow_over_grace() == ["new", "newer"]
    follower.restart(before=lambda: rotate(log))
    assert follower.follow_over_grace() == []


def test_line_written_to_a_rotated_file_while_the_first_start_looks_for_its_end_is_found(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, "one")
    rotate(log)
    late = ["between the end and the size"]

    def end_of_lines(reader: Reader) -> int:
        end = chunks.end_of_lines(reader)
        if late:
            append(log.with_name("proxy.log.1"), late.pop())
        return end

    monkeypatch.setattr(planner, "end_of_lines", end_of_lines)
    follower = Follower(log)
    assert (follower.follow(), late) == (["between the end and the size"], [])


def test_new_file_after_a_first_start_at_the_end_is_read_from_its_start(log: Path) -> None:
    append(log, "old")
    follower = Follower(log)
    follower.follow()
    append(log, "last")
    rotate(log)
    append(log, "first of the new file")
    assert follower.follow() == ["last", "first of the new file"]


def test_file_created_after_the_first_scan_is_read_from_its_start(log: Path) -> None:
    follower = Follower(log)
    assert follower.follow() == []
    append(log, *numbered(1, 3))
    assert follower.follow() == numbered(1, 3)
    assert follower.said.count("No such file") == 1
    assert "can be read again" in follower.said


# --- rename -------------------------------------------------------------------------------------------------------


def test_rest_of_a_renamed_file_is_read_before_the_new_one(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 2))
    follower.follow()
    append(log, *numbered(3, 4))
    rotate(log)
    append(log, *numbered(5, 6))
    assert follower.follow() == numbered(3, 6)


def test_rename_with_nothing_new_repeats_nothing(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 2))
    follower.follow()
    rotate(log)
    assert follower.follow_over_grace() == []


def test_late_lines_in_the_renamed_file_are_read(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    append(log, "new one")
    follower.follow()
    append(log.with_name("proxy.log.1"), "late")
    assert follower.look(after_s=GRACE_S - 1).read() == ["late"]
    append(log.with_name("proxy.log.1"), "later, since it has grown")
    assert follower.look(after_s=GRACE_S - 1).read() == ["later, since it has grown"]


def test_renamed_file_is_read_on_for_the_grace_period_since_its_last_line(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    follower.follow()
    for n in range(4):
        append(log.with_name("proxy.log.1"), f"late {n}")
        assert follower.look(after_s=GRACE_S / 2).read() == [f"late {n}"]
        assert follower.look(after_s=GRACE_S / 4).open_files == 2  # nothing new by now
    assert follower.look(after_s=GRACE_S).open_files == 1


def test_renamed_file_is_closed_exactly_after_the_grace_period(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    follower.follow()
    assert follower.look(after_s=GRACE_S - 2 * SETTLE_S).open_files == 2
    assert follower.look().open_files == 1


def test_renamed_file_is_closed_after_the_grace_period(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    follower.follow()
    assert follower.open_files == 2
    follower.look(after_s=GRACE_S + 1)
    assert follower.open_files == 1


def test_lines_after_the_grace_period_are_found_at_the_next_scan(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    append(log, "two")
    follower.follow_over_grace()
    append(log.with_name("proxy.log.1"), "very late")
    assert follower.follow() == ["very late"]
    rotate(log)
    append(log, "three")
    assert follower.follow() == ["three"]


def test_lines_after_the_grace_period_in_an_older_file_are_found_at_the_next_rotation(
    log: Path, follower: Follower
) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    append(log, "two")
    rotate(log)
    follower.follow_over_grace()
    append(log.with_name("proxy.log.2"), "very late")
    assert follower.follow() == []
    rotate(log)
    append(log, "three")
    assert sorted(follower.follow()) == ["three", "very late"]


def test_line_written_while_a_renamed_file_is_closed_is_found_at_the_next_rotation(
    log: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    follower.follow()
    late = ["between the last read and the end"]

    def read_chunk(*args: Any) -> Chunk | None:
        chunk = chunks.read_chunk(*args)
        if chunk is None and late:
            append(log.with_name("proxy.log.1"), late.pop())
        return chunk

    monkeypatch.setattr(held, "read_chunk", read_chunk)
    follower.look(after_s=GRACE_S + 1)
    assert (late, follower.open_files) == ([], 1)
    assert follower.read() == []
    rotate(log)
    assert follower.follow() == ["between the last read and the end"]


def test_renamed_file_that_cannot_be_read_now_is_not_closed(
    log: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    follower.follow()
    append(log.with_name("proxy.log.1"), "late")

    def broken(reader: PlainReader, view: memoryview, offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(PlainReader, "read_into", broken)
        follower.look(after_s=GRACE_S + 1)
        assert follower.open_files == 2
    assert follower.follow() == ["late"]
    assert follower.look(after_s=GRACE_S + 1).open_files == 1


def test_several_rotations_between_two_looks_lose_nothing(log: Path, follower: Follower) -> None:
    for n in range(15):
        append(log, *numbered(n * 10, n * 10 + 4))
        rotate(log)
    append(log, "live")
    assert follower.follow() == [line for n in range(15) for line in numbered(n * 10, n * 10 + 4)] + ["live"]


def test_rotation_between_listing_and_opening_the_files_is_noticed(
    log: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, "one")
    follower.follow()
    append(log, "two")
    rotate(log)
    append(log, "three")
    rotations = iter(range(2))
    real = rotated_of

    def rotated_and_a_rotation(live: str, names: Names, *, ring: bool) -> list[str]:
        found = real(live, names, ring=ring)
        if (n := next(rotations, None)) is not None:
            rotate(log)
            append(log, f"rotation {n}")
        return found

    monkeypatch.setattr(opening, "rotated_of", rotated_and_a_rotation)
    assert follower.follow() == ["two", "three", "rotation 0", "rotation 1"]
    assert "gone" not in follower.said


def test_rename_without_a_new_file_is_read_on(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    append(log, "two")
    rotate(log, create=False)
    assert follower.follow() == ["two"]
    append(log.with_name("proxy.log.1"), "late")
    assert follower.follow() == ["late"]
    append(log, "three")
    assert follower.follow() == ["three"]


def test_file_that_appeared_and_was_renamed_while_none_was_live_is_read_at_the_next_scan(
    log: Path, follower: Follower
) -> None:
    append(log, "one")
    follower.follow()
    rotate(log, create=False)
    follower.follow()
    for n in range(3):
        append(log, f"came and went {n}")
        rotate(log, create=False)
        follower.now_s -= SETTLE_S  # it is too soon to scan for names alone
        assert follower.follow() == [f"came and went {n}"]


def test_rename_without_a_new_file_while_away_is_read_before_one_comes(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    append(log, "two")
    follower.restart(before=lambda: rotate(log, create=False))
    assert follower.follow() == ["two"]


def test_file_moved_out_of_the_folder_is_read_to_its_end(log: Path, follower: Follower, tmp_path: Path) -> None:
    append(log, "one")
    follower.follow()
    away = tmp_path / "elsewhere.old"
    log.rename(away)
    append(away, "two")
    append(log, "three")
    assert follower.follow() == ["two", "three"]


def test_empty_file_moved_out_of_the_folder_and_then_written_is_read(
    log: Path, follower: Follower, tmp_path: Path
) -> None:
    away = tmp_path / "elsewhere.old"
    log.rename(away)
    append(log, "new")
    follower.follow()
    append(away, "late")
    assert follower.follow() == ["late"]


def test_renamed_away_and_back_is_the_same_file(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    log.rename(log.with_name("aside"))
    follower.follow()
    log.with_name("aside").rename(log)
    append(log, "two")
    assert follower.follow() == ["two"]
    assert len(follower.memory.states) == 1


def test_two_files_put_aside_out_of_sight_stay_in_their_order(log: Path, follower: Follower, tmp_path: Path) -> None:
    append(log, "1")
    follower.follow()
    for n in (2, 3):
        log.rename(tmp_path / f"aside{n}")
        append(log, str(n))
        follower.follow()
    append(tmp_path / "aside2", "late a")
    append(tmp_path / "aside3", "late b")
    log.rename(tmp_path / "aside4")
    append(log, "4")
    assert follower.follow() == ["late a", "late b", "4"]


# --- files with equal content
# -------------------------------------------------------------------------------------------


def test_new_file_with_the_same_first_line_is_read(log: Path, follower: Follower) -> None:
    append(log, "# a header")
    follower.follow()
    rotate(log)
    append(log, "# a header")
    assert follower.follow() == ["# a header"]
    append(log, "and more")
    assert follower.follow() == ["and more"]


def test_files_with_a_common_header_are_told_apart(log: Path, follower: Follower) -> None:
    header = ["# " + "=" * 70] * 40  # 2.9 KB
    for n in range(4):
        append(log, *header, f"file {n}")
        follower.follow()
        append(log, f"file {n}, unread")
        rotate(log)
    append(log, "live")
    follower.follow()
    follower.restart(before=lambda: rotate(log))
    append(log, *header, "last")
    follower.follow_over_grace()
    texts = [line for line in follower.lines if not line.startswith("#")]
    assert texts == [text for n in range(4) for text in (f"file {n}", f"file {n}, unread")] + ["live", "last"]


def test_atomic_replacement_with_the_same_content_repeats_nothing(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 5))
    follower.follow()
    copy = log.with_name("copy")
    copy.write_bytes(log.read_bytes() + b"more\n")
    copy.replace(log)
    assert follower.follow() == ["more"]


def test_atomic_replacement_with_other_content_is_read(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 5))
    follower.follow()
    other = log.with_name("other")
    append(other, *numbered(11, 19))
    other.replace(log)
    assert follower.follow() == numbered(11, 19)


def test_inode_that_is_used_again_does_not_mislead(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 3))
    follower.follow()
    inode = log.stat().st_ino

    def rotated_compressed_and_new() -> None:
        append(log, "unread")
        rotate(log, create=False, compress=gzip.compress, suffix=".gz")
        append(log, *numbered(4, 9))

    follower.restart(before=rotated_compressed_and_new)
    # as if the file system had given the old number to the new file
    state = follower.memory.states[1]
    follower.tail.close()
    import msgspec

    follower.memory.states[1] = msgspec.structs.replace(state, inode=log.stat().st_ino)
    follower.restart()
    assert follower.follow() == ["unread", *numbered(4, 9)]
    assert inode


def test_deleted_and_recreated_is_read_from_its_start(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 3))
    follower.follow()
    log.unlink()
    append(log, *numbered(4, 5))
    assert follower.follow() == numbered(4, 5)
    log.unlink()
    follower.follow()
    append(log, *numbered(6, 7))
    assert follower.follow() == numbered(6, 7)


def test_rest_of_a_deleted_file_is_read_and_its_descriptor_freed(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    append(log, "two")
    log.unlink()
    assert follower.follow() == ["two"]
    assert follower.open_files == 1
    follower.look(after_s=GRACE_S + 1)
    assert follower.open_files == 0


# --- truncation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [1, 5, 30])
def test_copytruncate_reads_the_copys_unread_tail_and_then_the_new_content(
    log: Path, follower: Follower, after: int
) -> None:
    append(log, *numbered(1, 5))
    follower.follow()
    append(log, *numbered(6, 8))
    copytruncate(log)
    append(log, *numbered(101, 100 + after))  # shorter than, as long as, and longer than the position
    assert follower.follow() == numbered(6, 8) + numbered(101, 100 + after)
    assert "was truncated" in follower.said


def test_copytruncate_with_new_content_of_exactly_the_same_length(log: Path, follower: Follower) -> None:
    append(log, *numbered(101, 105))
    follower.follow()
    copytruncate(log)
    append(log, *numbered(201, 205))
    assert follower.follow() == numbered(201, 205)


def test_copytruncate_twice_with_a_pending_half_line(log: Path, follower: Follower) -> None:
    append_bytes(log, b"one\ntw")
    follower.follow()
    append_bytes(log, b"o\n")
    copytruncate(log)
    append_bytes(log, b"three\nfo")
    assert follower.follow() == ["two", "three"]
    append_bytes(log, b"ur\n")
    log.with_name("proxy.log.1").rename(log.with_name("proxy.log.2"))
    copytruncate(log)
    append(log, "five")
    assert follower.follow() == ["four", "five"]


@pytest.mark.parametrize("part", [0.3, 1.0])
def test_look_between_copy_and_truncation_repeats_nothing(log: Path, follower: Follower, part: float) -> None:
    append(log, *numbered(1, 5))
    follower.follow()
    append(log, *numbered(6, 8))
    data = log.read_bytes()
    log.with_name("proxy.log.1").write_bytes(data[: int(len(data) * part)])
    follower.restart()
    assert follower.follow() == numbered(6, 8)
    copytruncate(log)
    append(log, "new")
    assert follower.follow_over_grace() == ["new"]


def test_copytruncate_while_away_with_new_content_longer_than_the_position(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 5))
    follower.follow()

    def while_away() -> None:
        append(log, *numbered(6, 8))
        copytruncate(log)
        append(log, *numbered(101, 130))

    follower.restart(before=while_away)
    assert follower.follow() == numbered(6, 8) + numbered(101, 130)


def test_truncation_to_nothing_and_growing_again(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 5))
    follower.follow()
    os.truncate(log, 0)
    assert follower.follow() == []
    append(log, *numbered(6, 7))
    assert follower.follow() == numbered(6, 7)
    assert "gone" not in follower.said


def test_truncation_to_nothing_while_away(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 5))
    follower.follow()
    follower.restart(before=lambda: os.truncate(log, 0))
    follower.follow()
    follower.restart(before=lambda: append(log, *numbered(6, 20)))
    assert follower.follow() == numbered(6, 20)


def test_truncation_before_the_rest_was_read_is_reported_with_its_bytes(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 2))
    append_bytes(log, b"12345")
    follower.follow()
    os.truncate(log, 0)
    follower.follow()
    assert "is gone with 5 unread bytes" in follower.said


def test_truncation_between_look_and_read_gives_nothing_wrong(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 5))
    follower.follow()
    append(log, "seen by the look")
    follower.look()
    copytruncate(log)
    append(log, *numbered(101, 120))
    assert follower.read() == []
    assert follower.follow() == ["seen by the look", *numbered(101, 120)]


def test_many_truncations_with_a_scan_after_each_write(log: Path, follower: Follower) -> None:
    written = []
    for n in range(100):
        line = f"{n} " + "x" * (n * 7 % 50)
        append(log, line)
        written.append(line)
        follower.follow()
        if n % 3 == 0:
            copytruncate(log, log.with_name(f"proxy.log.2024-01-01_{n:02d}"))
    follower.follow()
    assert follower.lines == written


# --- away ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotations", [1, 2, 12])
def test_files_rotated_while_away_are_finished_in_order(log: Path, follower: Follower, rotations: int) -> None:
    append(log, *numbered(1, 2))
    follower.follow()

    def while_away() -> None:
        append(log, "unread")
        for n in range(rotations):
            rotate(log)
            append(log, f"after rotation {n}")

    follower.restart(before=while_away)
    assert follower.follow() == ["unread", *(f"after rotation {n}" for n in range(rotations))]
    follower.restart()
    assert follower.follow_over_grace() == []


@pytest.mark.parametrize(("suffix", "compress"), CODECS)
def test_files_compressed_while_away_are_finished_in_order(
    log: Path, follower: Follower, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    append(log, *numbered(1, 2))
    follower.follow()

    def while_away() -> None:
        append(log, *numbered(3, 60_000))
        for n in range(3):
            rotate(log, compress=compress, suffix=suffix)
            append(log, f"after rotation {n}")

    follower.restart(before=while_away)
    follower.look().read(1)
    follower.restart()  # in the middle of the compressed file
    follower.follow()
    assert follower.lines == numbered(1, 60_000) + [f"after rotation {n}" for n in range(3)]


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes came out of compressed files, piece by piece."""
    pieces: list[int] = []
    real = CompressedReader._more

    def more(reader: CompressedReader) -> bytes:
        data = real(reader)
        pieces.append(len(data))
        return data

    monkeypatch.setattr(CompressedReader, "_more", more)
    return pieces


@pytest.mark.parametrize("read", ["plain", "compressed", "let go"])
def test_compressed_file_that_was_read_to_its_end_is_not_unpacked_again(
    log: Path, follower: Follower, unpacked: list[int], read: str
) -> None:
    lines = numbered(1, 50_000)
    append(log, *lines)
    if read == "plain":
        follower.follow()
    if read == "let go":  # compressed one rotation later, when no process has it open any more
        rotate(log)
        follower.follow_over_grace()
        squeeze(log.with_name("proxy.log.1"), gzip.compress, ".gz")
    else:
        rotate(log, compress=gzip.compress, suffix=".gz")
    follower.follow_over_grace()
    assert follower.lines == lines
    before = list(follower.memory.states.values())
    assert follower.follow_over_grace() == []  # at most here it is told apart from the plain one
    unpacked.clear()
    for turn in range(3):
        follower.restart()
        append(log, f"more {turn}")
        follower.follow_over_grace()
        rotate(log)  # its name is another one now
        follower.follow_over_grace()
    assert sum(unpacked) < 6 * 300_000 < len("\n".join(lines))
    assert follower.lines == [*lines, "more 0", "more 1", "more 2"]
    assert next(state for state in follower.memory.states.values() if state.done).offset == before[0].offset


def test_damaged_compressed_file_is_read_up_to_its_damage_and_reported(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()

    def while_away() -> None:
        append(log, *(os.urandom(30).hex() for _ in range(60_000)))
        rotate(log, compress=lambda data: gzip.compress(data)[:-500_000], suffix=".gz")
        append(log, "new")

    follower.restart(before=while_away)
    got = follower.follow_over_grace()
    assert len(got) > 40_000
    assert got[-1] == "new"
    assert "is damaged" in follower.said
    follower.restart()
    assert follower.follow_over_grace() == []


def test_compressed_file_that_is_none_at_all_does_not_stop_the_rest(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()

    def while_away() -> None:
        log.with_name("proxy.log.1.gz").write_bytes(b"no gzip" * 100)
        append(log, "two")

    follower.restart(before=while_away)
    assert follower.follow_over_grace() == ["two"]


def test_missing_file_is_reported_gone_with_its_unread_bytes(log: Path, follower: Follower) -> None:
    append(log, "one")
    append_bytes(log, b"x" * 10)
    follower.follow()

    def while_away() -> None:
        log.unlink()
        append(log, "new")

    follower.restart(before=while_away)
    assert follower.follow() == ["new"]
    assert (
        f"{log} was deleted or truncated between two scans: data after byte 14 may be lost,"
        " and the 10 bytes before it were not read"
    ) in follower.said


def test_last_file_deleted_during_a_stop_is_reported_though_all_seen_lines_were_read(
    log: Path, follower: Follower
) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    append(log, "two")
    follower.follow()

    def while_away() -> None:
        log.with_name("proxy.log.1").unlink()  # nothing came to it any more
        log.unlink()
        append(log, "new")

    follower.restart(before=while_away)
    assert follower.follow() == ["new"]
    assert follower.said.count("between two scans") == 1
    assert f"{log} was deleted or truncated between two scans: data after byte 4 may be lost\n" in follower.said


def test_live_file_deleted_during_a_stop_is_reported_though_no_new_one_was_created(
    log: Path, follower: Follower
) -> None:
    append(log, "one")
    follower.follow()
    follower.restart(before=log.unlink)
    assert follower.follow() == []
    assert f"{log} was deleted or truncated between two scans: data after byte 4 may be lost\n" in follower.said
    follower.restart()
    follower.follow()
    assert follower.said.count("between two scans") == 1


def test_rotated_file_that_was_decided_on_late_does_not_hide_that_the_live_one_went(
    log: Path, follower: Follower
) -> None:
    rotate(log)
    with log.open("ab", buffering=0) as late:
        rotate(log)
        append(log, "one")
        follower.follow()
        late.write(b"late\n")  # known only now, so newer than the live file by its number
        assert follower.follow() == ["late"]
    follower.restart(before=log.unlink)
    assert follower.follow() == []
    assert f"{log} was deleted or truncated between two scans" in follower.said


def test_unread_bytes_of_a_file_that_was_cut_off_while_followed_are_reported(log: Path, follower: Follower) -> None:
    append_bytes(log, b"one\nhalf a line")
    follower.follow()
    os.truncate(log, 0)
    follower.follow()
    assert f"{log} is gone with 11 unread bytes" in follower.said
    assert "between two scans" not in follower.said


def test_backup_deleted_before_it_was_read_is_a_loss_but_never_a_repetition(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 3))
    follower.follow()

    def while_away() -> None:
        for n in range(4):
            rotate(log)
            append(log, f"after rotation {n}")
        log.with_name("proxy.log.2").unlink()

    follower.restart(before=while_away)
    assert follower.follow() == ["after rotation 0", "after rotation 2", "after rotation 3"]


def test_writer_that_missed_rotation_and_compression_is_read_on_and_nothing_twice(
    log: Path, follower: Follower
) -> None:
    log.unlink()
    with log.open("ab", buffering=0) as writer:
        writer.write(b"one, and its text\n" * 100)
        follower.follow()
        rotate(log, compress=gzip.compress, suffix=".gz")
        assert follower.follow() == []
        writer.write(b"late 1\n")
        assert follower.follow() == ["late 1"]
        rotate(log)
        append(log, "new")
        writer.write(b"late 2\n")
        assert sorted(follower.follow()) == ["late 2", "new"]
    follower.restart(before=lambda: rotate(log))
    assert follower.follow_over_grace() == []


@pytest.mark.parametrize(("suffix", "compress"), CODECS)
def test_lines_after_the_grace_period_are_found_though_the_file_is_compressed_by_then(
    log: Path, follower: Follower, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    follower.follow_over_grace()
    append(log.with_name("proxy.log.1"), "very late")
    squeeze(log.with_name("proxy.log.1"), compress, suffix)
    rotate(log)
    append(log, "two")
    assert sorted(follower.follow_over_grace()) == ["two", "very late"]
    rotate(log)
    assert follower.follow_over_grace() == []


def test_compression_noticed_only_after_late_lines_were_read_repeats_nothing(log: Path, follower: Follower) -> None:
    append(log, *numbered(1, 50))
    with log.open("ab", buffering=0) as writer:
        follower.follow()
        rotate(log)
        follower.follow()
        plain = log.with_name("proxy.log.1")
        compressed = gzip.compress(plain.read_bytes())
        writer.write(b"late\n")
        assert follower.follow() == ["late"]
        plain.with_name("proxy.log.1.gz").write_bytes(compressed)
        plain.unlink()
        assert follower.follow() == []
        rotate(log)
        append(log, "new")
        assert follower.follow() == ["new"]


def test_unreadable_file_is_waited_for(log: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, "one")
    follower.follow()
    append(log, "two")
    rotate(log)
    append(log, "three")
    real = open_reader

    def denied(path: str) -> object:
        if path == str(log):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(opening, "open_reader", denied)
    assert follower.follow() == ["two"]  # behind the descriptor that is open
    assert follower.follow() == []
    assert follower.said.count("Permission denied") == 1
    monkeypatch.setattr(opening, "open_reader", real)
    assert follower.follow() == ["three"]
    assert "can be read again" in follower.said


def test_rotated_file_that_can_not_be_opened_now_is_not_given_up(
    log: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, "one")
    follower.follow()

    def while_away() -> None:
        append(log, "two")
        rotate(log)
        append(log, "three")

    real = open_reader

    def denied(path: str) -> object:
        if path.endswith(".1"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    follower.restart(before=while_away)
    monkeypatch.setattr(opening, "open_reader", denied)
    assert follower.follow() == ["three"]
    assert "gone" not in follower.said
    monkeypatch.setattr(opening, "open_reader", real)
    follower.restart()
    assert follower.follow() == ["two"]


# --- links --------------------------------------------------------------------------------------------------------


def test_switched_symbolic_link_is_followed_and_the_old_targets_rest_read(tmp_path: Path) -> None:
    first, second, link = tmp_path / "a.out", tmp_path / "b.out", tmp_path / "current"
    append(first, "old")
    link.symlink_to(first)
    follower = Follower(link)
    follower.follow()
    append(first, "one")
    append(second, "two")
    link.unlink()
    link.symlink_to(second)
    assert follower.follow() == ["one", "two"]


def test_symbolic_link_switched_while_away(tmp_path: Path) -> None:
    first, second, link = tmp_path / "a.out", tmp_path / "b.out", tmp_path / "current"
    append(first, "old")
    link.symlink_to(first)
    follower = Follower(link)
    follower.follow()

    def while_away() -> None:
        append(first, "one")
        append(second, "two")
        link.unlink()
        link.symlink_to(second)

    follower.restart(before=while_away)
    assert follower.follow() == ["one", "two"]


def test_target_of_a_symbolic_link_that_is_rotated_in_its_own_folder_while_away(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    target, link = folder / "real.log", tmp_path / "proxy.log"
    append(target, "old")
    link.symlink_to(target)
    follower = Follower(link)
    follower.follow()

    def while_away() -> None:
        append(target, "one")
        rotate(target)
        append(target, "two")

    follower.restart(before=while_away)
    assert follower.follow() == ["one", "two"]


# --- a store of checkpoints that fails ----------------------------------------------------------------------------


def lines_despite_a_full_store(log: Path, follower: Follower, fails: int, change: Callable[[], object]) -> int:
    """Make a change while the store of checkpoints fails after so many calls; return the number of calls."""
    follower.memory.fails = fails
    change()
    failures = 0
    for _ in range(2):
        try:
            follower.follow()
        except StoreFull:
            failures += 1
    follower.memory.fails = None
    follower.follow()
    return failures


@pytest.mark.parametrize("fails", range(8))
@pytest.mark.parametrize("kind", ["rename", "copytruncate", "compressed"])
@pytest.mark.parametrize("restart", [False, True])
def test_checkpoints_that_fail_at_any_point_of_a_scan_lose_and_repeat_nothing(
    log: Path, follower: Follower, fails: int, kind: str, restart: bool
) -> None:
    append(log, *numbered(1, 5))
    follower.follow()

    def change() -> None:
        append(log, *numbered(6, 7))
        if kind == "copytruncate":
            copytruncate(log)
        elif kind == "rename":
            rotate(log)
            append(log, *numbered(8, 9))
            rotate(log)
        else:
            rotate(log, compress=gzip.compress, suffix=".gz")
        append(log, *numbered(10, 12))

    lines_despite_a_full_store(log, follower, fails, change)
    if restart:
        follower.restart()
    follower.follow_over_grace()
    expected = numbered(1, 7) + (numbered(8, 9) if kind == "rename" else []) + numbered(10, 12)
    assert follower.lines == expected
    assert "gone" not in follower.said


def test_checkpoints_that_are_full_when_a_file_is_closed_are_tried_again(log: Path, follower: Follower) -> None:
    append(log, "one")
    follower.follow()
    rotate(log)
    follower.follow()
    follower.memory.fails = 0
    with pytest.raises(StoreFull):
        follower.look(after_s=GRACE_S + 1)
    follower.memory.fails = None
    append(log, "two")
    assert follower.follow() == ["two"]
    assert follower.open_files == 1


@pytest.mark.parametrize("number", [1, 2])
def test_a_new_rotated_file_next_to_its_compressed_part_is_read_once(tmp_path: Path, number: int) -> None:
    rotated, log = tmp_path / "proxy.log.1", tmp_path / "proxy.log"
    append(rotated, *numbered(1, 10))
    (tmp_path / f"proxy.log.{number}.gz").write_bytes(gzip.compress(rotated.read_bytes()))
    append(log, *numbered(11, 20))
    follower = Follower(log, from_start=True)
    assert follower.follow() == numbered(1, 20)


# --- an idle log
# --------------------------------------------------------------------------------------------------------


def test_an_idle_log_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, asked = tmp_path / "proxy.log", list[FileState]()
    cut_off = is_cut_off

    def noting(reader: Reader, state: FileState) -> bool:
        asked.append(state)
        return cut_off(reader, state)

    monkeypatch.setattr(live, "is_cut_off", noting)
    append(log, "one")
    follower = Follower(log, from_start=True)
    follower.follow()
    for _ in range(3):
        follower.follow()
    assert len(asked) >= 3  # it was changed a moment ago: that may not be the last of that moment
    monkeypatch.setattr(live, "SETTLED_NS", 0)
    follower.follow()
    asked.clear()
    for _ in range(3):
        assert follower.follow() == []
    assert asked == []
    append(log, "two")
    assert follower.follow() == ["two"]
    assert len(asked) == 1


@pytest.mark.parametrize("with_its_time", [False, True])
def test_an_idle_log_that_is_rewritten_in_place_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_its_time: bool
) -> None:
    monkeypatch.setattr(live, "SETTLED_NS", 0)
    log = tmp_path / "proxy.log"
    append(log, "one")
    follower = Follower(log, from_start=True)
    assert follower.follow() == ["one"]
    follower.follow()
    before = log.stat()
    while log.stat().st_ctime_ns == before.st_ctime_ns:  # not within one tick of the file system's clock
        with log.open("r+b") as file:
            file.write(b"two\n")
        if with_its_time:
            os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert log.stat().st_size == before.st_size
    assert follower.follow() == ["two"]


def test_of_two_files_with_the_content_of_a_replaced_one_the_live_file_is_taken_for_it(
    log: Path, follower: Follower
) -> None:
    append(log, "one", "two")
    follower.follow()
    for name in ("proxy.log.1", "proxy.log.new"):
        log.with_name(name).write_bytes(log.read_bytes())
    log.with_name("proxy.log.new").replace(log)
    assert follower.follow() == []
    append(log, "three")
    assert follower.follow() == ["three"]
