"""Times of a log that carry no zone, as UTC: for all observers of such logs. Pure but for the machine's zone.

Reading a time has two steps. :func:`iso_ns` and :func:`common_ns` read the text of a second as if it were UTC. Then
:class:`LocalTime` moves it to UTC. Both are cached, since lines of one second follow each other.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

IMPOSSIBLE = -1
"""The text has the form of a time, but there is no such time, or it is before 1970."""

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_MINUTE_NS = 60 * 10**9
_CACHED_MINUTES = 1024
_ISO = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)")
_COMMON = re.compile(rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)")
_NAMES = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTHS = {name: month for month, name in enumerate(_NAMES, 1)}


@lru_cache(maxsize=256)
def iso_ns(text: bytes) -> int | None:
    """Read ``2026-11-29 15:09:09`` (or with ``T``) as if it were UTC.

    Returns:
        Nanoseconds since 1970, :data:`IMPOSSIBLE`, or None for text of another form.
    """
    match = _ISO.fullmatch(text)
    return None if match is None else _naive_ns(*map(int, match.groups()))


@lru_cache(maxsize=256)
def common_ns(text: bytes) -> int | None:
    """Read ``29/Nov/2026:15:09:09`` (the form of the common log format) as if it were UTC.

    Returns:
        Nanoseconds since 1970, :data:`IMPOSSIBLE`, or None for text of another form.
    """
    match = _COMMON.fullmatch(text)
    if match is None:
        return None
    day, name, year, hour, minute, second = match.groups()
    month = _MONTHS.get(name)
    return None if month is None else _naive_ns(int(year), month, int(day), int(hour), int(minute), int(second))


def _naive_ns(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    try:
        since = datetime(year, month, day, hour, minute, second) - _EPOCH
    except ValueError:
        return IMPOSSIBLE
    return max(IMPOSSIBLE, (since.days * 86_400 + since.seconds) * 10**9)


class LocalTime:
    """Wall times of one zone (None: the machine's), as UTC.

    When clocks are set back, an hour of wall time occurs twice: it is read as the first of the two. A wall time that
    clocks skip when they are set forward is read with the offset before the change, so 02:30 becomes 03:30.
    """

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._offsets: dict[int, int] = {}

    def utc_ns(self, naive_ns: int) -> int:
        """Return the UTC time of a wall time, both in nanoseconds. Near 1970 it can be negative.

        Args:
            naive_ns: A wall time from 1970 to 9999, read as if it were UTC.
        """
        minute = naive_ns // _MINUTE_NS
        offset_ns = self._offsets.get(minute)
        if offset_ns is None:
            if len(self._offsets) >= _CACHED_MINUTES:
                self._offsets.clear()
            offset_ns = self._offsets[minute] = _offset_ns(self._zone, minute)
        return naive_ns - offset_ns


def _offset_ns(zone: tzinfo | None, minute: int) -> int:
    """Return how far a zone is ahead of UTC in a minute of its wall time."""
    wall = _EPOCH + timedelta(minutes=minute)
    try:
        if zone is not None:
            return (wall.replace(tzinfo=zone).utcoffset() or timedelta()) // _MICROSECOND * 1000
        # astimezone() has the offset after the change for a skipped hour, from Python 3.12 on
        return minute * _MINUTE_NS - round(wall.timestamp()) * 10**9
    except (OverflowError, ValueError, OSError):  # the machine's zone has no rules for the last years
        return 0
