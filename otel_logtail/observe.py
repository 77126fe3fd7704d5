"""The ``Observer`` protocol, and a chunk of bytes through it.

An observer is the typed knowledge of one upstream's log. It is pure: bytes of a line in, a value out; no clock, no
file, no configuration but what its constructor was given. Severity is not its business: the engine classifies.
"""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from datetime import tzinfo
from typing import Protocol

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.model import Attributes, Hit, Ignored, Observed, Rejected, Sample, Severity, Tally

FUTURE_NS = 86_400 * 10**9
"""How far ahead of the clock a line may be (clocks of two machines differ); further is rejected as ``future``."""


class PathRule(msgspec.Struct, frozen=True):
    r"""Where an upstream writes, and what the names there mean.

    ``patterns`` are the default globs (``~`` and ``$VARIABLES`` are expanded). ``live`` matches the whole name of a
    file that the upstream writes to; with default patterns nothing else is followed. ``ignore`` matches names that hold
    copies of the same lines: never followed, whatever pattern found them. A rotated name is a live name with a
    suffix: that rule is the same for every upstream, and the tail's. ``attributes`` maps named groups of
    ``live`` to attributes of the samples (digits become int).
    """

    patterns: tuple[str, ...]
    live: str
    ignore: str = r"(?!)"
    attributes: tuple[tuple[str, str], ...] = ()

    def is_live(self, name: str) -> bool:
        """Whether the upstream itself would write to a file of this (base) name."""
        return re.fullmatch(self.live, name) is not None

    def is_copy(self, name: str) -> bool:
        """Whether a file of this (base) name, or a rotated one of it, only repeats what a live file holds."""
        return re.match(self.ignore, name) is not None

    def attributes_of(self, name: str) -> Attributes:
        """What the (base) name of a live file says about its samples; empty for a name that the rule doesn't know."""
        match = re.fullmatch(self.live, name)
        if match is None:
            return ()
        found = [(attribute, match[group]) for group, attribute in self.attributes if match[group] is not None]
        return tuple(sorted((attribute, int(v) if v.isdecimal() else v) for attribute, v in found))


class ObserverContext(msgspec.Struct, frozen=True):
    """What an observer is made with. ``timezone`` is for lines that don't say their own; None is the machine's."""

    timezone: tzinfo | None = None


class Observer(Protocol):
    """One upstream's log format. Made by its entry point (group ``otel_logtail.observers``) with a context."""

    name: str
    source: str
    """The name of a source that the user did not name (``headroom-proxy``)."""
    marker: bytes
    """A line without it is never looked at; ``b""``: every line is."""

    @abstractmethod
    def paths(self) -> PathRule:
        """Where the upstream writes by default, and which names are live."""

    @abstractmethod
    def observe(self, line: bytes) -> Observed:
        """Read one line (without its newline or carriage return; any bytes, at most the bound on lines long).

        Raises:
            Drift: the line has the marker in its place, and can't be read: the format changed.
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
    """What a chunk held. ``drifted`` is the first line that drifted, as (offset, why), for the error message."""

    hits: tuple[Hit, ...]
    tally: Tally
    drifted: tuple[int, str] | None = None


_BOM = b"\xef\xbb\xbf"


def scan(observer: Observer, chunk: bytes, base: int, *, source: str, thresholds: Thresholds, now_ns: int) -> Scanned:
    """Find the marker's lines in whole lines and observe each.

    A sample that ended before it began, or was logged before it ended, is rejected as ``impossible``: whoever made it,
    the stages behind this one count on it.

    Args:
        observer: Who knows the format.
        chunk: Whole lines: it ends with a newline (or is empty).
        base: The absolute offset of its first byte in its file.
        source: The source's name, part of every breach's identity.
        thresholds: What is a breach.
        now_ns: The clock, only to reject lines that are more than a day ahead of it (``future``).
    """
    marker, observe = observer.marker, observer.observe
    classify = thresholds.classify
    degraded_ns, latest_ns = thresholds.degraded_ns, now_ns + FUTURE_NS
    find, rfind = chunk.find, chunk.rfind
    hits: list[Hit] = []
    rejected: dict[str, int] = {}
    ignored = drift = 0
    drifted: tuple[int, str] | None = None
    position = 0
    while (at := find(marker, position)) >= 0 and at < len(chunk):
        start = rfind(b"\n", position, at) + 1 or position
        end = find(b"\n", at)
        position = end + 1
        line = chunk[start:end]
        # a hole that a stale writer left after a truncation reads as NULs; Windows writers and editors leave the others
        if line[:1] in (b"\0", b"\xef") or line[-1:] == b"\r":
            line = line.lstrip(b"\0").removeprefix(_BOM).removesuffix(b"\r")
        try:
            observed = observe(line)
        except Drift as problem:
            drift += 1
            drifted = drifted or (base + start, str(problem))
            continue
        except Exception as problem:  # noqa: BLE001 - a plug-in's bug on one line must not stop the log; it is counted
            drift += 1
            drifted = drifted or (base + start, f"{type(problem).__name__}: {problem}")
            continue
        if type(observed) is Sample and len(observed.stage_ns) == len(observed.shape.stages):
            if not 0 <= observed.duration_ns <= observed.time_ns <= observed.logged_ns <= latest_ns:
                why = "future" if observed.logged_ns > latest_ns else "impossible"
                rejected[why] = rejected.get(why, 0) + 1
            elif observed.duration_ns < degraded_ns:
                hits.append(Hit(base + start, observed, Severity.OK))
            else:
                uid = name_of(source, base + start, line)
                hits.append(Hit(base + start, observed, classify(observed.duration_ns), uid))
        elif type(observed) is Rejected:
            rejected[observed.why] = rejected.get(observed.why, 0) + 1
        elif type(observed) is Ignored:
            ignored += 1
        else:
            drift += 1
            drifted = drifted or (base + start, f"the observer answered {observed!r}")
    tally = Tally(bytes=len(chunk), samples=len(hits), ignored=ignored, drift=drift, rejected=rejected)
    return Scanned(tuple(hits), tally, drifted)


def name_of(source: str, offset: int, line: bytes) -> bytes:
    """The 16 bytes that name a breach for ever: the same whenever and from wherever its line is read again."""
    digest = hashlib.blake2b(line, digest_size=16, person=b"otel-logtail")
    digest.update(b"\0%d\0%s" % (offset, source.encode()))
    return digest.digest()
