"""The checkpoint of a file that replaces another one, once it is decided where the file continues."""

from __future__ import annotations

import msgspec

from otel_logtail.model import FileState
from otel_logtail.tail.fingerprint import anchor_at, head_at
from otel_logtail.tail.lines import CHUNK_BYTES
from otel_logtail.tail.reader import PlainReader, Reader
from otel_logtail.tail.resume import BLOCK_BYTES, Found, is_marked
from otel_logtail.tail.trail import Trail, first_lines, pack


def still_true(reader: Reader, trail: Trail, found: Found) -> Trail:
    """Return the trail of this file up to the place that was found: without lost lines and moved marks."""
    offset = found.offset
    marks = [mark for mark in trail.marks if is_marked(reader, mark)]
    return Trail(trail.lines[: found.lines], tuple(marks), first_lines(reader.read_at(0, min(offset, BLOCK_BYTES))))


def started_anew(state: FileState, trail: Trail, found: Found | None, *, partly: bool) -> FileState:
    """Return the checkpoint of a file that is read from its start.

    ``partly``: some of its lines may have been read. Their offsets are about those in the other file, unless lines were
    inserted before them.
    """
    doubt = trail.marks[-1][0] + CHUNK_BYTES if partly and trail.marks else 0
    doubt = max(doubt, found.doubt if found else 0)
    return msgspec.structs.replace(state, trail=b"", doubt=doubt + state.doubt)


def resumed(reader: Reader, state: FileState, trail: Trail, found: Found) -> FileState:
    """Return the checkpoint of a file that is read on where its predecessor was read up to.

    Raises:
        OSError: The file cannot be read, or was cut off meanwhile.
    """
    offset, doubt = found.offset, found.doubt + state.doubt
    return msgspec.structs.replace(
        state,
        offset=offset,
        size=max(offset, reader.size()) if isinstance(reader, PlainReader) else offset,
        head=head_at(reader, offset),
        anchor=anchor_at(reader, offset),
        trail=pack(still_true(reader, trail, found)),
        doubt=offset + doubt if doubt else 0,
    )
