"""The recommended ``json_format`` of Envoy: which lines are of it, their values, and the parts of a duration. Pure.

All times are milliseconds from the start of the request: until the request was received, was sent to the upstream
(after all failed attempts), and until the header of the response. The time until the connection was ready counts from
the request for it. None: the request did not get there. Texts that a client chooses are not decoded.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.observers.http import UNREADABLE
from otel_logtail.trace import parse_traceparent

STAGES = ("request", "pool", "upstream", "body")
JITTER_MS = 10
"""How much later than the end a part can end, since each is rounded."""
DAY_MS = 86_400_000

_MS = 10**6
_MARK = b'"start_ns":'
_MISSING = (None, "", "-")
_NULLS = (b"null", b'"-"', b'""')  # a field that is not logged is empty
_HINT = "use the json_format of 'otel-logtail observers show envoy'"

_Name = Annotated[str, msgspec.Meta(max_length=256)]
_NONE = msgspec.Raw()

Parts = tuple[int | None, int | None, int, int | None]
"""The four stages in nanoseconds. None: the request did not get there."""


class Entry(msgspec.Struct, gc=False):
    """The known values of a line. ``duration`` is None if the request is not over."""

    start_ns: int
    duration: int | None
    status: int
    start: str = ""
    request_ms: int | None = None
    request_tx_ms: int | None = None
    response_ms: int | None = None
    pool_ready_ms: int | None = None
    cluster: _Name | None = None
    method: msgspec.Raw = _NONE
    path: msgspec.Raw = _NONE
    trace: _Name | None = None
    traceparent: msgspec.Raw = _NONE

    def is_request(self) -> bool:
        """Return whether Envoy read a request: a TCP proxy logs no method, and a broken request has no path."""
        if bytes(self.method) in _NULLS:
            return False
        return self.cluster not in _MISSING or bytes(self.path) not in _NULLS

    def parts(self) -> Parts | None:
        """Return the parts of the duration; None: they cannot be true."""
        total = self.duration or 0
        request, sent, response, pool = self.request_ms, self.request_tx_ms, self.response_ms, self.pool_ready_ms
        for part in (request, sent, response, pool):
            if part is not None and not 0 <= part <= total + JITTER_MS:
                return None
        if not 0 <= total <= DAY_MS:
            return None
        request_ns, pool_ns = None if request is None else request * _MS, None if pool is None else pool * _MS
        if response is None:
            return request_ns, pool_ns, max(0, total - (request or 0) - (pool or 0)) * _MS, None
        upstream = max(0, response - (sent or 0))  # a response can start before the request is sent
        return request_ns, pool_ns, upstream * _MS, max(0, total - response) * _MS

    def context(self) -> bytes:
        """Return the trace context: what the client sent, unless Envoy's own trace is another one."""
        found = parse_traceparent(bytes(self.traceparent)[1:-1])
        return found if self.trace in _MISSING or found[:16].hex() == self.trace else b""


def cause_of(parts: Parts) -> str:
    """Return the largest part; of equal parts, the first in the order of this function."""
    request, pool, upstream, body = parts[0] or 0, parts[1] or 0, parts[2], parts[3] or 0
    if upstream >= pool and upstream >= request and upstream >= body:
        return "upstream"
    if pool >= request and pool >= body:
        return "pool"
    return "request" if request >= body else "body"


def is_json_form(line: bytes) -> bool:
    """Return whether a line is of the recommended form, or was before it was changed or cut."""
    return line.startswith(b"{") and _MARK in line


_decode = msgspec.json.Decoder(Entry, strict=False).decode  # older versions quote all values


def read(line: bytes) -> Entry:
    """Read a line of the recommended form.

    Raises:
        Drift: a value is missing or is not a number, or the line is cut.
    """
    try:
        return _decode(line)
    except UNREADABLE:
        pass
    try:
        return _decode(line.replace(b':"-"', b":null"))  # older versions write a missing value as text
    except UNREADABLE as problem:
        raise Drift(f"envoy: a JSON line cannot be read: {type(problem).__name__}", hint=_HINT) from None
