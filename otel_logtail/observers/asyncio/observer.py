"""Observer of asyncio in debug mode: callbacks that block the event loop for 0.1 s or more.

CPython logs such a callback when it has ended (logger ``asyncio``, level ``WARNING``)::

    2026-11-29 15:32:15,997 asyncio WARNING Executing <Task finished name='Task-4' coro=<…> …> took 0.702 seconds

Meanwhile nothing else of the application ran in that event loop, so the duration is the stall itself. It agrees with
the application's own measurement within a millisecond.

The message is always the same, and the application chooses what is in front of it (:mod:`.layout`). Names of tasks and
arguments are printed as ``repr``, so they never begin a new line, and the duration is read at the end.

======================================================  ==============================================
the message ends in another way, or the unit differs    ``Drift``: Python's format changed
there is no time in front of the message                the time of the wrapper (CRI, Docker, syslog)
no time in a wrapper either                             ``Drift``: logging's default format
the message is behind any other text                    ``Rejected("misplaced")``: it may be quoted
a duration of more than a day                           ``Rejected("bounds")``
a time that does not exist                              ``Rejected("time")``
======================================================  ==============================================
"""

from __future__ import annotations

import re
from datetime import tzinfo

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample, Shape
from otel_logtail.observer import Frame, Observer, PathRule
from otel_logtail.observers.asyncio.layout import MARKER, Layout, read_usual
from otel_logtail.observers.local_time import IMPOSSIBLE, LocalTime, iso_ns

SHAPE = Shape()
MAX_NS = 24 * 3600 * 10**9

_TOOK = re.compile(rb"Executing <.*> took (\d{1,9})\.(\d{3}) seconds")
_MINUTE_NS = 60 * 10**9
_CAUSE = "callback"

_IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
_TIME = Rejected("time")
_NO_FRAME = Frame()


class AsyncioObserver(Observer):
    """Reads slow callbacks of asyncio.

    Args:
        zone: That of times without one (None: the machine's).
        layout: The layout of the application's log.
    """

    name = "asyncio"
    source = "asyncio"
    marker = b""  # each line is counted: the others are ignored

    def __init__(self, zone: tzinfo | None, layout: Layout = read_usual) -> None:
        self._local = LocalTime(zone)
        self._read = layout

    def paths(self) -> PathRule:
        """Return usual places: the log is that of the application."""
        return PathRule(patterns=("/var/log/*/app.log", "/var/log/*/asyncio.log"), live=r"(?:app|asyncio).*\.log")

    def observe(self, line: bytes) -> Observed:
        """Read one line, as in the table above.

        Raises:
            Drift: the line has no time, or Python's format changed.
        """
        return self.observe_framed(line, _NO_FRAME)

    def observe_framed(self, line: bytes, frame: Frame) -> Observed:
        """Read one line. If it has no time, it ended when its wrapper was written.

        Raises:
            Drift: as :meth:`observe` does.
        """
        if MARKER not in line:
            return _IGNORED
        found = self._read(line)
        if isinstance(found, Rejected):
            return found
        time, message = found
        took = _TOOK.fullmatch(message)
        if took is None:
            raise Drift(
                "asyncio: cannot read how long a callback took",
                hint="Python may have changed its message: look for a newer otel-logtail, or report the line",
            )
        if time is None and frame.time_ns is None:
            raise Drift(
                "asyncio: the log has no time of day: add %(asctime)s to its format",
                hint="see: otel-logtail observers show asyncio",
            )
        duration_ns = int(took[1]) * 10**9 + int(took[2]) * 10**6
        ended_ns = self._ended_ns(time.groupdict()) if time is not None else frame.time_ns or 0
        if duration_ns > MAX_NS:
            return _BOUNDS
        if ended_ns < duration_ns:
            return _TIME
        return Sample(ended_ns, duration_ns, ended_ns, _CAUSE, _CAUSE, SHAPE)

    def _ended_ns(self, time: dict[str, bytes | None]) -> int:
        """Return the time of a line in UTC; negative: there is no such time."""
        second = time.get("second")
        if second is None:
            return int(time["epoch"] or b"") * 10**9 + _fraction_ns(time["epoch_fraction"])
        wall_ns = iso_ns(second)
        if wall_ns is None or wall_ns == IMPOSSIBLE:
            return IMPOSSIBLE
        zone = time["zone"] or time["short_zone"]
        ended_ns = self._local.utc_ns(wall_ns) if zone is None else wall_ns - _ahead_ns(zone)
        if (fraction := time["fraction"]) is not None:
            return ended_ns + _fraction_ns(fraction)
        return ended_ns + int(time.get("msecs") or b"0") * 10**6


def _fraction_ns(digits: bytes | None) -> int:
    """Return nanoseconds of the digits behind the point of seconds."""
    return 0 if digits is None else int(digits.ljust(9, b"0"))


def _ahead_ns(zone: bytes) -> int:
    """Return how far ``Z``, ``UTC``, ``+0530`` or ``+05:30`` is ahead of UTC."""
    if zone[:1] not in b"+-":
        return 0
    ahead_ns = (int(zone[1:3]) * 60 + int(zone[-2:])) * _MINUTE_NS
    return ahead_ns if zone[:1] == b"+" else -ahead_ns
