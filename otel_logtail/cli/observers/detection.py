"""Finds the observer that reads a log: each one that is installed reads some lines of it."""

from __future__ import annotations

import glob
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta, timezone, tzinfo
from fnmatch import fnmatch

import msgspec

from otel_logtail.cli.observers.excerpt import Excerpt
from otel_logtail.engine.framing import CRI, DOCKER, NONE, SYSLOG, Framing
from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.scan import Scanned, scan
from otel_logtail.errors import LogtailError
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.plugins import advice, make_observer, observers
from otel_logtail.text import escaped

_ZONES = (timezone.utc, timezone(timedelta(hours=5, minutes=30)))
"""Two zones: if the samples differ, the time stamps have no zone."""

_NEVER = Thresholds(2**62, 2**62)


class Tried(msgspec.Struct, frozen=True):
    """The lines that one observer read. ``why`` is about the first of the ``drift`` lines of an unknown format."""

    samples: int = 0
    ignored: int = 0
    rejected: int = 0
    drift: int = 0
    why: str = ""

    @property
    def fits(self) -> bool:
        """True if the observer finds samples, and more than lines that it cannot read."""
        return self.samples > self.drift


class Detected(msgspec.Struct, frozen=True):
    """The observer that reads a log best; an empty name: none does, and ``todo`` is advice, by observer.

    ``lines`` are the lines that were read, of which ``samples`` are samples. ``framing`` is the wrapper around the
    lines, which is removed. ``needs_zone``: the time stamps have no zone. ``command`` reads the log. ``tried`` has the
    lines that each observer read.
    """

    path: str
    observer: str
    samples: int
    lines: int
    rejected: int
    drift: int
    framing: str
    needs_zone: bool
    command: str
    todo: Mapping[str, str]
    tried: Mapping[str, Tried]

    @property
    def others(self) -> list[str]:
        """Further observers that fit."""
        return [name for name, each in self.tried.items() if each.fits and name != self.observer]


def detect(excerpt: Excerpt) -> Detected:
    """Try all observers that are installed."""
    data = b"".join(line + b"\n" for line in excerpt.lines)
    tried = {}
    for name in observers():
        try:
            tried[name] = _tried(_scan(make_observer(name, ObserverContext(timezone=_ZONES[0])), data))
        except LogtailError as problem:  # it requires an option
            tried[name] = Tried(why=str(problem))
    fitting = [name for name in tried if tried[name].fits]
    fitting.sort(key=lambda name: (-tried[name].samples, tried[name].drift))
    best = fitting[0] if fitting else ""
    found = tried.get(best, Tried())
    return Detected(
        path=escaped(str(excerpt.path)),
        observer=best,
        samples=found.samples,
        lines=len(excerpt.lines),
        rejected=found.rejected,
        drift=found.drift,
        framing=_framing(excerpt.lines),
        needs_zone=bool(best) and _needs_zone(best, data),
        command=escaped(shlex.join(_command(best, excerpt))) if best else "",
        todo={} if best else _todo(tried, str(excerpt.path.absolute())),
        tried=tried,
    )


def _scan(observer: Observer, data: bytes) -> Scanned:
    return scan(observer, data, 0, source="detect", thresholds=_NEVER)


def _tried(scanned: Scanned) -> Tried:
    tally = scanned.tally
    why = scanned.drifted[1] if scanned.drifted else ""
    return Tried(tally.samples, tally.ignored, sum(tally.rejected.values()), tally.drift, why)


def _needs_zone(name: str, data: bytes) -> bool:
    def times(zone: tzinfo) -> Sequence[int]:
        return _scan(make_observer(name, ObserverContext(timezone=zone)), data).samples.time_ns

    return list(times(_ZONES[0])) != list(times(_ZONES[1]))


def _framing(lines: Sequence[bytes]) -> str:
    """Return the wrapper of most lines."""
    kinds = [Framing(kind, b"") for kind in (DOCKER, CRI, SYSLOG)]
    found = Counter(next((kind.mode for kind in kinds if kind.unwrap(line) is not None), NONE) for line in lines)
    return found.most_common(1)[0][0] if found else NONE


def _command(name: str, excerpt: Excerpt) -> list[str]:
    path = str(excerpt.path.absolute())
    once = ["--once"] if path.endswith(".gz") else []
    return ["otel-logtail", "--observer", name, "--path", glob.escape(path), *once]


def _writes(name: str, path: str) -> bool:
    """Return whether a path is one of the default paths of an observer."""
    patterns = make_observer(name, ObserverContext()).paths().patterns
    return any(fnmatch(path, pattern) for pattern in patterns)


def _todo(tried: Mapping[str, Tried], path: str) -> dict[str, str]:
    """Return advice of observers that may be meant: some lines have another format, or the path holds its name."""
    found = {}
    for name, each in tried.items():
        if each.drift:
            found[name] = f"{each.drift} lines have an unknown format: {each.why}; {advice(name)}"
        elif each.rejected:
            found[name] = f"{each.rejected} lines are rejected: they cannot be true, or are not safe to read"
        elif each.why:
            found[name] = each.why
        elif name in path or _writes(name, path):
            found[name] = advice(name)
    return found
