"""Joins the parts of lines that a container runtime cut. Pure.

A runtime cuts a line of more than 16 KiB, and the line that a rotation of the file interrupts. The parts that were read
wait in the checkpoint (:attr:`FileState.parts`), in the transaction of the position behind them. So the joined lines
depend on the log alone: not on the chunks, restarts or the file that holds the last part.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from otel_logtail.engine.framing import Framing, Wrapped
from otel_logtail.errors import StoreCorrupt
from otel_logtail.observer import Frame

LINE_BYTES = 1 << 20
"""The limit on the length of a line, with the wrappers of its parts. The tail has the same limit."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line as an observer gets it: at the offset of its first part, without its wrapper (None: it has none).

    ``raw`` is the line with its wrappers, ``last`` the offset of the last part of several; 0: it is not cut.
    """

    offset: int
    raw: bytes
    text: bytes
    frame: Frame | None = None
    last: int = 0


class _Unfinished(msgspec.Struct, array_like=True, gc=False):
    """The parts of a line that were read, as they are in the log.

    ``offset`` is that of the first one; -1: it is in the file that was rotated before. ``size`` is the length of all.
    A line that exceeded the limit keeps no parts, and ends unread.
    """

    offset: int
    size: int
    parts: list[bytes]


class Joiner:
    """The unfinished lines of one file: at most one for each stream of the container.

    ``oversized`` is the number of lines that exceeded the limit here.
    """

    def __init__(self, framing: Framing, parts: bytes = b"", *, is_new_file: bool = False) -> None:
        """``is_new_file``: the unfinished lines began in the file before this one.

        Raises:
            StoreCorrupt: the unfinished lines cannot be read.
        """
        self.framing = framing
        self._unfinished = _decoded(parts) if parts else {}
        self.oversized = 0
        if is_new_file:
            for unfinished in self._unfinished.values():
                unfinished.offset = -1

    @property
    def is_waiting(self) -> bool:
        """True if a line is unfinished."""
        return bool(self._unfinished)

    @property
    def parts(self) -> bytes:
        """The unfinished lines, for the checkpoint."""
        return _encode(self._unfinished) if self._unfinished else b""

    def join(self, offsets: Iterable[int], lines: Iterable[bytes]) -> list[Line]:
        """Return the lines that end here, by their offset."""
        found = []
        for offset, raw in zip(offsets, lines, strict=True):
            wrapped = self.framing.container(raw)
            if wrapped is None:
                found.append(line_of(offset, raw, self.framing.unwrap(raw)))
            elif wrapped.is_part or wrapped.stream.decode() in self._unfinished:
                line = self._take(offset, raw, wrapped)
                if line is not None:
                    found.append(line)
            else:
                found.append(line_of(offset, raw, self.framing.within(wrapped)))
        found.sort(key=lambda line: line.offset)
        return found

    def _take(self, offset: int, raw: bytes, wrapped: Wrapped) -> Line | None:
        """Add a part; return the line if it is the last one."""
        stream = wrapped.stream.decode()
        unfinished = self._unfinished.setdefault(stream, _Unfinished(offset, 0, []))
        if unfinished.offset < 0:
            unfinished.offset = offset
        is_oversized = unfinished.size > LINE_BYTES
        unfinished.size += len(raw)
        if unfinished.size > LINE_BYTES:
            unfinished.parts.clear()
            self.oversized += not is_oversized
        else:
            unfinished.parts.append(raw)
        if wrapped.is_part:
            return None
        del self._unfinished[stream]
        if not unfinished.parts:
            return None
        return msgspec.structs.replace(self._joined(unfinished, wrapped), last=offset)

    def _joined(self, unfinished: _Unfinished, last: Wrapped) -> Line:
        each = map(self.framing.container, unfinished.parts)
        text = b"".join(one.text for one in each if one is not None)
        whole = self.framing.within(msgspec.structs.replace(last, text=text))
        return line_of(unfinished.offset, b"\n".join(unfinished.parts), whole)


def line_of(offset: int, raw: bytes, wrapped: Wrapped | None) -> Line:
    """Return a complete line."""
    return Line(offset, raw, raw) if wrapped is None else Line(offset, raw, wrapped.text, wrapped.frame)


def _decoded(parts: bytes) -> dict[str, _Unfinished]:
    try:
        return _decode(parts)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise StoreCorrupt(f"the store is damaged: the unfinished lines of a file: {problem}") from None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, _Unfinished]).decode
