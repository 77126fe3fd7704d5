"""A file cut into chunks of whole lines, each with the state behind it. Pure but for reading the file."""

from __future__ import annotations

import msgspec

from otel_logtail.files import ANCHOR_BYTES, HEAD_BYTES, PlainReader, Reader, fingerprint, length
from otel_logtail.model import FileState

CHUNK_BYTES = 1 << 20
"""How much is read at once, and the bound on a line: a longer one has no newline in a whole chunk."""

_LINE_STARTS = (b"\n", b"\0")


class Chunk(msgspec.Struct, frozen=True):
    """Whole lines of one file, at their absolute offset, and the file's state behind them.

    ``advanced`` counts all bytes that the position moves by, skipped ones too; ``oversized`` the lines that began to be
    skipped here.
    """

    data: bytes
    base: int
    after: FileState
    advanced: int
    oversized: int = 0


def read_chunk(reader: Reader, state: FileState) -> Chunk | None:
    """The next whole lines behind the state's position; None where there are none (yet), or where it is another file.

    Raises:
        OSError: it can't be read.
    """
    size, want = state.size, CHUNK_BYTES
    if isinstance(reader, PlainReader):
        size = reader.size()
        want = min(want, size - state.offset)
    if want <= 0:
        return None
    # the bytes before the position are read again with the next ones: if they are others now, so is the file
    back = state.anchor.length
    raw = reader.read_at(state.offset - back, back + want)
    if fingerprint(raw[:back]) != state.anchor:
        return None  # the next look sorts it out
    data = raw[back:]
    start, end, oversized = _whole_lines(data, skipping=state.offset > 0 and raw[back - 1 : back] not in _LINE_STARTS)
    if not end:
        return None
    offset, stop = state.offset + end, back + end
    before = raw[max(0, stop - ANCHOR_BYTES) : stop]
    head = state.head
    if head.length < HEAD_BYTES or not state.offset:
        known = min(HEAD_BYTES, offset)
        head = fingerprint(raw[:known] if state.offset == 0 else reader.read_at(0, known))
    after = msgspec.structs.replace(state, offset=offset, size=size, head=head, anchor=fingerprint(before))
    return Chunk(data[start:end], state.offset + start, after, end, oversized)


def _whole_lines(data: bytes, *, skipping: bool) -> tuple[int, int, int]:
    """Where the whole lines begin and end, and how many lines are skipped from here on for their length.

    A skipped part never ends with a NUL, unless there is nothing else: so what follows a NUL is the start of a line. (A
    writer that was not told of a truncation leaves a hole of NULs, however long, and its next line behind it.)
    """
    start = (data.find(b"\n") + 1) if skipping else 0
    if skipping and not start:
        return (end := len(data.rstrip(b"\0")) or len(data)), end, 0
    end = data.rfind(b"\n") + 1
    if end or len(data) < CHUNK_BYTES:
        return start, end, 0
    hole = len(data) - len(data.lstrip(b"\0"))
    end = hole or len(data.rstrip(b"\0"))
    return end, end, 0 if hole else 1


def end_of_lines(reader: Reader) -> int:
    """The end of the last whole line: a line that is just being written will be read as a whole."""
    size = length(reader)
    start = max(0, size - CHUNK_BYTES)
    newline = reader.read_at(start, size - start).rfind(b"\n")
    return start + newline + 1 if newline >= 0 or start == 0 else size
