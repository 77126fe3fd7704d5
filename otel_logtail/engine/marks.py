"""Marks in a chunk: the lines that hold what the observer looks for in them. Pure.

They are searched for apart from the samples, since they rarely hold the observer's marker. A line that a container
runtime cut into parts is never a mark: a client could choose where its last part begins.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from otel_logtail.engine.checks import LATEST_NS
from otel_logtail.engine.framing import NONE, Framing, may_be_wrapped
from otel_logtail.engine.lines import find_lines
from otel_logtail.engine.scan import IMPOSSIBLE
from otel_logtail.model import Mark, Tally
from otel_logtail.observer import Frame, Observer
from otel_logtail.text import brief, is_text

FindMark = Callable[[bytes, "Frame | None"], "Mark | None"]


class FoundMarks(msgspec.Struct, frozen=True):
    """The marks of a chunk in file order.

    ``rejected`` is the number of those that cannot be true, ``drift`` that of the lines at which the observer failed;
    ``drifted`` is the first of these, as (offset, why).
    """

    marks: tuple[Mark, ...] = ()
    rejected: int = 0
    drift: int = 0
    drifted: tuple[int, str] | None = None

    def counted_in(self, tally: Tally) -> Tally:
        """Return the counters of a chunk together with those of its marks."""
        rejected = tally.rejected
        if self.rejected:
            rejected = {**rejected, IMPOSSIBLE: rejected.get(IMPOSSIBLE, 0) + self.rejected}
        return msgspec.structs.replace(tally, drift=tally.drift + self.drift, rejected=rejected)


NO_MARKS = FoundMarks()


class MarkFinder:
    """Finds the marks of one observer. A plug-in need not inherit the members of :class:`Observer` for them."""

    def __init__(self, observer: Observer, mode: str) -> None:
        needle: bytes = getattr(observer, "mark_needle", b"")
        self._framing = Framing(mode, needle)
        self._find: FindMark | None = getattr(observer, "find_mark", None) if needle else None

    def find(self, buffer: bytes | bytearray, start: int, end: int, base: int) -> FoundMarks:
        """Return the marks of whole lines; ``base`` is the offset of the byte at ``start``."""
        if self._find is None:
            return NO_MARKS
        offsets, lines, _ = find_lines(buffer, self._framing.needle, start, end, base)
        return self._read(offsets, lines, self._find) if lines else NO_MARKS

    def _read(self, offsets: list[int], lines: list[bytes], find: FindMark) -> FoundMarks:
        marks: list[Mark] = []
        rejected = drift = 0
        drifted: tuple[int, str] | None = None
        for offset, line in zip(offsets, lines, strict=True):
            try:
                mark = self._mark_in(line, find)
            except Exception as problem:  # noqa: BLE001 - a plug-in's bug on one line is counted, and reading continues
                drift += 1
                drifted = drifted or (offset, str(problem) or type(problem).__name__)
                continue
            if mark is None:
                continue
            if 0 <= mark.time_ns <= LATEST_NS:
                marks.append(Mark(mark.time_ns, brief(mark.text)))
            else:
                rejected += 1
        return FoundMarks(tuple(marks), rejected, drift, drifted)

    def _mark_in(self, line: bytes, find: FindMark) -> Mark | None:
        text, frame = line, None
        if self._framing.mode != NONE and may_be_wrapped(line):
            wrapped = self._framing.unwrap(line)
            if wrapped is not None:
                if wrapped.is_part:
                    return None
                text, frame = wrapped.text, wrapped.frame
        if self._framing.marker not in text:
            return None
        mark = find(text, frame)
        if mark is None or (type(mark) is Mark and type(mark.time_ns) is int and is_text(mark.text)):
            return mark
        raise TypeError(f"the observer answered {mark!r}")
