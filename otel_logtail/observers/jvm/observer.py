r"""Observers of Java's unified log: safepoints, or GC pauses.

A safepoint stops all threads of the application, for a garbage collection or any other reason. Its line is written at
its end, by JDK 12 and newer::

    [2026-11-29T15:27:33.798+0000][11.332s][info][safepoint   ] Safepoint "Cleanup", Time since last: 1000879169 ns,
      Reaching safepoint: 761429929 ns, Cleanup: 47138 ns, At safepoint: 11172159 ns, Total: 772649226 ns

(one line). JDK 21 adds ``Leaving safepoint``; JDK 25 has no ``Cleanup``, and ``Threads: 0 runnable, 10 total`` behind
the total. JDK 11 writes::

    [...][safepoint] Total time for which application threads were stopped: 0.0001742 seconds,
      Stopping threads took: 0.0000401 seconds

A GC pause is a part of a safepoint, without the time until the last thread has stopped. So the pauses are ignored,
unless the user requests them instead of the safepoints.

=====================================================  ==================================================
a safepoint, and one of the values is unreadable       ``Drift``: another unit, a missing field
a safepoint without a time of day                      ``Drift``: Java's default decorations
the text of a safepoint behind anything else           ``Rejected("misplaced")``: standard output is shared
parts longer than the total, or a total beyond a day   ``Rejected("bounds")``
a time that does not exist                             ``Rejected("time")``
=====================================================  ==================================================

At its start Java writes ``[...][gc] Using G1`` (with ``-Xlog:gc``): this is a mark.
"""

from __future__ import annotations

import re

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Mark, Observed, Rejected, Sample, Shape
from otel_logtail.observer import Frame, Observer, PathRule
from otel_logtail.observers.jvm.decorations import TIME, are_decorations, written_ns

STAGES = ("reach", "cleanup", "at", "leave")
"""Waiting until all threads have stopped; preparation; the operation itself; waking the threads up."""
SHAPE = Shape(stages=STAGES)
PAUSE = Shape()

MAX_NS = 24 * 3600 * 10**9

_SAFEPOINT = b'] Safepoint "'
_STOPPED = b"application threads were stopped"
_STOPPED_BEGIN = b"] Total time for which application threads were stopped: "
_PAUSE = b" Pause "

_COLLECTIONS = ("G1", "Gen", "Parallel", "Serial", "Z", "X", "Shenandoah", "CGC")
"""How the names of operations that collect garbage begin. (Serial: since JDK 22; before, it was Gen.)"""
_COLLECTION = tuple(name.encode() for name in _COLLECTIONS)

_ORDINARY = re.compile(
    rb'\] Safepoint "([^"]*)", Time since last: \d+ ns, Reaching safepoint: (\d{1,18}) ns,(?: Cleanup: (\d{1,18}) ns,)?'
    rb" At safepoint: (\d{1,18}) ns,(?: Leaving safepoint: (\d{1,18}) ns,)? Total: (\d{1,18}) ns(?:, Threads: .*)?"
)
# in some locales, Java writes a comma as the decimal point
_STOPPED_END = re.compile(rb"(\d+)[.,](\d{1,9}) seconds, Stopping threads took: (\d+)[.,](\d{1,9}) seconds")
# Y, y and O are the generations of ZGC
_PAUSE_LINE = re.compile(rb" GC\(\d+\) (?:[YyO]: )?Pause .* (\d+)[.,](\d{3})ms")
_MOST_DIGITS = 18

_USING = b"] Using "
_COLLECTOR = re.compile(
    rb"\] Using (G1|Serial|Parallel|Shenandoah|Epsilon|Concurrent Mark Sweep|The Z Garbage Collector)"
)

_IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
_HINT = "Java may have changed its log: look for a newer otel-logtail, or report the line"

_PATHS = PathRule(
    patterns=("/var/log/*/gc*.log", "/var/log/*/safepoint*.log"),
    live=r"(?:gc|safepoint).*\.log",
    ring=True,
    successive=True,
)
"""A process id in a name is not an attribute, since every restart would add series."""


class JvmObserver(Observer):
    """Reads safepoints (JDK 11 to 25). The duration of a sample is the safepoint's total."""

    name = "jvm"
    source = "jvm"
    marker = b""  # JDK 11 and 12 have no text in common that other lines do not have
    mark_needle = _USING

    def paths(self) -> PathRule:
        """Return usual places: Java has no default path."""
        return _PATHS

    def observe(self, line: bytes) -> Observed:
        """Read one line, as in the table above.

        Raises:
            Drift: it is a safepoint without a time of day, or Java's format changed.
        """
        at = line.rfind(_SAFEPOINT)  # behind a line that was cut, it is misplaced
        if at >= 0:
            ended_ns = written_ns(line, at + 1)
            return ended_ns if isinstance(ended_ns, Rejected) else _read_safepoint(line, at, ended_ns)
        if _STOPPED not in line:
            return _IGNORED
        at = line.rfind(_STOPPED_BEGIN)
        ended_ns = written_ns(line, at + 1)
        return ended_ns if isinstance(ended_ns, Rejected) else _read_stopped(line, at, ended_ns)

    def find_mark(self, line: bytes, frame: Frame | None) -> Mark | None:
        """Return the start of a JVM, with its garbage collector. It needs a time of day, as a safepoint does."""
        at = line.find(_USING)
        match = _COLLECTOR.fullmatch(line, at)
        if match is None:
            return None
        try:
            started_ns = written_ns(line, at + 1)
        except Drift:
            return None
        return None if isinstance(started_ns, Rejected) else Mark(started_ns, f"Java started ({match[1].decode()})")


