"""The trail of a file: hashes of lines and places that were read. It finds the position in a file that changed in part.

``lines`` are hashes of the last lines before the position. They do not depend on offsets, so they match if earlier
lines were removed or changed. ``marks`` are hashes of the bytes before some offsets, fewer further back. They match if
the end was lost, however much of it.

A trail is part of a checkpoint. It is at most about 2 KiB long and grows with the logarithm of the file's size.

Lines are hashed without their line ends and NULs before them, so a line that ends in CR LF now is still the same.
"""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec

from otel_logtail.model import FileState, Fingerprint
from otel_logtail.tail.fingerprint import ANCHOR_BYTES, fingerprint
from otel_logtail.tail.reader import Reader

LINES = 256
"""How many of the last lines are hashed."""

FEW_LINES = 16
"""How many of them are hashed while a backlog is read."""

FIRST_LINES = 8
"""How many of the first lines are hashed: they recognize a file that is being rewritten."""

MARK_BYTES = 1 << 14
"""The least distance between marks. Further back, the distance is a sixteenth of that to the end."""

_MARKS_AT_ONCE = 16
_MOST_MARKS = 255
_END_BYTES = 1 << 16
_LINE_BYTES = 1 << 10
_HEADER = struct.Struct("<BB")
_MARK = struct.Struct("<QII")

Mark = tuple[int, int, int]
"""An offset at the end of a line, the hash of at most ``ANCHOR_BYTES`` before it, and the hash of the line."""


class Trail(msgspec.Struct, frozen=True):
    """A trail, unpacked.

    ``first`` and ``lines`` are hashes of the first and the last lines, ``marks`` are in ascending order.
    """

    lines: tuple[int, ...] = ()
    marks: tuple[Mark, ...] = ()
    first: tuple[int, ...] = ()


# --- made while a file is read --------------------------------------------------------------------------------------


def extended(packed: bytes, buffer: bytearray, start: int, end: int, offset: int, *, backlog: bool = False) -> bytes:
    """Return the trail behind ``buffer[start:end]``: whole lines at this offset, which follow those of the trail.

    While a ``backlog`` is read, the trail is kept short: most of it would be replaced by the next chunk.
    """
    if len(packed) < _HEADER.size:
        packed = _HEADER.pack(0, 0)
    number, firsts = _HEADER.unpack_from(packed)
    hashes = _last_hashes(buffer, start, end, FEW_LINES if backlog else LINES)
    behind = _HEADER.size + 4 * firsts + _MARK.size * number
    lines = struct.pack(f"<{len(hashes)}I", *hashes)
    if not backlog:
        lines = (packed[behind:] + lines)[-4 * LINES :]
    whole = offset == 0 or 0 < firsts < FIRST_LINES
    marks = _marks(buffer, start, end, offset, max(MARK_BYTES, end - start if backlog else 0))
    if not whole and (not marks or (backlog and number < _MOST_MARKS)):  # the usual case while a log is followed
        header = _HEADER.pack(number + len(marks), firsts)
        return header + packed[_HEADER.size : behind] + b"".join(_MARK.pack(*mark) for mark in marks) + lines
    trail = unpack(packed) if number or firsts else Trail()
    first = trail.first
    if whole:
        first = (*first, *first_lines(bytes(memoryview(buffer)[start : min(end, start + _END_BYTES)])))[:FIRST_LINES]
    marks = _thinned([*trail.marks, *marks])
    return pack(Trail(struct.unpack(f"<{len(lines) // 4}I", lines), tuple(marks), first))


def up_to(reader: Reader, offset: int) -> bytes:
    """Return the trail of the bytes before an offset: the last lines and the first ones."""
    start = max(0, offset - _END_BYTES)
    data = bytearray(reader.read_at(start, offset - start))
    at = data.find(b"\n") + 1 if start else 0
    if at == len(data):
        return b""
    trail = unpack(extended(b"", data, at, len(data), start + at))
    return pack(msgspec.structs.replace(trail, first=first_lines(reader.read_at(0, min(offset, _END_BYTES)))))


