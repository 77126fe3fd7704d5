"""The trail of a file: hashes of lines and places that were read. A file that changed in part is known again by it.

A trail has two parts. ``lines`` are hashes of the last lines before the position, one each, whatever their offsets:
they are found again where lines before them were removed or changed. ``marks`` are hashes of the bytes before some
offsets, ever fewer further back: they are found again where the end was lost, however much of it.

A trail is a few bytes in a checkpoint, at most about 2 KiB, and grows with the logarithm of the file's size.

Each line is hashed without its end, so that one that ends in CR LF now is still the same.
"""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec

from otel_logtail.model import FileState, Fingerprint
from otel_logtail.tail.files import ANCHOR_BYTES, Reader, fingerprint

LINES = 256
"""How many lines are known one by one."""

MARK_BYTES = 1 << 16
"""How far apart marks are at least. Behind eight times as much, they are an eighth of their distance apart."""

_BLOCK_BYTES = 1 << 20
_HEADER = struct.Struct("<HIB")
_MARK = struct.Struct("<QII")

Mark = tuple[int, int, int]
"""An offset at the end of a line, the hash of at most ``ANCHOR_BYTES`` before it, and the hash of the line."""


class Trail(msgspec.Struct, frozen=True):
    """A trail, unpacked.

    ``begin`` and ``begin_hash`` are length and hash of the first bytes, where it is another file's trail; else 0.
    ``marks`` are in ascending order.
    """

    lines: tuple[int, ...] = ()
    marks: tuple[Mark, ...] = ()
    begin: int = 0
    begin_hash: int = 0


# --- made while a file is read --------------------------------------------------------------------------------------


def extended(packed: bytes, buffer: bytearray, start: int, end: int, offset: int) -> bytes:
    """The trail behind ``buffer[start:end]``: whole lines that follow what it has now, and begin at this offset."""
    if len(packed) < _HEADER.size:
        packed = _HEADER.pack(0, 0, 0)
    first_line = _HEADER.size + packed[_HEADER.size - 1] * _MARK.size
    hashes = _last_hashes(buffer, start, end)
    lines = (packed[first_line:] + struct.pack(f"<{len(hashes)}I", *hashes))[-4 * LINES :]
    length = end - start
    if (offset + length) // MARK_BYTES == offset // MARK_BYTES:
        return packed[:first_line] + lines
    marks = _unpack_marks(packed)
    most = max(offset // MARK_BYTES, (offset + length) // MARK_BYTES - 16)
    for multiple in range(most + 1, (offset + length) // MARK_BYTES + 1):
        at = buffer.rfind(b"\n", start, start + multiple * MARK_BYTES - offset) + 1
        before = bytes(buffer[max(0, start, at - ANCHOR_BYTES) : at])
        if len(before) == ANCHOR_BYTES and (not marks or offset + at - start > marks[-1][0]):
            line = bytes(buffer[max(start, buffer.rfind(b"\n", start, at - 1) + 1) : at - 1])
            marks.append((offset + at - start, short(fingerprint(before)), hash_of(line)))
    return pack(Trail(lines=struct.unpack(f"<{len(lines) // 4}I", lines), marks=_thinned(marks)))


def up_to(reader: Reader, offset: int) -> bytes:
    """The trail of what stands before an offset, as far as its last lines tell."""
    start = max(0, offset - MARK_BYTES)
    data = bytearray(reader.read_at(start, offset - start))
    at = data.find(b"\n") + 1 if start else 0
    return extended(b"", data, at, len(data), start + at) if at < len(data) else b""


def _last_hashes(buffer: bytearray, start: int, end: int) -> list[int]:
    begin = max(start, end - _BLOCK_BYTES // 4)
    lines = bytes(memoryview(buffer)[begin:end]).rsplit(b"\n", LINES + 1)
    del lines[-1]  # behind the last newline is nothing
    if begin > start or len(lines) > LINES:
        del lines[0]
    return [hash_of(line) for line in lines]


def hash_of(line: bytes) -> int:
    """The hash of a line without its newline."""
    return crc32(line[:-1] if line.endswith(b"\r") else line)


def short(fingerprint: Fingerprint) -> int:
    """As many bytes of a fingerprint as a mark holds."""
    return int.from_bytes(fingerprint.digest[:4], "little")


def _thinned(marks: list[Mark]) -> tuple[Mark, ...]:
    kept = marks[-1:]
    for mark in marks[-2::-1]:
        distance = marks[-1][0] - mark[0]
        if kept[-1][0] - mark[0] >= max(MARK_BYTES // 2, distance // 8):
            kept.append(mark)
    return tuple(kept[::-1])


# --- kept in a checkpoint -------------------------------------------------------------------------------------------


def pack(trail: Trail) -> bytes:
    """A trail as it is kept."""
    header = _HEADER.pack(trail.begin, trail.begin_hash, len(trail.marks))
    marks = b"".join(_MARK.pack(*mark) for mark in trail.marks)
    return header + marks + struct.pack(f"<{len(trail.lines)}I", *trail.lines)


def unpack(packed: bytes) -> Trail:
    """The reverse of :func:`pack`; damaged bytes are an empty trail."""
    try:
        begin, begin_hash, number = _HEADER.unpack_from(packed)
        marks = tuple(_unpack_marks(packed))
        rest = packed[_HEADER.size + number * _MARK.size :]
        return Trail(struct.unpack(f"<{len(rest) // 4}I", rest), marks, begin, begin_hash)
    except struct.error:
        return Trail()


def _unpack_marks(packed: bytes) -> list[Mark]:
    number = packed[_HEADER.size - 1]
    return [(o, d, h) for o, d, h in _MARK.iter_unpack(packed[_HEADER.size : _HEADER.size + number * _MARK.size])]


def handed_on(state: FileState, reader: Reader | None = None, end: int = 0) -> Trail:
    """The trail of this file for the one that takes its place.

    Args:
        state: Of the file that was read.
        reader: The file as it was read, where it is still open.
        end: Of its last whole line: what is unread up to there will be read before the other file.
    """
    if not state.offset:
        return unpack(state.trail)
    trail, offset, anchor = unpack(state.trail), state.offset, state.anchor
    if reader is not None and end > offset:
        lines = unpack(up_to(reader, end)).lines
        before = reader.read_at(max(0, end - ANCHOR_BYTES), min(ANCHOR_BYTES, end))
        trail, offset, anchor = msgspec.structs.replace(trail, lines=lines), end, fingerprint(before)
    marks = (*trail.marks, (offset, short(anchor), trail.lines[-1] if trail.lines else 0))
    return Trail(trail.lines, marks[-255:], state.head.length, short(state.head))
