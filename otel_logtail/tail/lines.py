"""A file cut into chunks of whole lines, each with the state behind it. Pure but for reading the file."""

from __future__ import annotations

import msgspec

from otel_logtail.model import Chunk, FileState
from otel_logtail.tail.fingerprint import ANCHOR_BYTES, HEAD_BYTES, fingerprint
from otel_logtail.tail.reader import PlainReader, Reader, length
from otel_logtail.tail.trail import extended

CHUNK_BYTES = 1 << 20
"""How much is read at once, and the bound on a line: a longer one has no newline in so many bytes."""

SPARSE_BYTES = 4 << 20
"""How much is read at once where a log holds few samples: a transaction costs as much as many lines without one."""

_LINE_STARTS = (b"\n", b"\0")


def new_buffer() -> bytearray:
    """A buffer for chunks: one is enough for all files that are read in turn."""
    return bytearray(ANCHOR_BYTES + CHUNK_BYTES)


def read_chunk(reader: Reader, state: FileState, buffer: bytearray, most: int = CHUNK_BYTES) -> Chunk | None:
    """The next whole lines behind the state's position; None where there are none (yet), or where it is another file.

    Args:
        reader: The file.
        state: How far it was read.
        buffer: Of :func:`new_buffer`; the chunk lies in it, so it is good until the next one is read.
        most: How much to read, at least the bound on a line; the buffer grows to hold it.

    Raises:
        OSError: it can't be read.
    """
    size, want = state.size, most
    if isinstance(reader, PlainReader):
        size = reader.size()
        want = min(want, size - state.offset)
    if want <= 0:
        return None
    # the bytes before the position are read again with the next ones: if they are others now, so is the file
    back = state.anchor.length
    if len(buffer) < back + want:
        buffer.extend(bytes(ANCHOR_BYTES + most - len(buffer)))
    length = reader.read_into(memoryview(buffer)[: back + want], state.offset - back)
    if length < back or fingerprint(bytes(buffer[:back])) != state.anchor:
        return None  # the next look sorts it out
    if not state.offset and fingerprint(bytes(buffer[: min(length, state.head.length)])) != state.head:
        return None  # nothing was read of it, but its first bytes were seen
    skipping = state.offset > 0 and bytes(buffer[back - 1 : back]) not in _LINE_STARTS
    start, end, oversized = _whole_lines(buffer, back, length, skipping=skipping)
    if end == back:
        return None
    advanced = end - back
    offset = state.offset + advanced
    before = bytes(buffer[max(0, end - ANCHOR_BYTES) : end])
    head = state.head
    if head.length < HEAD_BYTES or not state.offset:
        known = min(HEAD_BYTES, offset)
        head = fingerprint(bytes(buffer[:known]) if state.offset == 0 else reader.read_at(0, known))
    base = state.offset + start - back
    trail = extended(
        state.trail if state.offset else b"", buffer, start, end, base, backlog=size - offset > CHUNK_BYTES
    )
    after = msgspec.structs.replace(state, offset=offset, size=size, head=head, anchor=fingerprint(before), trail=trail)
    return Chunk(buffer, start, end, base, after, advanced, oversized)


def _whole_lines(buffer: bytearray, begin: int, length: int, *, skipping: bool) -> tuple[int, int, int]:
    """Where the whole lines begin and end, and how many lines are skipped from here on for their length.

    A skipped part never ends with a NUL, unless there is nothing else: so what follows a NUL is the start of a line. (A
    writer that was not told of a truncation leaves a hole of NULs, however long, and its next line behind it.)
    """
    start = begin
    if skipping:
        start = buffer.find(b"\n", begin, length) + 1
        if not start:
            end = begin + len(buffer[begin:length].rstrip(b"\0"))
            return (end, end, 0) if end > begin else (length, length, 0)
    end = start
    while (newline := buffer.rfind(b"\n", end, min(end + CHUNK_BYTES, length))) >= 0:
        end = newline + 1  # where so many bytes hold none, a line begins that is longer than the bound
    if end > begin:
        return start, end, 0
    if length - begin < CHUNK_BYTES:
        return begin, begin, 0
    length = begin + CHUNK_BYTES
    data = buffer[begin:length]
    hole = len(data) - len(data.lstrip(b"\0"))
    end = begin + (hole or len(data.rstrip(b"\0")))
    return end, end, 0 if hole else 1


def end_of_lines(reader: Reader) -> int:
    """The end of the last whole line: a line that is just being written will be read as a whole."""
    size = length(reader)
    start = max(0, size - CHUNK_BYTES)
    newline = reader.read_at(start, size - start).rfind(b"\n")
    return start + newline + 1 if newline >= 0 or start == 0 else size
