"""Lines of headroom's log that can be found again in the store and at a receiver: each has a duration of its own."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone, tzinfo

MS = 10**6
T0 = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=1)
"""Time of the first line: recent enough that nothing has expired."""
SLOW_MS = 600


def line(
    number: int, *, ms: int = 20, at: datetime | None = None, zone: tzinfo = timezone.utc, more: str = ""
) -> bytes:
    """Return the line of a request that took ``ms`` and ``number`` microseconds and ended at ``at``.

    Without ``at`` lines are 10 ms apart. ``zone`` is that of headroom's machine; ``more`` goes into the payload.
    """
    at = at or T0 + number * timedelta(milliseconds=10)
    total_ms = ms + number / 1000
    began_s = int((at - timedelta(milliseconds=total_ms)).timestamp())
    request_id = f"hr_{began_s}_{number:06d}"
    local = at.astimezone(zone)
    stages = f'{{"pre_upstream_wait": {total_ms:.3f}, "read_request_json": null, "total_pre_upstream": {total_ms:.3f}}}'
    return (
        f"{local:%Y-%m-%d %H:%M:%S},{local.microsecond // 1000:03d} - headroom.proxy - INFO - [{request_id}]"
        ' STAGE_TIMINGS {"event": "stage_timings", "path": "anthropic_messages",'
        f' "request_id": "{request_id}", {more}"stages": {stages}}}\n'
    ).encode()


def lines(first: int, end: int, *, ms: int = 20) -> bytes:
    """Return the lines of these numbers."""
    return b"".join(line(number, ms=ms) for number in range(first, end))


def started(number: int) -> bytes:
    """Return the line of a start of headroom, which is a mark, at the time of the line of this number."""
    at = T0 + number * timedelta(milliseconds=10)
    stamp = f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03d}"
    return f"{stamp} - headroom.proxy - INFO - Headroom Proxy started (version 0.42.{number})\n".encode()


def durations(first: int, end: int, *, ms: int = 20) -> Counter[int]:
    """Return the durations (ns) in a store that has read the lines of these numbers, each once."""
    return Counter(ms * MS + number * 1000 for number in range(first, end))