def first_lines(data: bytes) -> tuple[int, ...]:
    """Return the hashes of the first lines of a file that begins with these bytes, without empty lines."""
    lines = data.split(b"\n", FIRST_LINES)[:-1]
    return tuple(hash_of(line) for line in lines if line.strip())


def _marks(buffer: bytearray, start: int, end: int, offset: int, apart: int) -> list[Mark]:
    """Return the marks near the end of this part, at this distance."""
    marks = []
    first = max(offset // apart + 1, (offset + end - start) // apart - _MARKS_AT_ONCE)
    for multiple in range(first, (offset + end - start) // apart + 1):
        at = buffer.rfind(b"\n", start, start + multiple * apart - offset) + 1
        if at - start >= ANCHOR_BYTES:
            before = fingerprint(bytes(buffer[at - ANCHOR_BYTES : at]))
            line = buffer[buffer.rfind(b"\n", start, at - 1) + 1 or start : at - 1]
            marks.append((offset + at - start, short(before), hash_of(line)))
    return marks


def _last_hashes(buffer: bytearray, start: int, end: int, most: int) -> list[int]:
    begin = max(start, end - most * _LINE_BYTES)
    lines = bytes(memoryview(buffer)[begin:end]).rsplit(b"\n", most + 1)
    del lines[-1]  # nothing follows the last newline
    if begin > start or len(lines) > most:
        del lines[0]
    return [hash_of(line) for line in lines]


def hash_of(line: bytes | bytearray) -> int:
    """Return the hash of a line without its newline. NULs before it do not count: reading may continue behind them."""
    line = line[:-1] if line.endswith(b"\r") else line
    return crc32(line.lstrip(b"\0") if line.startswith(b"\0") else line)


def short(fingerprint: Fingerprint) -> int:
    """Return the part of a fingerprint that a mark holds."""
    return int.from_bytes(fingerprint.digest[:4], "little")


def _thinned(marks: list[Mark]) -> list[Mark]:
    kept = marks[-1:]
    for mark in marks[-2::-1]:
        if kept[-1][0] - mark[0] >= max(MARK_BYTES // 2, (marks[-1][0] - mark[0]) // 16):
            kept.append(mark)
    return kept[:_MOST_MARKS][::-1]


# --- kept in a checkpoint -------------------------------------------------------------------------------------------


def pack(trail: Trail) -> bytes:
    """Return a trail as bytes."""
    hashes = struct.pack(f"<{len(trail.first)}I", *trail.first), struct.pack(f"<{len(trail.lines)}I", *trail.lines)
    marks = b"".join(_MARK.pack(*mark) for mark in trail.marks)
    return _HEADER.pack(len(trail.marks), len(trail.first)) + hashes[0] + marks + hashes[1]


def unpack(packed: bytes) -> Trail:
    """Return the trail of these bytes; an empty one if they are damaged."""
    try:
        number, firsts = _HEADER.unpack_from(packed)
        first = struct.unpack_from(f"<{firsts}I", packed, _HEADER.size)
        at = _HEADER.size + 4 * firsts
        behind = at + number * _MARK.size
        marks = tuple((offset, before, line) for offset, before, line in _MARK.iter_unpack(packed[at:behind]))
        return Trail(struct.unpack(f"<{(len(packed) - behind) // 4}I", packed[behind:]), marks, first)
    except struct.error:
        return Trail()


def handed_on(state: FileState, reader: Reader | None = None, end: int = 0) -> Trail:
    """Return the trail of a file for the one that replaces it.

    Args:
        state: The checkpoint of the replaced file.
        reader: The replaced file, if it is still open.
        end: The end of its last whole line: unread lines up to there are read before the other file.
    """
    if not state.offset:
        return unpack(state.trail)
    trail, offset, anchor = unpack(state.trail), state.offset, state.anchor
    if reader is not None and end > offset:
        lines = unpack(up_to(reader, end)).lines
        before = reader.read_at(max(0, end - ANCHOR_BYTES), min(ANCHOR_BYTES, end))
        trail, offset, anchor = msgspec.structs.replace(trail, lines=lines), end, fingerprint(before)
    marks = (*trail.marks, (offset, short(anchor), trail.lines[-1])) if trail.lines else trail.marks
    return Trail(trail.lines, marks[-_MOST_MARKS:], trail.first)
