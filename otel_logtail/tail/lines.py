"""Cuts a file into chunks of whole lines, each with the checkpoint behind it."""

from __future__ import annotations

import msgspec

from otel_logtail.model import Chunk, FileState, Fingerprint
from otel_logtail.tail.fingerprint import ANCHOR_BYTES, HEAD_BYTES, begins, fingerprint, head_at
from otel_logtail.tail.reader import PlainReader, Reader, length
from otel_logtail.tail.trail import extended

CHUNK_BYTES = 1 << 20
"""How many bytes are read at once, and the limit on the length of a line."""

SPARSE_BYTES = 4 << 20
"""How many bytes are read at once in a log with few samples: a transaction costs as much as many lines without one."""

_LINE_STARTS = (b"\n", b"\0")


def new_buffer() -> bytearray:
    """Return a buffer for chunks. One is enough for all files that one thread reads."""
    return bytearray(ANCHOR_BYTES + CHUNK_BYTES)


def read_chunk(reader: Reader, state: FileState, buffer: bytearray, most: int = CHUNK_BYTES) -> Chunk | None:
    """Return the next whole lines behind the position; None if there are none yet, or if the file was changed.

    Args:
        reader: The file.
        state: Its checkpoint.
        buffer: From :func:`new_buffer`. The chunk is in it until the next one is read.
        most: How many bytes to read, at least the limit on a line; the buffer grows to hold them.

    Raises:
        OSError: The file cannot be read.
    """
    size, want = state.size, most
    if isinstance(reader, PlainReader):
        size = reader.size()
        want = min(want, size - state.offset)
    if want <= 0:
        return None
    # the bytes before the position are read again with the next ones: if they have changed, it is another file
    back = state.anchor.length
    if len(buffer) < back + want:
        buffer.extend(bytes(ANCHOR_BYTES + most - len(buffer)))
    length = reader.read_into(memoryview(buffer)[: back + want], state.offset - back)
    if length < back or fingerprint(bytes(buffer[:back])) != state.anchor:
        return None  # the next scan finds out why
    if not state.offset and fingerprint(bytes(buffer[: min(length, state.head.length)])) != state.head:
        return None  # no line was read, but the first bytes are known
    skipping = state.offset > 0 and bytes(buffer[back - 1 : back]) not in _LINE_STARTS
    start, end, oversized = _whole_lines(buffer, back, length, skipping=skipping)
    if end == back:
        return None
    advanced = end - back
    offset = state.offset + advanced
    before = bytes(buffer[max(0, end - ANCHOR_BYTES) : end])
    head = _head(reader, state, buffer, offset)
    if head is None:
        return None
    base = state.offset + start - back
    trail = extended(
        state.trail if state.offset else b"", buffer, start, end, base, backlog=size - offset > CHUNK_BYTES
    )
    after = msgspec.structs.replace(state, offset=offset, size=size, head=head, anchor=fingerprint(before), trail=trail)
    return Chunk(buffer, start, end, base, after, advanced, oversized)


def _head(reader: Reader, state: FileState, buffer: bytearray, offset: int) -> Fingerprint | None:
    """Return the head of a file that is read up to here now; None if it was rewritten after that."""
    if not state.offset:
        return fingerprint(bytes(buffer[: min(HEAD_BYTES, offset)]))
    if state.head.length == HEAD_BYTES:
        return state.head
    head = head_at(reader, offset)
    return head if begins(reader, state) else None


def _whole_lines(buffer: bytearray, begin: int, length: int, *, skipping: bool) -> tuple[int, int, int]:
    """Return where the whole lines begin and end, and how many lines begin here that are skipped for their length.

    A skipped part never ends with a NUL, unless it holds only NULs. So a line starts behind a NUL: a writer that does
    not notice a truncation leaves a hole of NULs, of any length, and its next line behind it.
    """
    start = begin
    if skipping:
        start = buffer.find(b"\n", begin, length) + 1
        if not start:
            end = begin + len(buffer[begin:length].rstrip(b"\0"))
            return (end, end, 0) if end > begin else (length, length, 0)
    end = start
    while (newline := buffer.rfind(b"\n", end, min(end + CHUNK_BYTES, length))) >= 0:
        end = newline + 1  # no newline in so many bytes: a line begins that is longer than the limit
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
    """Return the end of the last whole line: a line that is being written is read once it is complete."""
    size = length(reader)
    start = max(0, size - CHUNK_BYTES)
    newline = reader.read_at(start, size - start).rfind(b"\n")
    return start + newline + 1 if newline >= 0 or start == 0 else size
