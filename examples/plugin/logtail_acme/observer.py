"""Observer of acme's log, which has one line per answered request.

``2026-11-25T12:00:00.250Z acme request route=/search took=0.734 db=0.700``: ``took`` and its part ``db`` (database) in
seconds.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from otel_logtail import Drift, Frame, Mark, Observed, Observer, PathRule, Rejected, Sample, Shape

_LINE = re.compile(
    rb"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z acme request"
    rb" route=(?P<route>\S{1,200}) took=(?P<took>\d{1,6}\.\d{3}) db=(?P<db>\d{1,6}\.\d{3})"
)
_STARTED = re.compile(
    rb"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z acme started, version (?P<version>\d{1,4}(?:\.\d{1,4}){1,3})"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# one shape per route, created once: a client cannot create a series by requesting another path
_SHAPES = {route: Shape(("db", "render"), (("acme.route", route),)) for route in ("/", "/search", "/login")}


class AcmeObserver(Observer):
    """Reads the requests of acme 1.x. ``part`` is what a sample measures: ``total``, or ``db``."""

    name = "acme"
    source = "acme"
    marker = b" acme request "
    mark_needle = b" acme started, version "

    def __init__(self, part: str = "total") -> None:
        self._part = part  # acme writes UTC, so no time zone is needed

    def paths(self) -> PathRule:
        """Match access.log, or access-2.log and so on for several workers."""
        return PathRule(
            patterns=("~/acme/access*.log",),
            live=r"access(?:-(?P<worker>\d+))?\.log",
            attributes=(("worker", "acme.worker"),),
        )

    def observe(self, line: bytes) -> Observed:
        """Return a sample, or reject an unknown route. Any other line is drift."""
        match = _LINE.fullmatch(line)
        if match is None:
            raise Drift("not a request line of acme 1.x")
        shape = _SHAPES.get(match["route"].decode(errors="replace"))
        if shape is None:
            return Rejected("unknown_route")
        took_ns, db_ns = _ns(match["took"]), _ns(match["db"])
        if db_ns > took_ns:
            return Rejected("impossible")
        time_ns = _time_ns(match["time"])
        if time_ns is None:
            return Rejected("impossible")
        if self._part == "db":
            took_ns = db_ns
        slowest = "db" if db_ns * 2 >= took_ns else "render"
        return Sample(
            time_ns=time_ns,
            duration_ns=took_ns,
            logged_ns=time_ns,
            cause=slowest,
            stage=slowest,
            shape=shape,
            stage_ns=(db_ns, took_ns - db_ns),
        )

    def find_mark(self, line: bytes, frame: Frame | None) -> Mark | None:
        """Return the mark of a start."""
        match = _STARTED.fullmatch(line)
        time_ns = None if match is None else _time_ns(match["time"])
        return None if match is None or time_ns is None else Mark(time_ns, f"acme {match['version'].decode()} started")


def _time_ns(text: bytes) -> int | None:
    try:
        moment = datetime.fromisoformat(text.decode()).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _ns(seconds: bytes) -> int:
    whole, _, thousandths = seconds.partition(b".")
    return (int(whole) * 1000 + int(thousandths)) * 1_000_000
