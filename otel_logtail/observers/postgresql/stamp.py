"""The time of a record: ``2026-11-29 15:15:15.045 CET``, local time with the abbreviation of the zone. Pure.

An abbreviation alone is ambiguous: ``IST`` is used in three zones. So local times are read in the configured zone, and
the abbreviation is compared with that of the zone:

- If the abbreviation is UTC, GMT or an offset such as ``-03`` or ``+0545``, the time is known regardless of the
  configured zone.
- When clocks are set back, the abbreviation decides which of the two equal times is meant.
- If the zone has another abbreviation at that time, the configured zone is wrong, and the time is unknown.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from otel_logtail.observers.local_time import IMPOSSIBLE, iso_ns

_STAMP = re.compile(rb'"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{3}) ([A-Za-z0-9+-]{1,10})"')
_OFFSET = re.compile(r"[+-]\d\d(?:\d\d)?")
_UNNAMED = ("UTC+", "UTC-")  # a fixed offset without an abbreviation, which cannot be compared
_EPOCH = datetime(1970, 1, 1)
_MINUTE_NS = 60 * 10**9


class Stamps:
    """Reads the times of records. ``zone`` is that of times whose abbreviation is ambiguous (None: the machine's)."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        # lines of one second follow each other; the zone is asked once a minute
        self._second_ns = lru_cache(maxsize=64)(self._read_second)
        self._ahead_ns = lru_cache(maxsize=1024)(self._find_offset)

    def read(self, text: bytes) -> int | None:
        """Return a time, which is given with its quotes, in UTC.

        Returns:
            Nanoseconds; negative: there is no such time in the configured zone; None: text of another form.
        """
        match = _STAMP.fullmatch(text)
        if match is None:
            return None
        second, millisecond, abbreviation = match.groups()
        second_ns = self._second_ns(second, abbreviation)
        return IMPOSSIBLE if second_ns is None else second_ns + int(millisecond) * 10**6

    def _read_second(self, second: bytes, abbreviation: bytes) -> int | None:
        local_ns = iso_ns(second)
        if local_ns is None or local_ns == IMPOSSIBLE:
            return None
        ahead_ns = self._ahead_ns(local_ns // _MINUTE_NS, abbreviation.decode())
        return None if ahead_ns is None or ahead_ns > local_ns else local_ns - ahead_ns

    def _find_offset(self, minute: int, abbreviation: str) -> int | None:
        """Return how far the zone of an abbreviation is ahead of UTC in a minute of its wall time."""
        if abbreviation in ("UTC", "GMT"):
            return 0
        if _OFFSET.fullmatch(abbreviation):
            minutes = int(abbreviation[1:3]) * 60 + int(abbreviation[3:] or 0)
            return (minutes if abbreviation[0] == "+" else -minutes) * _MINUTE_NS
        wall = _EPOCH + timedelta(minutes=minute)
        for fold in (0, 1):
            local = wall.replace(fold=fold, tzinfo=self._zone)
            try:
                local = local.astimezone() if self._zone is None else local
            except (OverflowError, ValueError, OSError):  # the machine's zone has no rules for the last years
                return None
            ahead = local.utcoffset()
            name = local.tzname() or _UNNAMED[0]
            if (name == abbreviation or name.startswith(_UNNAMED)) and ahead is not None:
                return ahead // timedelta(microseconds=1) * 1000
        return None
