"""HAProxy's timers of a request as the parts of its duration. Pure.

``TR/Tw/Tc/Tr/Ta`` are milliseconds: the header of the request, the queue, the connect, the wait for the header of the
response, and all of it. The rest is the transfer of the body. A timer of -1 means that the request did not get there:
the rest of the duration then belongs to the first of these.
"""

from __future__ import annotations

STAGES = ("request", "queue", "connect", "server", "data")
OVERHEAD_STAGES = STAGES[:3]

JITTER_MS = 10
"""How much longer than the whole the parts can be, since each is rounded."""
DAY_MS = 86_400_000

_MS = 10**6

Parts = tuple[int | None, int | None, int | None, int | None, int | None]
"""The five stages in nanoseconds. None: the request did not get there."""


def parts_of(request: int, queue: int, connect: int, server: int, active: int, is_early: bool) -> Parts | None:
    """Return the parts of a duration; None: the timers cannot be true.

    Args:
        request: ``TR`` in milliseconds.
        queue: ``Tw``.
        connect: ``Tc``.
        server: ``Tr``.
        active: ``Ta``.
        is_early: The line was written before the body was transferred (``option logasap``).
    """
    if not 0 <= active <= DAY_MS:
        return None
    if request < 0 or queue < 0 or connect < 0 or server < 0:
        return _cut_short([request, queue, connect, server], active)
    data = active - request - queue - connect - server
    if data < 0:
        if data < -JITTER_MS:
            return None
        data = 0
    return request * _MS, queue * _MS, connect * _MS, server * _MS, None if is_early else data * _MS


def _cut_short(timers: list[int], active: int) -> Parts | None:
    """Return the parts of a request that did not get to all stages."""
    rest = active - sum(timer for timer in timers if timer > 0)
    if rest < -JITTER_MS or min(timers) < -1:
        return None
    timers[timers.index(-1)] = max(0, rest)
    request, queue, connect, server = (None if timer < 0 else timer * _MS for timer in timers)
    return request, queue, connect, server, None


def cause_of(parts: Parts) -> str:
    """Return the largest part; of equal parts, the first in the order of this function."""
    request, queue, connect, server = parts[0] or 0, parts[1] or 0, parts[2] or 0, parts[3] or 0
    data = parts[4] or 0
    if server >= queue and server >= connect and server >= request and server >= data:
        return "server"
    if queue >= connect and queue >= request and queue >= data:
        return "queue"
    if connect >= request and connect >= data:
        return "connect"
    return "request" if request >= data else "data"


def overhead_of(parts: Parts) -> tuple[int, str]:
    """Return the time before the request reaches the server, in nanoseconds, and its largest part."""
    request, queue, connect = parts[0] or 0, parts[1] or 0, parts[2] or 0
    after = "connect" if connect >= request else "request"
    cause = "queue" if queue >= connect and queue >= request else after
    return request + queue + connect, cause
