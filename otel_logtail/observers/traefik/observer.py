"""Observer of traefik: the access log as JSON, and in the default text format (``common``, see ``common.py``).

A JSON line of traefik 3.7 (its keys are sorted; most are left out here)::

    {"DownstreamStatus":200,"Duration":701849072,"OriginDuration":701749000,"OriginStatus":200,"Overhead":100072,
     "RequestMethod":"GET","RouterName":"app@file","ServiceName":"app@file","StartUTC":"2026-11-29T15:12:19.442791322Z",
     "entryPointName":"web","level":"info","msg":"","time":"2026-11-29T15:12:20Z"}

All durations are in nanoseconds, and ``Duration`` is ``OriginDuration`` (the service's part) and ``Overhead`` together.
A sample ends at ``StartUTC`` and ``Duration``; traefik's zone is set by dropping ``StartUTC``, then ``StartLocal`` is
the start. Go's encoder escapes all text of clients, so they cannot write a key.

======================================================  ==================================================
no ``Duration`` or no ``DownstreamStatus``              ``Ignored``: traefik's own log
status 0 or 101, or CONNECT that succeeded              ``Ignored``: the session of a WebSocket, a tunnel
another type of these, no start, broken JSON            ``Drift``
negative, longer than a day, parts are not the whole    ``Rejected("bounds")``
no such time                                            ``Rejected("time")``
a JSON line with text before it                         ``Rejected("misplaced")``
======================================================  ==================================================

If a response breaks off in its body, traefik writes ``OriginDuration`` and ``OriginStatus`` as 0 and counts the whole
request as its overhead, which is not true: these samples have the cause ``aborted`` and no parts, and the overhead
ignores them. Without a service (a redirect, a refused login) traefik answered by itself: all is overhead.
"""

from __future__ import annotations

import re

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample, Shape
from otel_logtail.observer import Observer, PathRule
from otel_logtail.observers.http import METHOD, STATUS_CLASS, UNREADABLE, Shapes, is_session, method, status_class
from otel_logtail.observers.local_time import IMPOSSIBLE, iso_ns
from otel_logtail.observers.traefik.common import MAX_NS, read_common
from otel_logtail.trace import join_trace, parse_traceparent

STAGES = ("origin", "overhead")
_ATTRIBUTES = (METHOD, STATUS_CLASS, "traefik.entry_point", "traefik.router", "traefik.service")
_HINT = "use the accessLog of 'otel-logtail observers show traefik'; if it is there, look for a newer otel-logtail"
_MARKER = b'"Duration":'
_MOST_REST_NS = 10**6  # the parts are the whole, so more between them is another unit in one of the three
_LONGEST_NAME = 200
_END_NS = 2**63  # the largest time in the store
_FRACTION = 20  # where the fraction starts in b'"2026-11-29T15:12:19.442791322Z"'
_SCALES = tuple(10 ** (9 - digits) for digits in range(10))
_NONE = msgspec.Raw(b"")

_IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
_MISPLACED = Rejected("misplaced")
_TIME = Rejected("time")


_KEYS = {
    "status": "DownstreamStatus",
    "duration": "Duration",
    "start": "StartUTC",
    "local_start": "StartLocal",
    "origin": "OriginDuration",
    "origin_status": "OriginStatus",
    "overhead": "Overhead",
    "method": "RequestMethod",
    "router": "RouterName",
    "service": "ServiceName",
    "entry_point": "entryPointName",
    "trace_id": "TraceId",
    "span_id": "SpanId",
    "traceparent": "request_Traceparent",
}


class _Line(msgspec.Struct, gc=False, rename=_KEYS):
    """The known fields of an access line. Text that a client chooses is not decoded."""

    status: int | None = None
    duration: int | None = None
    start: msgspec.Raw = _NONE
    local_start: msgspec.Raw = _NONE
    origin: int | None = None
    origin_status: int | None = None
    overhead: int | None = None
    method: msgspec.Raw = _NONE
    router: str = ""
    service: str = ""
    entry_point: str = ""
    trace_id: msgspec.Raw = _NONE
    span_id: msgspec.Raw = _NONE
    traceparent: msgspec.Raw = _NONE


class _Kind(msgspec.Struct, rename="pascal"):
    """The fields that make a line an access line, of any type."""

    downstream_status: msgspec.Raw = _NONE
    duration: msgspec.Raw = _NONE


_decode = msgspec.json.Decoder(_Line).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode


