"""A chunk becomes the lines that hold the observer's marker, without their wrappers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, compress

import msgspec

from otel_logtail import native
from otel_logtail.engine.framing import NONE, Framing, may_be_wrapped
from otel_logtail.engine.joiner import Joiner, line_of
from otel_logtail.observer import Frame

_hot = native.module("engine._hot")
_BOM = b"\xef\xbb\xbf"
_ODD = frozenset((b"\0", b"\xef"))


class Lines(msgspec.Struct, frozen=True):
    """Lines in the order of their offsets.

    ``texts`` are without wrappers, ``raws`` with them. ``frames`` has the stamp of each wrapper (None: that line has no
    wrapper); it is None as a whole if no line has one. ``last`` has the offset of the last part of each joined line.
    """

    offsets: list[int]
    texts: list[bytes]
    raws: list[bytes]
    frames: Sequence[Frame | None] | None = None
    last: Mapping[int, int] = {}


def read_lines(buffer: bytes | bytearray, start: int, end: int, base: int, joiner: Joiner) -> Lines:
    """Return the lines of a chunk that hold the marker.

    Only lines in wrappers cost more than the search for the marker. A runtime wraps every line of a file: if the first
    line, the last one and those with the marker have no wrapper, no line does.

    Args:
        buffer: Whole lines.
        start: The start of the lines in the buffer.
        end: The end of the lines in the buffer.
        base: The offset of the byte at ``start``.
        joiner: The unfinished lines before these; afterwards, those behind them.
    """
    framing = joiner.framing
    marker = framing.marker
    offsets, lines, may_be = find_lines(buffer, framing.needle, start, end, base)
    # a client that can write a line of its own may begin one that never ends: the others stay fast
    is_continued = joiner.is_waiting and framing.has_streams(buffer, start, end)
    if framing.mode == NONE or not (may_be or is_continued or _are_ends_wrapped(buffer, start, end)):
        return _plain(offsets, lines, framing)
    if is_continued or framing.has_parts(buffer, start, end):
        offsets, lines, _ = find_lines(buffer, b"", start, end, base)
        found = joiner.join(offsets, lines)
    else:
        wrapped = [framing.unwrap(raw) if may_be_wrapped(raw) else None for raw in lines]
        if not any(wrapped):
            return _plain(offsets, lines, framing)
        found = list(map(line_of, offsets, lines, wrapped))
    if marker:
        found = [line for line in found if marker in line.text]
    return Lines(
        [line.offset for line in found],
        [line.text for line in found],
        [line.raw for line in found],
        [line.frame for line in found],
        {line.offset: line.last for line in found if line.last},
    )


def _plain(offsets: list[int], lines: list[bytes], framing: Framing) -> Lines:
    """Return lines without a wrapper that hold the marker."""
    if framing.needle != framing.marker:
        held = [framing.marker in line for line in lines]
        offsets, lines = list(compress(offsets, held)), list(compress(lines, held))
    return Lines(offsets, lines, lines)


@native.twin(_hot, declines=False)
def find_lines(
    buffer: bytes | bytearray, marker: bytes, begin: int, end: int, base: int
) -> tuple[list[int], list[bytes], bool]:
    """Return the offsets and the texts of the lines that hold the marker (with an empty marker: of all lines).

    The third result is whether one of them may have a wrapper (:func:`framing.may_be_wrapped`).

    NULs that a stale writer left after a truncation, a byte order mark and a carriage return are removed. ``base`` is
    the offset of the byte at ``begin``.
    """
    view = memoryview(buffer)
    if not marker or buffer.count(marker, begin, min(end, begin + _PROBE)) * _DENSE > min(end - begin, _PROBE):
        lines = bytes(view[begin:end]).split(b"\n")
        starts = list(accumulate([len(line) + 1 for line in lines], initial=base))
        del lines[-1], starts[-2:]  # the rest after the last newline is not a line
        found = [marker in line for line in lines]
        if not all(found):
            lines, starts = list(compress(lines, found)), list(compress(starts, found))
    else:
        lines, starts = [], []
        find, rfind = buffer.find, buffer.rfind
        position = begin
        while (at := find(marker, position, end)) >= 0:
            start = rfind(b"\n", position, at) + 1 or position
            stop = find(b"\n", at, end)
            position = stop + 1
            starts.append(base + start - begin)
            lines.append(bytes(view[start:stop]))
    first = {line[:1] for line in lines}
    if not _ODD.isdisjoint(first) or b"\r" in {line[-1:] for line in lines}:
        lines = [line.lstrip(b"\0").removeprefix(_BOM).removesuffix(b"\r") for line in lines]
        first = {line[:1] for line in lines}
    return starts, lines, _may_any_be_wrapped(lines, first)


_PROBE = 1 << 16
_DENSE = 2000
"""If there is a marker per this many bytes, splitting all lines is cheaper than finding each."""


def _may_any_be_wrapped(lines: list[bytes], first: set[bytes]) -> bool:
    """Return whether :func:`may_be_wrapped` is true of a line; ``first`` has their first bytes.

    It mostly takes three bytes of each line.
    """
    if first.isdisjoint((b"<", b"{")):
        pairs = {line[9:11] for line in lines}
        if not any(pair.startswith(b":") or pair[1:] == b"T" for pair in pairs):
            return False
    return any(map(may_be_wrapped, lines))


def _are_ends_wrapped(buffer: bytes | bytearray, start: int, end: int) -> bool:
    """Return whether the first or the last line may have a wrapper."""
    last = buffer.rfind(b"\n", start, max(start, end - 1)) + 1 or start
    return any(may_be_wrapped(bytes(buffer[begin : min(begin + _BEGIN, end)])) for begin in (start, last))


_BEGIN = 16
"""As many bytes of a line show whether it may have a wrapper."""
