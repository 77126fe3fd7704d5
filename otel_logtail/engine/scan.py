"""A chunk of bytes through an observer: the lines with its marker become samples. Pure."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain, compress, islice
from operator import le, lt

import msgspec

from otel_logtail import native
from otel_logtail.counts import SampleKey, extent, places_from, sample_key
from otel_logtail.engine.columns import append, columns_of, sample_at
from otel_logtail.errors import Drift
from otel_logtail.model import (
    Columns,
    Hit,
    Ignored,
    Rejected,
    Sample,
    Samples,
    Severity,
    Shape,
    Tally,
)
from otel_logtail.observer import Observer

_MOST_NS = 2**53  # of one stage: a hundred days, and sums of many still fit into the store's integers

LATEST_NS = 9_214_646_400 * 10**9
"""The latest time that a line may have, 2262-01-01: the store's integers end soon after it.

No clock decides what a sample is: a machine's clock may be days behind when a log is read (no battery, no NTP yet), and
the same log gives the same samples whenever it is read. What a line from the future may not do is up to the stages
behind this one.
"""


class Thresholds(msgspec.Struct, frozen=True):
    """``ok`` < ``degraded_ns`` <= ``degraded`` < ``stall_ns`` <= ``stall``."""

    degraded_ns: int
    stall_ns: int

    def classify(self, duration_ns: int) -> Severity:
        """How bad a duration is."""
        if duration_ns < self.degraded_ns:
            return Severity.OK
        return Severity.DEGRADED if duration_ns < self.stall_ns else Severity.STALL


class Scanned(msgspec.Struct, frozen=True):
    """What a chunk held.

    ``hits`` are those of the samples that are not ok; ``drifted`` is the first line that drifted, as (offset, why).
    """

    samples: Samples
    hits: tuple[Hit, ...]
    tally: Tally
    drifted: tuple[int, str] | None = None


def without(scanned: Scanned, stored: Mapping[SampleKey, int], doubt: int) -> Scanned:
    """Leave out the samples that are in the store already, each as often as it is there.

    Args:
        scanned: A chunk's samples.
        stored: How often the store has samples like these.
        doubt: Only lines before this offset may be there.
    """
    left, samples = dict(stored), scanned.samples
    keep: list[int] = []
    for index, offset in enumerate(samples.offsets):
        key = sample_key(samples.time_ns[index], samples.duration_ns[index], samples.stage_ns[index])
        if offset < doubt and left.get(key):
            left[key] -= 1
        else:
            keep.append(index)
    place = {index: at for at, index in enumerate(keep)}
    return Scanned(
        columns_of((samples.offsets[index], sample_at(samples, index)) for index in keep),
        tuple(msgspec.structs.replace(hit, index=place[hit.index]) for hit in scanned.hits if hit.index in place),
        msgspec.structs.replace(scanned.tally, samples=len(keep)),
        scanned.drifted,
    )


_hot = native.module("engine._hot")
_BOM = b"\xef\xbb\xbf"
_ODD = frozenset((b"\0", b"\xef"))
_LEAST_BULK = 2


def scan(
    observer: Observer,
    buffer: bytes | bytearray,
    base: int,
    *,
    start: int = 0,
    end: int | None = None,
    source: str,
    thresholds: Thresholds,
) -> Scanned:
    """Find the marker's lines in whole lines and observe each.

    A sample that ended before it began, was logged before it ended, or lies behind :data:`LATEST_NS` is rejected as
    ``impossible``: the stages behind this one count on it.

    Args:
        observer: Who knows the format.
        buffer: Holds whole lines: the last one ends with a newline (or there are none).
        base: The absolute offset of the first of them in its file.
        start: Where they begin in the buffer.
        end: Where they end (None: with it).
        source: The source's name, part of every breach's identity.
        thresholds: What is a breach.
    """
    end = len(buffer) if end is None else end
    offsets, lines = find_lines(buffer, observer.marker, start, end, base)
    scanner = _Scanner(observer, offsets, lines)
    scanner.take(0, len(lines))
    samples = scanner.samples
    hits = []
    for index in places_from(samples.duration_ns, thresholds.degraded_ns):
        offset = samples.offsets[index]
        uid = name_of(source, offset, lines[bisect_left(offsets, offset)])
        severity = thresholds.classify(samples.duration_ns[index])
        hits.append(Hit(offset, sample_at(samples, index), severity, uid, index))
    tally = Tally(
        bytes=end - start,
        samples=len(samples.offsets),
        ignored=scanner.ignored,
        drift=scanner.drift,
        rejected=scanner.rejected,
    )
    return Scanned(samples, tuple(hits), tally, scanner.drifted)


@native.twin(_hot, declines=False)
def find_lines(
    buffer: bytes | bytearray, marker: bytes, begin: int, end: int, base: int
) -> tuple[list[int], list[bytes]]:
    """The lines that hold the marker (an empty one: all) without ends, and where each begins (``begin`` is ``base``).

    What a stale writer left after a truncation (NULs), a byte order mark and a carriage return are taken off too.
    """
    view = memoryview(buffer)
    if not marker or buffer.count(marker, begin, min(end, begin + _PROBE)) * _DENSE > min(end - begin, _PROBE):
        lines = bytes(view[begin:end]).split(b"\n")
        starts = list(accumulate([len(line) + 1 for line in lines], initial=base))
        del lines[-1], starts[-2:]  # what follows the last newline is no line
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
    if not _ODD.isdisjoint([line[:1] for line in lines]) or b"\r" in {line[-1:] for line in lines}:
        lines = [line.lstrip(b"\0").removeprefix(_BOM).removesuffix(b"\r") for line in lines]
    return starts, lines


_PROBE = 1 << 16
_DENSE = 2000
"""Where there is a marker in so many bytes, cutting all lines at once is cheaper than finding each."""


class _Scanner:
    """Collects what an observer says of the lines of one chunk: of many at once where it can, else of each."""

    def __init__(self, observer: Observer, offsets: list[int], lines: list[bytes]) -> None:
        self._observe = observer.observe
        self._observe_all: Callable[[Sequence[bytes]], Columns | None] | None = getattr(observer, "observe_all", None)
        self._offsets = offsets
        self._lines = lines
        self.samples = Samples([], [], [], [], [], [], [], [])
        self._shapes: set[int] = set()  # ids of sound shapes; the samples hold them, so no other shape can get their id
        self.rejected: dict[str, int] = {}
        self.ignored = self.drift = 0
        self.drifted: tuple[int, str] | None = None

    def take(self, begin: int, end: int) -> None:
        """Observe the lines from ``begin`` to ``end``."""
        if self._observe_all is None or end - begin < _LEAST_BULK:
            self._take_each(begin, end)
            return
        lines = self._lines if end - begin == len(self._lines) else self._lines[begin:end]
        try:
            columns = self._observe_all(lines)
            if columns is not None and self._can_be_true(columns, end - begin):
                self._take_columns(columns, begin, end)
                return
        except Exception:  # noqa: BLE001, S110 - a plug-in's bug on one line: it shows when that line is observed alone
            pass
        # something unusual is among them: the halves without it still go at once
        middle = (begin + end) // 2
        self.take(begin, middle)
        self.take(middle, end)

    def _can_be_true(self, columns: Columns, number: int) -> bool:
        kept = range(number) if columns.kept is None else columns.kept
        if {len(getattr(columns, name)) for name in _COLUMNS} != {len(kept)} or not _are_places(kept, number):
            return False
        if not columns.time_ns:
            return True
        return extent(columns.logged_ns)[1] <= LATEST_NS and (columns.bounded or _are_possible(columns))

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
        observe, samples, shapes = self._observe, self.samples, self._shapes
        for offset, line in zip(self._offsets[begin:end], self._lines[begin:end], strict=True):
            try:
                observed = observe(line)
                if type(observed) is Sample and id(observed.shape) in shapes and _is_ordinary(observed):
                    append(samples, offset, observed)
                else:
                    self._judge(offset, observed, _wrong_in(observed))
            except Drift as problem:
                self._drifted(offset, str(problem))
            except Exception as problem:  # noqa: BLE001 - a plug-in's bug on one line is counted, and the log goes on
                self._drifted(offset, f"{type(problem).__name__}: {problem}")

    def _judge(self, offset: int, observed: object, wrong: str) -> None:
        """Count an answer that is not an ordinary sample; ``wrong`` says what does not have the types it should."""
        if wrong:
            self._drifted(offset, f"the observer answered {wrong}")
        elif isinstance(observed, Sample):
            is_ordered = 0 <= observed.duration_ns <= observed.time_ns <= observed.logged_ns <= LATEST_NS
            if is_ordered and all(ns is None or 0 <= ns < _MOST_NS for ns in observed.stage_ns):
                append(self.samples, offset, observed)
                self._shapes.add(id(observed.shape))
            else:
                self._rejected("impossible")
        elif isinstance(observed, Rejected):
            self._rejected(observed.why)
        else:
            self.ignored += 1

    def _rejected(self, why: str) -> None:
        self.rejected[why] = self.rejected.get(why, 0) + 1

    def _drifted(self, offset: int, why: str) -> None:
        self.drift += 1
        self.drifted = self.drifted or (offset, why)


_COLUMNS = ("time_ns", "duration_ns", "logged_ns", "causes", "stages", "stage_ns")
_INT, _STAGE = {int}, {int, type(None)}


def _are_places(kept: Sequence[int], number: int) -> bool:
    """Whether these are indices of so many lines, each later than the one before."""
    return not kept or (kept[0] >= 0 and kept[-1] < number and all(map(lt, kept, islice(kept, 1, None))))


def _are_possible(columns: Columns) -> bool:
    """Whether all is of its types, and no sample ended before it began or was written before it ended."""
    stages = list(chain.from_iterable(columns.stage_ns))
    took = list(filter(None, stages))
    return (
        set(map(type, chain(columns.time_ns, columns.duration_ns, columns.logged_ns))) <= _INT
        and set(map(type, columns.stage_ns)) == {tuple}
        and set(map(type, stages)) <= _STAGE
        and (not took or (min(took) >= 0 and max(took) < _MOST_NS))
        and min(columns.duration_ns) >= 0
        and all(map(le, columns.duration_ns, columns.time_ns))
        and all(map(le, columns.time_ns, columns.logged_ns))
        and set(map(len, columns.stage_ns)) == {len(columns.shape.stages)}
        and all(map(_is_text, {*columns.causes, *columns.stages}))
        and not _wrong_in_shape(columns.shape)
    )


def _is_ordinary(sample: Sample) -> bool:
    """Whether a sample of a known shape is of its types, and can be true. Cheap, since each sample is checked."""
    time_ns, duration_ns, logged_ns = sample.time_ns, sample.duration_ns, sample.logged_ns
    cause, stage, stage_ns = sample.cause, sample.stage, sample.stage_ns
    if not (type(time_ns) is type(duration_ns) is type(logged_ns) is int and type(stage_ns) is tuple):
        return False
    for ns in stage_ns:
        if ns is not None and (type(ns) is not int or not 0 <= ns < _MOST_NS):
            return False
    return (
        0 <= duration_ns <= time_ns <= logged_ns <= LATEST_NS
        and len(stage_ns) == len(sample.shape.stages)
        and type(cause) is type(stage) is str
        and cause.isascii()
        and stage.isascii()
    )


def _wrong_in(observed: object) -> str:
    """What is not as the types of a plug-in's answer promise: nothing checks them while it runs. Empty: all is well."""
    if type(observed) is Sample:
        for name in ("time_ns", "duration_ns", "logged_ns"):
            if type(value := getattr(observed, name)) is not int:
                return f"{name}={value!r}, which is no int"
        for name in ("cause", "stage"):
            if not _is_text(value := getattr(observed, name)):
                return f"{name}={value!r}, which is no text"
        if type(observed.stage_ns) is not tuple or not set(map(type, observed.stage_ns)) <= _STAGE:
            return f"stage_ns={observed.stage_ns!r}, which is no tuple of int and None"
        wrong = _wrong_in_shape(observed.shape)
        if not wrong and len(observed.stage_ns) != len(observed.shape.stages):
            wrong = f"{len(observed.stage_ns)} stage_ns for {len(observed.shape.stages)} stages"
        return wrong
    if type(observed) is Rejected:
        return "" if _is_text(observed.why) else f"Rejected({observed.why!r}), whose reason is no text"
    return "" if type(observed) is Ignored else repr(observed)


def _wrong_in_shape(shape: object) -> str:
    if type(shape) is not Shape or type(shape.stages) is not tuple or not all(map(_is_text, shape.stages)):
        return f"{shape!r}, which is no Shape with a tuple of names"
    pairs = shape.attributes
    if type(pairs) is not tuple or not all(
        type(pair) is tuple and len(pair) == 2 and _is_text(pair[0]) and (type(pair[1]) is int or _is_text(pair[1]))
        for pair in pairs
    ):
        return f"{shape!r}, whose attributes are no tuple of pairs of a name and a text or int"
    return ""


def _is_text(value: object) -> bool:
    """Whether it is text that can be written down (a lone surrogate can't)."""
    return type(value) is str and (value.isascii() or value.encode(errors="replace").decode() == value)


def name_of(source: str, offset: int, line: bytes) -> bytes:
    """The 16 bytes that name a breach for ever: the same whenever and from wherever its line is read again."""
    digest = hashlib.blake2b(line, digest_size=16, person=b"otel-logtail")
    digest.update(b"\0%d\0%s" % (offset, source.encode()))
    return digest.digest()
