"""Parts that the observers of HTTP proxies share: method, status, sessions, shapes, and the time of ``combined``.

A client chooses the method of its request, so only known methods become a value of an attribute.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from otel_logtail.model import Shape
from otel_logtail.observers.local_time import IMPOSSIBLE, common_ns

OTHER_METHOD = "_OTHER"
"""The method that stands for all unknown ones, as in OpenTelemetry's semantic conventions."""
METHOD = "http.request.method"
STATUS_CLASS = "http.response.status_class"

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
"""The methods of RFC 9110, and PATCH (RFC 5789). Methods are case-sensitive."""
_METHODS: dict[str | bytes, str] = {name: name for name in METHODS} | {name.encode(): name for name in METHODS}
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""The errors of a line that is not the expected JSON."""
_OFFSET = re.compile(rb" ([+-])([0-9]{2})([0-5][0-9])")
_MOST_OFFSET_H = 15  # no zone is further from UTC
_CLASSES = tuple(f"{code // 100}xx" if code < 600 else "0xx" for code in range(1000))


def method(text: str | bytes) -> str:
    """Return a known method as it is, and ``_OTHER`` for any other text."""
    return _METHODS.get(text, OTHER_METHOD)


def status_class(code: int) -> str:
    """Return ``1xx`` to ``5xx``; ``0xx`` is every number that is not an HTTP status (no response, or a wrong one)."""
    return _CLASSES[code] if 0 <= code < 1000 else "0xx"


@lru_cache(maxsize=256)  # lines of one second follow each other
def stamp_ns(text: bytes) -> int | None:
    """Read a time with its offset, such as ``29/Nov/2026:15:43:05 +0530``.

    Returns:
        Nanoseconds since 1970, :data:`local_time.IMPOSSIBLE`, or None for text of another form.
    """
    offset, local_ns = _OFFSET.fullmatch(text[20:]), common_ns(text[:20])
    if offset is None or local_ns is None:
        return None
    hours, minutes = int(offset[2]), int(offset[3])
    if local_ns < 0 or hours >= _MOST_OFFSET_H:
        return IMPOSSIBLE
    ahead_ns = (hours * 60 + minutes) * 60 * 10**9
    return max(IMPOSSIBLE, local_ns + ahead_ns if offset[1] == b"-" else local_ns - ahead_ns)


def is_session(status: int, name: str | bytes) -> bool:
    """Return whether a request became a session, which lasts as long as it likes: a WebSocket, or a tunnel."""
    return status == 101 or (name in ("CONNECT", b"CONNECT") and 200 <= status < 300)


class Shapes:
    """The shapes of one kind of line, by the values of its attributes.

    Shapes are kept, so that equal values give the same object. At most ``most`` are kept: the names of servers and
    routes come from a configuration, and a log can hold the names of many. ``attributes`` are the names of the
    attributes; an empty value means that the line does not have the attribute.
    """

    def __init__(self, stages: Sequence[str], attributes: Sequence[str], most: int = 1024) -> None:
        self._stages = tuple(stages)
        self._attributes = tuple(attributes)
        self._most = most
        self._shapes: dict[tuple[str, ...], Shape] = {}

    def of(self, *values: str) -> Shape:
        """Return the shape for the values of all attributes, in the order of their names in the constructor."""
        shape = self._shapes.get(values)
        return self._add(values) if shape is None else shape

    def _add(self, values: tuple[str, ...]) -> Shape:
        if len(self._shapes) >= self._most:
            self._shapes.clear()
        named = sorted((name, value) for name, value in zip(self._attributes, values, strict=True) if value)
        shape = self._shapes[values] = Shape(self._stages, tuple(named))
        return shape
