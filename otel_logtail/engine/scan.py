"""A chunk of bytes through an observer: the lines with its marker become samples. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from otel_logtail.counts import SampleKey, sample_key
from otel_logtail.engine.checks import are_possible, is_ordinary, is_possible, wrong_in
from otel_logtail.engine.columns import extend, select
from otel_logtail.engine.framing import AUTO, Framing
from otel_logtail.engine.hits import Thresholds, hits_at, hits_of
from otel_logtail.engine.joiner import Joiner
from otel_logtail.engine.lines import Lines, read_lines
from otel_logtail.errors import Drift
from otel_logtail.model import (
    Columns,
    Hits,
    Observed,
    Rejected,
    Sample,
    Samples,
    Tally,
)
from otel_logtail.observer import Frame, Observer


class Scanned(msgspec.Struct, frozen=True):
    """The samples of a chunk.

    ``hits`` are the samples that are not ok; ``drifted`` is the first line that drifted, as (offset, why). ``last`` has
    the offset of the last part of each joined line.
    """

    samples: Samples
    hits: Hits
    tally: Tally
    drifted: tuple[int, str] | None = None
    last: Mapping[int, int] = {}

    def in_order(self) -> tuple[list[int], Hits, list[int]]:
        """Return when lines were written, the hits, and the places of the hits among the lines, as the lines end.

        Another stream may have written lines between the parts of one. In the order of their first parts, episodes
        would depend on the chunk that has the last part.
        """
        offsets, logged_ns, hits = self.samples.offsets, self.samples.logged_ns, self.hits
        if not self.last:
            return logged_ns, hits, hits.places
        order = sorted(range(len(offsets)), key=lambda index: self.last.get(offsets[index], offsets[index]))
        line_of = {index: at for at, index in enumerate(order)}
        ordered = hits_at(hits, sorted(range(len(hits)), key=lambda hit: line_of[hits.places[hit]]))
        return [logged_ns[index] for index in order], ordered, [line_of[place] for place in ordered.places]


def without(scanned: Scanned, stored: Mapping[SampleKey, int], doubt: int) -> Scanned:
    """Leave out the samples that the store already has, each as often as it has it.

    Args:
        scanned: The samples of a chunk.
        stored: The samples of the store, with the number of each.
        doubt: The store can only have samples of lines before this offset.
    """
    left, samples = dict(stored), scanned.samples
    keep: list[int] = []
    for index, offset in enumerate(samples.offsets):
        key = sample_key(samples.time_ns[index], samples.duration_ns[index], samples.stage_ns[index])
        if offset < doubt and left.get(key):
            left[key] -= 1
        else:
            keep.append(index)
    place, hits = {index: at for at, index in enumerate(keep)}, scanned.hits
    left_hits = hits_at(hits, [hit for hit, index in enumerate(hits.places) if index in place])
    return Scanned(
        select(samples, keep),
        msgspec.structs.replace(left_hits, places=[place[index] for index in left_hits.places]),
        msgspec.structs.replace(scanned.tally, samples=len(keep)),
        scanned.drifted,
        scanned.last,
    )


IMPOSSIBLE = "impossible"
"""Why a line is rejected whose times cannot be true."""

_LEAST_BULK = 2
"""The fewest lines of a chunk that are read at once: thousands of files may have a few lines each."""
_LEAST_PART = 16
"""The fewest lines of a part of a chunk: searching an odd line among fewer costs more than reading each of them."""


def scan(
    observer: Observer,
    data: bytes,
    base: int,
    *,
    source: str,
    thresholds: Thresholds,
    joiner: Joiner | None = None,
) -> Scanned:
    """Find the lines that hold the marker, and observe each.

    Args:
        observer: The observer of the format.
        data: Whole lines: the last one ends with a newline (or there are none).
        base: The absolute offset of the first line in its file.
        source: The name of the source.
        thresholds: The durations from which a sample is a breach.
        joiner: The wrappers of lines, and the lines that are unfinished before and afterwards. None: any, and none.
    """
    joiner = joiner or Joiner(Framing(AUTO, observer.marker))
    scanned = scan_lines(observer, read_lines(data, 0, len(data), base, joiner), source, thresholds)
    tally = msgspec.structs.replace(scanned.tally, bytes=len(data), oversized=joiner.oversized)
    return msgspec.structs.replace(scanned, tally=tally)


def scan_lines(observer: Observer, lines: Lines, source: str, thresholds: Thresholds) -> Scanned:
    """Observe lines. The tally has no number of bytes, and no lines that were too long to become one of these.

    A sample that ended before it started, was logged before it ended, or is later than :data:`checks.LATEST_NS` is
    rejected as ``impossible``, since later stages rely on this order. The name of the source is a part of every
    breach's identity.
    """
    scanner = _Scanner(observer, lines)
    scanner.take(0, len(lines.offsets))
    samples = scanner.samples
    tally = Tally(samples=len(samples.offsets), ignored=scanner.ignored, drift=scanner.drift, rejected=scanner.rejected)
    return Scanned(samples, hits_of(samples, lines, source, thresholds), tally, scanner.drifted, lines.last)


class _Scanner:
    """Collects an observer's answers about the lines of one chunk: about many at once if possible, else about each."""

    def __init__(self, observer: Observer, lines: Lines) -> None:
        self._observe: Callable[[Any], Observed] = observer.observe
        self._observe_all: Callable[[Sequence[bytes]], Columns | None] | None = _bulk_of(observer)
        self._offsets = lines.offsets
        self._lines: list[Any] = lines.texts
        if lines.frames is not None and _reads_frames(observer):
            self._observe, self._observe_all = _in_wrapper(observer), None
            self._lines = list(zip(lines.texts, lines.frames, strict=True))
        self.samples = Samples([], [], [], [], [], [], [], [])
        # ids of sound shapes; the samples keep them alive, so that no other shape gets the same id
        self._shapes: set[int] = set()
        self.rejected: dict[str, int] = {}
        self.ignored = self.drift = 0
        self.drifted: tuple[int, str] | None = None

    def take(self, begin: int, end: int) -> None:
        """Observe the lines from ``begin`` to ``end``."""
        least = _LEAST_BULK if end - begin == len(self._lines) else _LEAST_PART
        if self._observe_all is None or end - begin < least:
            self._take_each(begin, end)
            return
        lines = self._lines if end - begin == len(self._lines) else self._lines[begin:end]
        try:
            columns = self._observe_all(lines)
            if columns is not None and are_possible(columns, end - begin):
                self._take_columns(columns, begin, end)
                return
        except Exception:  # noqa: BLE001, S110 - a plug-in's bug on one line is reported when that line is observed alone
            pass
        # one of the lines is not ordinary: the half without it can still be observed at once
        middle = (begin + end) // 2
        self.take(begin, middle)
        self.take(middle, end)

    def _take_columns(self, columns: Columns, begin: int, end: int) -> None:
        into = self.samples
        if columns.kept is None:
            into.offsets += self._offsets[begin:end]
        else:
            self.ignored += end - begin - len(columns.kept)
            into.offsets += [self._offsets[begin + index] for index in columns.kept]
        into.time_ns += columns.time_ns
        into.duration_ns += columns.duration_ns
        into.logged_ns += columns.logged_ns
        into.causes += columns.causes
        into.stages += columns.stages
        into.shapes += [columns.shape] * len(columns.time_ns)
        into.stage_ns += columns.stage_ns

    def _take_each(self, begin: int, end: int) -> None:
        observe, shapes = self._observe, self._shapes
        offsets: list[int] = []
        found: list[Sample] = []
        for offset, line in zip(self._offsets[begin:end], self._lines[begin:end], strict=True):
            try:
                observed: Any = observe(line)
                if (
                    type(observed) is Sample and id(observed.shape) in shapes and is_ordinary(observed)
                ) or self._judged(offset, observed):
                    offsets.append(offset)
                    found.append(observed)
            except Drift as problem:
                self._drifted(offset, str(problem))
            except Exception as problem:  # noqa: BLE001 - a plug-in's bug on one line is counted, and reading continues
                self._drifted(offset, f"{type(problem).__name__}: {problem}")
        extend(self.samples, offsets, found)

    def _judged(self, offset: int, observed: object) -> bool:
        """Count an answer that is not an ordinary sample; returns whether it is a sample at all."""
        if wrong := wrong_in(observed):
            self._drifted(offset, f"the observer answered {wrong}")
        elif isinstance(observed, Sample):
            if is_possible(observed):
                self._shapes.add(id(observed.shape))
                return True
            self._rejected(IMPOSSIBLE)
        elif isinstance(observed, Rejected):
            self._rejected(observed.why)
        else:
            self.ignored += 1
        return False

    def _rejected(self, why: str) -> None:
        self.rejected[why] = self.rejected.get(why, 0) + 1

    def _drifted(self, offset: int, why: str) -> None:
        self.drift += 1
        self.drifted = self.drifted or (offset, why)


def _reads_frames(observer: Observer) -> bool:
    """Return whether an observer has a reader of its own for lines in wrappers. A plug-in need not inherit one."""
    return getattr(type(observer), "observe_framed", Observer.observe_framed) is not Observer.observe_framed


def _bulk_of(observer: Observer) -> Callable[[Sequence[bytes]], Columns | None] | None:
    """Return how an observer reads many lines at once; None: it does not, and a plug-in need not have the method."""
    if getattr(type(observer), "observe_all", None) is Observer.observe_all:
        return None
    return getattr(observer, "observe_all", None)


def _in_wrapper(observer: Observer) -> Callable[[tuple[bytes, Frame | None]], Observed]:
    """Return how an observer reads a line with the stamp of its wrapper; None: that line has no wrapper."""
    plain, framed = observer.observe, observer.observe_framed
    return lambda item: plain(item[0]) if item[1] is None else framed(item[0], item[1])
