"""The line with which headroom starts, which has its version.

The same in 0.36.5 and 0.42.0::

    2026-11-23 18:15:56,535 - headroom.proxy - INFO - Headroom Proxy started (version 0.42.0)

Unlike a request, it holds nothing that gives the zone of its local time. So its time is that of the wrapper if there
is one, else it is read in the configured zone. A client can put a newline into the name of a model, and so forge this
line.
"""

from __future__ import annotations

import re
from datetime import tzinfo

from otel_logtail.model import Mark
from otel_logtail.observer import Frame
from otel_logtail.observers.local_time import LocalTime, iso_ns

NEEDLE = b"Headroom Proxy started (version "

_LINE = re.compile(
    rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) - headroom\.proxy - INFO - "
    rb"Headroom Proxy started \(version ([0-9A-Za-z.+_-]{1,60})\)"
)


class Starts:
    """Reads the lines of starts. ``zone`` is that of their times (None: the machine's)."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._local = LocalTime(zone)

    def read(self, line: bytes, frame: Frame | None) -> Mark | None:
        """Return the mark of a line; None: it is not such a line, or has no possible time."""
        match = _LINE.fullmatch(line)
        wall_ns = None if match is None else iso_ns(match[1])
        if match is None or wall_ns is None or wall_ns < 0:
            return None
        time_ns = self._local.utc_ns(wall_ns) + int(match[2]) * 10**6
        if frame is not None and frame.time_ns is not None:
            time_ns = frame.time_ns
        return Mark(time_ns, f"headroom {match[3].decode()} started")
