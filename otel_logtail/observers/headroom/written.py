"""When a line of headroom was written, in UTC: the id of its request shows the zone of its local time. Pure."""

from __future__ import annotations

from functools import lru_cache

SLACK_NS = 60 * 10**9
"""How much longer than the sum of its durations a request may have taken until its line was written."""
JITTER_NS = 10**9
"""How far the time of a line may be before its request: clocks are set back, and the log truncates times."""
QUARTER_NS = 15 * 60 * 10**9
"""The offset of every zone in use is a multiple of it."""
WEST_NS, EAST_NS = -12 * 3600 * 10**9, 14 * 3600 * 10**9
"""The offsets of the zones that are furthest from UTC."""

_HALF_NS = QUARTER_NS // 2
_EPOCH_DIGITS = 12  # of seconds; a longer number is not a time


@lru_cache(maxsize=64)  # requests of one second follow each other
def epoch_ns(prefix: bytes) -> int | None:
    """Return the time in the id of a request, without its last field (``hr_1795457770``); None: it has none."""
    epoch = prefix.removeprefix(b"hr_")
    if not epoch.isdigit() or epoch == prefix:
        return None
    return int(epoch[: _EPOCH_DIGITS + 1]) * 10**9  # a longer one is out of range, regardless of its other digits


def logged_at_ns(local_ns: int, began_ns: int, took_ns: int) -> int:
    """Return when the line was written, in UTC, for a request that took ``took_ns``; -1: that cannot be true."""
    ahead_ns = local_ns - began_ns - took_ns
    # the part that the zone, a whole number of quarter hours, does not explain
    late_ns = (ahead_ns + _HALF_NS) % QUARTER_NS - _HALF_NS
    under_way_ns = took_ns + late_ns
    if late_ns > SLACK_NS or under_way_ns < -JITTER_NS or not WEST_NS <= ahead_ns - late_ns <= EAST_NS:
        return -1
    return began_ns + under_way_ns
