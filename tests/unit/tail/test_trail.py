"""The lines in a checkpoint: packed and unpacked, bounded, independent of how they were read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.tail.reader import open_reader
from otel_logtail.tail.trail import FIRST_LINES, LINES, Trail, extended, first_lines, hash_of, pack, unpack, up_to

HASHES = st.lists(st.integers(0, 2**32 - 1), max_size=300).map(tuple)
MARKS = st.lists(
    st.tuples(st.integers(0, 2**63), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=255
).map(tuple)


@given(HASHES, MARKS, st.lists(st.integers(0, 2**32 - 1), max_size=8).map(tuple))
def test_packed_trail_is_unpacked(
    lines: tuple[int, ...], marks: tuple[tuple[int, int, int], ...], first: tuple[int, ...]
) -> None:
    trail = Trail(lines, marks, first)
    assert unpack(pack(trail)) == trail


@given(st.binary(max_size=200))
def test_a_damaged_trail_has_other_lines_or_none(packed: bytes) -> None:
    assert isinstance(unpack(packed), Trail)
    data = bytearray(b"a line\n")
    assert unpack(extended(packed[:1], data, 0, len(data), 0)).lines[-1:] == (hash_of(b"a line"),)


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=400), st.data())
def test_trail_is_the_same_in_however_many_parts_a_file_is_read(lines: list[bytes], data: st.DataObject) -> None:
    content = bytearray(b"".join(line + b"\n" for line in lines))
    packed, offset = b"", 0
    while offset < len(content):
        end = content.index(b"\n", data.draw(st.integers(offset, len(content) - 1))) + 1
        packed = extended(packed, content, offset, end, offset)
        offset = end
    assert unpack(packed).lines == tuple(hash_of(line) for line in lines[-LINES:])
    if len(lines) >= FIRST_LINES and all(line.strip() for line in lines):
        assert unpack(packed).first == first_lines(bytes(content))


@pytest.mark.parametrize("backlog", [False, True])
def test_trail_of_a_huge_file_is_small(backlog: bool) -> None:
    part = bytearray(b"".join(b"%07d a line of a log that says something\n" % n for n in range(20_000)))
    packed, offset = b"", 0
    for _ in range(3000):
        packed = extended(packed, part, 0, len(part), offset, backlog=backlog)
        offset += len(part)
    assert offset > 2 << 30
    packed = extended(packed, part, 0, len(part), offset)
    assert len(packed) < 4000
    marks = [mark[0] for mark in unpack(packed).marks]
    assert marks == sorted(set(marks))
    assert len(marks) > 20


def test_a_trail_up_to_an_offset_has_the_lines_before_it(tmp_path: Path) -> None:
    lines = [b"%05d a line of a log" % n for n in range(5000)]
    path = tmp_path / "log"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    reader = open_reader(str(path))
    trail = unpack(up_to(reader, 4000 * len(lines[0] + b"\n")))
    assert trail.lines == tuple(hash_of(line) for line in lines[4000 - LINES : 4000])
    assert trail.first == tuple(hash_of(line) for line in lines[:FIRST_LINES])
    assert up_to(reader, 0) == b""
    reader.close()


def test_line_that_ends_in_cr_lf_is_the_same_line() -> None:
    assert hash_of(b"line\r") == hash_of(b"line") != hash_of(b"line ")
