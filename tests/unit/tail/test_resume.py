"""The exact offset at which a file with only marks is continued, and up to which its lines are in doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_logtail.tail import held
from otel_logtail.tail.fingerprint import ANCHOR_BYTES, anchor_at, check_begin, fingerprint, head_at
from otel_logtail.tail.reader import Reader, open_reader
from otel_logtail.tail.resume import Found, find
from otel_logtail.tail.trail import LINES, Trail, extended, hash_of, short, unpack
from tests.support.tailing import Follower, append, append_bytes, copytruncate, numbered

CONTENT = b"".join(b"%07d a line of a log that says something\n" % n for n in range(5000))
LINE = CONTENT.index(b"\n") + 1


@pytest.fixture
def trail() -> Trail:
    return unpack(extended(b"", bytearray(CONTENT), 0, len(CONTENT), 0))


def found_in(path: Path, content: bytes, trail: Trail) -> Found | None:
    path.write_bytes(content)
    reader = open_reader(str(path))
    try:
        return find(reader, trail)
    finally:
        reader.close()


@pytest.mark.parametrize("place", [-3, -5, 0])
def test_what_is_in_doubt_ends_with_the_mark_behind_the_last_one_that_is_there(
    tmp_path: Path, trail: Trail, place: int
) -> None:
    mark, following = trail.marks[place][0], trail.marks[place + 1][0]
    assert len(CONTENT) - following > LINES * LINE
    for more in (0, LINE, following - mark - LINE):
        found = found_in(tmp_path / "log", CONTENT[: mark + more], trail)
        assert found is not None
        assert (found.offset, found.doubt, found.complete) == (mark, following - mark, False)


@pytest.mark.parametrize("removed", [1, 50])
def test_it_does_so_too_where_lines_before_the_marks_were_removed(tmp_path: Path, trail: Trail, removed: int) -> None:
    mark, following = trail.marks[-4][0], trail.marks[-3][0]
    found = found_in(tmp_path / "log", CONTENT[removed * LINE : mark + 2 * LINE], trail)
    assert found is not None
    assert (found.offset, found.doubt) == (mark - removed * LINE, following - mark)


@pytest.mark.parametrize("inserted", [1, 300])
@pytest.mark.parametrize("lost", [LINES + 1, 600, 1200])
@pytest.mark.parametrize("at", [1, 1500, 2500, 3300, 3700])
def test_all_known_lines_behind_inserted_ones_are_in_doubt(
    tmp_path: Path, trail: Trail, at: int, lost: int, inserted: int
) -> None:
    new = b"".join(b"inserted %d\n" % n for n in range(inserted))
    changed = CONTENT[: at * LINE] + new + CONTENT[at * LINE : -lost * LINE]
    found = found_in(tmp_path / "log", changed, trail)
    assert found is not None
    assert (found.offset <= at * LINE, found.complete) == (True, False)
    assert len(changed) <= found.offset + found.doubt <= len(changed) + trail.marks[-1][0] - trail.marks[-2][0]


def test_the_lines_behind_the_last_known_line_are_new(tmp_path: Path, trail: Trail) -> None:
    """One line was inserted, and a few of the last ones were lost: the place is exact, and no mark is behind it."""
    known = CONTENT[: 1500 * LINE] + b"inserted\n" + CONTENT[1500 * LINE : -10 * LINE]
    found = found_in(tmp_path / "log", known + b"new\n", trail)
    assert found is not None
    assert (found.offset, found.doubt, found.complete) == (len(known), 0, False)


def test_the_position_may_be_at_a_mark(tmp_path: Path) -> None:
    content = b"".join((b"%d " % n).ljust(63, b".") + b"\n" for n in range(2048))
    trail = unpack(extended(b"", bytearray(content), 0, len(content), 0))
    trail = Trail(trail.lines, (*trail.marks, trail.marks[-1]), trail.first)  # as when another file takes the place
    assert trail.marks[-1][0] == len(content)
    found = found_in(tmp_path / "log", content[64:], trail)
    assert found is not None
    assert (found.offset, found.complete) == (len(content) - 64, True)


def test_one_marked_line_alone_may_be_anywhere(tmp_path: Path, trail: Trail) -> None:
    mark = trail.marks[0][0]
    assert found_in(tmp_path / "log", CONTENT[mark - LINE : mark] + b"another\n", trail) in (None, Found(0))


def test_all_known_lines_before_the_end_are_noted_as_read(tmp_path: Path, trail: Trail) -> None:
    """One line among the last ones was removed: no later mark is at its old offset."""
    end = (len(CONTENT), short(fingerprint(CONTENT[-ANCHOR_BYTES:])), hash_of(CONTENT[-LINE:-1]))
    trail = Trail(trail.lines, (*trail.marks, end), trail.first)  # as it is when another file takes the place
    changed = CONTENT[: 4900 * LINE] + CONTENT[4901 * LINE :]
    found = found_in(tmp_path / "log", changed, trail)
    assert found is not None
    assert (found.offset, found.complete, found.lines) == (len(changed), True, LINES)
    found = found_in(tmp_path / "log", changed[: -10 * LINE], trail)
    assert found is not None
    assert (found.offset, found.complete, found.lines) == (len(changed) - 10 * LINE, False, LINES - 10)


def test_the_doubt_of_a_file_is_an_offset_in_it(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    log.touch()
    follower = Follower(log)
    follower.follow()
    append_bytes(log, CONTENT)
    follower.follow()
    before = len(follower.taken)
    other = tmp_path / "made"
    other.write_bytes(CONTENT[: 2500 * LINE] + b"new\n")
    other.replace(log)
    for _ in range(4):
        follower.look(after_s=10.0).read()
    begin = follower.taken[before][1]
    assert 0 < begin <= 2500 * LINE
    assert max(state.doubt for state in follower.memory.states.values()) > 2500 * LINE
    assert follower.lines[-1] == "new"
    follower.close()


TRACEBACK = b"".join(b"frame %d of a traceback\n" % n for n in range(40))


@pytest.mark.parametrize("read", [b"", b"one\n", b"one\ntwo\n", b"".join(b"line %d\n" % n for n in range(300))])
@pytest.mark.parametrize("lines", [1, 2, 7, 30])
def test_a_repeated_traceback_does_not_hide_the_lines_before_it(tmp_path: Path, read: bytes, lines: int) -> None:
    """A file that was read ends with a traceback; another one has the same behind lines of its own."""
    content = read + TRACEBACK
    trail = unpack(extended(b"", bytearray(content), 0, len(content), 0))
    new = b"".join(b"new line %d\n" % n for n in range(lines)) + TRACEBACK + b"the end\n"
    found = found_in(tmp_path / "log", new, trail)
    assert found is None or (found.offset, found.complete) == (0, False)


def test_no_checkpoint_is_taken_of_a_file_that_is_cut_off_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(CONTENT)
    reader = open_reader(str(path))
    try:
        begin = reader.read_at(0, 1024)
        check_begin(reader, begin)
        assert head_at(reader, len(CONTENT)) == fingerprint(begin)
        path.write_bytes(b"another beginning " + CONTENT)
        with pytest.raises(OSError, match="rewritten"):
            check_begin(reader, begin)
        path.write_bytes(LINE * b"n")
        for taken in (head_at, anchor_at):
            with pytest.raises(OSError, match="cut off"):
                taken(reader, len(CONTENT))
    finally:
        reader.close()


def test_a_file_that_is_rewritten_while_it_is_compared_is_compared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first lines were removed while the program was stopped; then the log is copied and truncated."""
    log = tmp_path / "proxy.log"
    append(log, *numbered(1, 300))
    follower = Follower(log, from_start=True)
    follower.follow()
    lines = log.read_bytes().splitlines(keepends=True)
    follower.restart(before=lambda: log.write_bytes(b"".join(lines[14:])))

    def rewritten(reader: Reader, trail: Trail) -> Found | None:
        monkeypatch.setattr(held, "find", find)
        copytruncate(log)
        append(log, *numbered(301, 303))
        return find(reader, trail)

    monkeypatch.setattr(held, "find", rewritten)
    for _ in range(3):
        follower.follow()
    assert follower.lines == numbered(1, 303)


@pytest.mark.parametrize("pieces", [2, 3])
def test_a_file_that_is_empty_at_the_first_scan_is_read_once_it_is_complete(tmp_path: Path, pieces: int) -> None:
    """The program starts while ``tail -n 7 log > t; cat t > log`` runs."""
    log = tmp_path / "proxy.log"
    append(log, *"12345678")
    follower = Follower(log, from_start=True)
    follower.follow()
    rest = log.read_bytes()[2:]
    log.write_bytes(b"")
    follower.restart()
    each = -(-len(rest) // pieces)
    for at in range(0, len(rest), each):
        follower.look([log]).read()
        append_bytes(log, rest[at : at + each])
    follower.follow_over_grace()
    assert follower.lines == [*"12345678"]