class PauseObserver(JvmObserver):
    """Reads GC pauses instead of safepoints. The time until all threads had stopped is missing in them."""

    def observe(self, line: bytes) -> Observed:
        """Read one line: only a pause with its duration at the end is a sample, and all others are ignored.

        Raises:
            Drift: it is a pause without a time of day.
        """
        at = line.rfind(b"] GC(")
        if at < 0 or _PAUSE not in line or not are_decorations(line, at + 1):
            return _IGNORED
        match = _PAUSE_LINE.fullmatch(line, at + 1)
        if match is None:
            return _IGNORED  # the line at the start of a pause has no duration
        ended_ns = written_ns(line, at + 1)
        if isinstance(ended_ns, Rejected):
            return ended_ns
        total_ns = _ns(match[1], match[2], 10**6)
        if total_ns > MAX_NS:
            return _BOUNDS
        return Sample(ended_ns, total_ns, ended_ns, "gc", "gc", PAUSE) if ended_ns >= total_ns else TIME


def _read_safepoint(line: bytes, at: int, ended_ns: int) -> Observed:
    """Read the message of JDK 12 or newer."""
    match = _ORDINARY.fullmatch(line, at)
    if match is None:
        return _read_fields(line, at, ended_ns)
    operation, reach, cleanup, operating, leave, total = match.groups()
    stage_ns = (
        int(reach),
        None if cleanup is None else int(cleanup),
        int(operating),
        None if leave is None else int(leave),
    )
    return _sample(ended_ns, int(total), _cause(operation, stage_ns[0], stage_ns[2]), stage_ns)


def _read_fields(line: bytes, at: int, ended_ns: int) -> Observed:
    """Read the message of a version that is not known: fields that have no name here are skipped.

    Raises:
        Drift: a field that is needed is missing, or has another unit.
    """
    operation, _, text = line[at + len(_SAFEPOINT) :].partition(b'", ')
    fields = dict(field.partition(b": ")[::2] for field in text.split(b", "))
    try:
        total_ns = _nanoseconds(fields[b"Total"])
        reach_ns = _nanoseconds(fields[b"Reaching safepoint"])
        at_ns = _nanoseconds(fields[b"At safepoint"])
        cleanup = fields.get(b"Cleanup")
        leave = fields.get(b"Leaving safepoint")
        cleanup_ns = None if cleanup is None else _nanoseconds(cleanup)
        leave_ns = None if leave is None else _nanoseconds(leave)
    except (KeyError, ValueError):
        raise Drift("jvm: cannot read the durations of a safepoint", hint=_HINT) from None
    return _sample(ended_ns, total_ns, _cause(operation, reach_ns, at_ns), (reach_ns, cleanup_ns, at_ns, leave_ns))


def _cause(operation: bytes, reach_ns: int, at_ns: int) -> str:
    return "reach" if reach_ns > at_ns else "gc" if operation.startswith(_COLLECTION) else "vm"


def _read_stopped(line: bytes, at: int, ended_ns: int) -> Observed:
    """Read the message of JDK 11, which does not name the operation."""
    match = _STOPPED_END.fullmatch(line, at + len(_STOPPED_BEGIN))
    if match is None:
        raise Drift("jvm: cannot read how long the threads were stopped", hint=_HINT)
    total_ns, reach_ns = _ns(match[1], match[2], 10**9), _ns(match[3], match[4], 10**9)
    cause = "reach" if 2 * reach_ns > total_ns else "vm"
    return _sample(ended_ns, total_ns, cause, (reach_ns, None, total_ns - reach_ns, None))


def _sample(ended_ns: int, total_ns: int, cause: str, stage_ns: tuple[int, int | None, int, int | None]) -> Observed:
    """Return the sample of a safepoint, unless it cannot be true."""
    reach_ns, cleanup_ns, at_ns, leave_ns = stage_ns[0], stage_ns[1] or 0, stage_ns[2], stage_ns[3] or 0
    least_ns = min(reach_ns, cleanup_ns, at_ns, leave_ns)
    if total_ns > MAX_NS or least_ns < 0 or reach_ns + cleanup_ns + at_ns + leave_ns > total_ns:
        return _BOUNDS
    if ended_ns < total_ns:
        return TIME
    stage, most_ns = "reach", reach_ns
    if cleanup_ns > most_ns:
        stage, most_ns = "cleanup", cleanup_ns
    if at_ns > most_ns:
        stage, most_ns = "at", at_ns
    if leave_ns > most_ns:
        stage = "leave"
    return Sample(ended_ns, total_ns, ended_ns, cause, stage, SHAPE, stage_ns)


def _nanoseconds(text: bytes) -> int:
    """Read ``772649226 ns``.

    Raises:
        ValueError: it is not a number of nanoseconds.
    """
    digits = text[:-3]
    if text[-3:] != b" ns" or not digits.removeprefix(b"-").isdigit():
        raise ValueError("not nanoseconds")
    return int(digits[: _MOST_DIGITS + 1])  # a longer number is out of bounds, regardless of its other digits


def _ns(whole: bytes, fraction: bytes, unit_ns: int) -> int:
    """Return nanoseconds. ``fraction`` are the digits behind the point."""
    return int(whole[:_MOST_DIGITS]) * unit_ns + int(fraction.ljust(9, b"0")) * unit_ns // 10**9