class TraefikObserver(Observer):
    """Reads requests from traefik's access log (tried with 3.7.15).

    Args:
        measure: ``total``: the whole request; ``overhead``: what traefik itself counts as its part.
    """

    name = "traefik"
    source = "traefik"
    marker = b""
    """The two formats have nothing in common, and nearly all lines are samples."""

    def __init__(self, measure: str = "total") -> None:
        self._overhead = measure == "overhead"
        self._shapes = Shapes(() if self._overhead else STAGES, _ATTRIBUTES)
        self._common = Shapes((), (METHOD, STATUS_CLASS))

    def paths(self) -> PathRule:
        """Return the access log of the documentation; ``traefik.log`` beside it is traefik's own."""
        return PathRule(patterns=("/var/log/traefik/access*.log",), live=r"access[\w.-]*\.log")

    def observe(self, line: bytes) -> Observed:
        """Read one line, as in the table above.

        Raises:
            Drift: traefik's format changed, or fields are left out by its configuration.
        """
        if not line.startswith(b"{"):
            if line.endswith(b"ms"):
                return _IGNORED if self._overhead else read_common(line, self._common)
            is_access = _MARKER in line and b'"DownstreamStatus":' in line and line.endswith(b"}")
            return _MISPLACED if is_access else _IGNORED
        if _MARKER not in line:
            return _IGNORED
        try:
            found = _decode(line)
        except UNREADABLE as error:
            return _not_access(line, error)
        status, total_ns = found.status, found.duration
        if status is None or total_ns is None:
            return _IGNORED
        start = bytes(found.start)
        start_ns = _start_ns(start) if start else _local_start_ns(bytes(found.local_start))
        if start_ns is None:
            raise Drift(f"traefik: StartUTC is not a time in UTC: {bytes(found.start)[:40]!r}", hint=_HINT)
        name = method(bytes(found.method)[1:-1])
        if status == 0 or is_session(status, name):
            return _IGNORED
        if not 0 <= total_ns <= MAX_NS:
            return _BOUNDS
        if start_ns < 0 or start_ns + total_ns >= _END_NS:
            return _TIME
        return self._sample(found, start_ns + total_ns, total_ns, self._shape(found, name, status))

    def _sample(self, found: _Line, time_ns: int, total_ns: int, shape: Shape) -> Observed:
        """Return the sample of a line whose time and total are possible."""
        origin_ns, overhead_ns = found.origin, found.overhead
        if origin_ns is None:
            origin_ns = 0 if overhead_ns is None else total_ns - overhead_ns
        if overhead_ns is None:
            overhead_ns = total_ns - origin_ns
        if origin_ns < 0 or overhead_ns < 0 or not 0 <= total_ns - origin_ns - overhead_ns <= _MOST_REST_NS:
            return _BOUNDS
        stage_ns: tuple[int | None, ...] = (origin_ns, overhead_ns)
        cause = "origin" if origin_ns >= overhead_ns else "overhead"
        if not origin_ns and not found.service:
            stage_ns, cause = (None, overhead_ns), "overhead"
        elif found.origin is found.overhead is None:
            stage_ns, cause = (None, None), "request"  # the configuration drops both
        elif not origin_ns and not found.origin_status:
            stage_ns, cause = (None, None), "aborted"
        if self._overhead:
            if stage_ns[1] is None:
                return _IGNORED
            total_ns, stage_ns, cause = overhead_ns, (), "overhead"
        return Sample(time_ns, total_ns, time_ns, cause, cause, shape, stage_ns, _trace(found))

    def _shape(self, found: _Line, name: str, status: int) -> Shape:
        entry_point, router, service = found.entry_point, found.router, found.service
        if len(entry_point) + len(router) + len(service) > _LONGEST_NAME:
            entry_point, router, service = (text[:_LONGEST_NAME] for text in (entry_point, router, service))
        return self._shapes.of(name, status_class(status), entry_point, router, service)


def _not_access(line: bytes, error: Exception) -> Ignored:
    """Return Ignored for a line that is not an access line, whatever the types of its fields.

    Raises:
        Drift: it is one, or it is not JSON.
    """
    try:
        kind = _decode_kind(line)
    except UNREADABLE:
        kind = None
    if kind is not None and not (bytes(kind.downstream_status) and bytes(kind.duration)):
        return _IGNORED
    raise Drift(f"traefik: an access line can't be read: {error}", hint=_HINT) from error


def _start_ns(text: bytes) -> int | None:
    """Read ``"2026-11-29T15:12:19.442791322Z"``, with its quotes; negative: no such time; None: another form."""
    second_ns = iso_ns(text[1:_FRACTION])
    fraction = text[_FRACTION + 1 : -2]
    if second_ns is None or not text.endswith(b'Z"'):
        return None
    if not fraction:
        return second_ns if len(text) == _FRACTION + 2 else None
    if text[_FRACTION] != _DOT or not fraction.isdigit() or len(fraction) >= len(_SCALES):
        return None
    return second_ns if second_ns < 0 else second_ns + int(fraction) * _SCALES[len(fraction)]


def _local_start_ns(text: bytes) -> int | None:
    """Read ``"2026-11-29T20:42:19.442791322+05:30"``, as :func:`_start_ns` does: the start in traefik's zone."""
    offset = _OFFSET.fullmatch(text[-_OFFSET_LENGTH:])
    if offset is None:
        return _start_ns(text)
    start_ns = _start_ns(text[:-_OFFSET_LENGTH] + b'Z"')
    hours, minutes = int(offset[2]), int(offset[3])
    if start_ns is None or start_ns < 0 or hours > _MOST_HOURS:
        return start_ns if start_ns is None else IMPOSSIBLE
    ahead_ns = (hours * 60 + minutes) * 60 * 10**9
    return start_ns + ahead_ns if offset[1] == b"-" else start_ns - ahead_ns


_DOT = ord(".")
_OFFSET = re.compile(rb'([+-])(\d\d):([0-5]\d)"')
_OFFSET_LENGTH = 7
_MOST_HOURS = 14  # no zone is further from UTC


def _trace(found: _Line) -> bytes:
    """Return traefik's own span, or the client's if the header is logged; empty: neither."""
    if trace_id := bytes(found.trace_id):
        return join_trace(trace_id[1:-1], bytes(found.span_id)[1:-1])
    parent = bytes(found.traceparent)
    return parse_traceparent(parent[1:-1]) if parent else b""
