"""Observer of caddy: access lines of its JSON log (tried with 2.6.2 and 2.11.7).

A line (most fields are left out here; the last three are from ``log_append``, see the recommended configuration)::

    {"level":"info","ts":1795965137.752,"logger":"http.log.access.log0","msg":"handled request",
     "request":{"method":"GET","headers":{"Traceparent":["00-…-01"]}},"duration":0.725843567,"status":200,
     "resp_headers":{},"route":"shop","up_duration":725.720618,"up_latency":725.548988}

``ts`` is the end in seconds since the epoch, ``duration`` is in seconds, ``up_*`` in milliseconds. The encoder escapes
all text of clients, so they cannot write a key, and only known fields are decoded.

======================================================  ==================================================
another logger or message                               ``Ignored``: errors of the same requests, caddy's own log
status 101, or 0 with an ``Upgrade`` response header    ``Ignored``: the session of a WebSocket
a CONNECT that succeeded                                ``Ignored``: a tunnel
a duration of 0                                         ``Ignored``: 2.11 writes it if a response broke off in its body
other units: ``ts`` is text or has no seconds,          ``Drift``: nothing else distinguishes units
``duration`` is text or a whole number other than 0
broken JSON, a known field missing or of another type   ``Drift``
negative, longer than a day, parts exceed the whole     ``Rejected("bounds")``
no such time                                            ``Rejected("time")``
a JSON line with text before it                         ``Rejected("misplaced")``
======================================================  ==================================================

Without the fields of ``log_append`` a request has no parts, and its cause is ``request``.
"""

from __future__ import annotations

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observer import Observer, PathRule
from otel_logtail.observers.http import METHOD, STATUS_CLASS, UNREADABLE, Shapes, is_session, method, status_class
from otel_logtail.trace import join_trace, parse_traceparent

STAGES = ("wait", "body", "caddy")
_CAUSES = ("upstream", "body", "caddy")
_ATTRIBUTES = (METHOD, STATUS_CLASS, "caddy.route")
MAX_S = 86_400.0
SLACK_NS = 10**6
"""How much longer than the whole its parts may be: they are read at different moments."""

_HINT = "set time_format and duration_format back, as in 'otel-logtail observers show caddy'"
_MARKER = b'"msg":"handled request"'
_LATEST_S = 1e11  # a larger number is not a time in seconds
_LONGEST_ROUTE = 102  # with its quotes
_TRACEPARENT = 55  # bytes of a traceparent
_NONE = msgspec.Raw(b"")

_IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
_MISPLACED = Rejected("misplaced")
_TIME = Rejected("time")


class _Headers(msgspec.Struct, gc=False):
    traceparent: msgspec.Raw = msgspec.field(name="Traceparent", default=_NONE)


class _Request(msgspec.Struct, gc=False):
    method: msgspec.Raw = _NONE
    headers: _Headers | None = None


class _Line(msgspec.Struct, gc=False):
    """The known fields of an access line. Text that a client chooses is not decoded."""

    ts: float | str
    logger: str
    msg: str
    duration: int | float | str
    status: int
    request: _Request | None = None
    resp_headers: msgspec.Raw = _NONE
    route: msgspec.Raw = _NONE
    up_latency: float | str | None = None
    up_duration: float | str | None = None
    trace_id: msgspec.Raw = msgspec.field(name="traceID", default=_NONE)
    span_id: msgspec.Raw = msgspec.field(name="spanID", default=_NONE)


class _Kind(msgspec.Struct):
    """The fields that make a line an access line."""

    logger: str = ""
    msg: str = ""


class _Answer(msgspec.Struct):
    upgrade: msgspec.Raw = msgspec.field(name="Upgrade", default=_NONE)


_decode = msgspec.json.Decoder(_Line).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_answer = msgspec.json.Decoder(_Answer | None).decode


class CaddyObserver(Observer):
    """Reads requests from caddy's access log (versions 2.6.2 to 2.11.7).

    Args:
        measure: ``total``: the whole request; ``overhead``: all but the upstream's part, of lines that have it.
    """

    name = "caddy"
    source = "caddy"
    marker = b""  # each line is counted: the others are ignored

    def __init__(self, measure: str = "total") -> None:
        self._overhead = measure == "overhead"
        self._whole = Shapes((), _ATTRIBUTES)
        self._parts = Shapes(STAGES, _ATTRIBUTES)
        self._routes: dict[bytes, str] = {}

    def paths(self) -> PathRule:
        """Return the logs of the documentation's folder, without names that caddy gives to rotated files."""
        rolled = r"(?!.*-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}(?:-\w+)?\.log)"
        return PathRule(patterns=("/var/log/caddy/*.log",), live=rolled + r".+\.log")

    def observe(self, line: bytes) -> Observed:
        """Read one line, as in the table above.

        Raises:
            Drift: caddy's format changed, or the configuration sets other units.
        """
        if _MARKER not in line:
            return _IGNORED
        if not line.startswith(b"{"):
            return _MISPLACED
        try:
            found = _decode(line)
        except UNREADABLE as error:
            return _not_access(line, error)
        if not found.logger.startswith("http.log.access") or found.msg != "handled request":
            return _IGNORED
        took_s, end_s, status = found.duration, found.ts, found.status
        if isinstance(end_s, str) or end_s >= _LATEST_S:
            raise Drift("caddy: ts is not in seconds since the epoch", hint=_HINT)
        if not isinstance(took_s, float) and took_s != 0:
            raise Drift("caddy: the duration is not a fraction of seconds", hint=_HINT)
        request = found.request
        name = "" if request is None else method(bytes(request.method)[1:-1])
        if took_s == 0 or is_session(status, name) or (status == 0 and _is_upgraded(found)):
            return _IGNORED
        if not 0 < took_s <= MAX_S:
            return _BOUNDS
        total_ns, time_ns = round(took_s * 1e9), round(end_s * 1e9)
        if time_ns < total_ns:
            return _TIME
        return self._sample(found, time_ns, total_ns, name)

    def _sample(self, found: _Line, time_ns: int, total_ns: int, name: str) -> Observed:
        """Return the sample of a line whose time and total are possible."""
        up_ms, wait_ms = found.up_duration, found.up_latency
        route = self._route(bytes(found.route))
        status = status_class(found.status)
        trace = _trace(found)
        if not isinstance(up_ms, float) or not isinstance(wait_ms, float):
            if self._overhead:
                return _IGNORED
            return Sample(
                time_ns, total_ns, time_ns, "request", "request", self._whole.of(name, status, route), (), trace
            )
        if not 0 <= wait_ms <= MAX_S * 1e3 or not 0 <= up_ms <= MAX_S * 1e3:
            return _BOUNDS
        up_ns, wait_ns = round(up_ms * 1e6), round(wait_ms * 1e6)
        if up_ns > total_ns + SLACK_NS or wait_ns > up_ns + SLACK_NS:
            return _BOUNDS
        own_ns = max(0, total_ns - up_ns)
        if self._overhead:
            return Sample(time_ns, own_ns, time_ns, "caddy", "caddy", self._whole.of(name, status, route), (), trace)
        stage_ns = (wait_ns, max(0, up_ns - wait_ns), own_ns)
        longest = stage_ns.index(max(stage_ns))
        shape = self._parts.of(name, status, route)
        return Sample(time_ns, total_ns, time_ns, _CAUSES[longest], STAGES[longest], shape, stage_ns, trace)

    def _route(self, text: bytes) -> str:
        """Return the constant of ``log_append route``; empty for none, and for text that cannot be a constant."""
        if not text or len(text) > _LONGEST_ROUTE:
            return ""
        route = self._routes.get(text)
        if route is None:
            if len(self._routes) >= _MOST_ROUTES:
                self._routes.clear()
            plain = text[1:-1]
            known = text.startswith(b'"') and plain.isascii() and b"\\" not in plain
            route = self._routes[text] = plain.decode("ascii") if known else ""
        return route


_MOST_ROUTES = 1024


def _not_access(line: bytes, error: Exception) -> Ignored:
    """Return Ignored for a line that is not an access line, whatever the types of its other fields.

    Raises:
        Drift: it is one, or it is not JSON.
    """
    try:
        kind = _decode_kind(line)
    except UNREADABLE:
        kind = None
    if kind is not None and not (kind.logger.startswith("http.log.access") and kind.msg == "handled request"):
        return _IGNORED
    raise Drift(f"caddy: an access line can't be read: {error}", hint=_HINT) from error


def _is_upgraded(found: _Line) -> bool:
    """Return whether the response has the header Upgrade: caddy 2.6 logs a WebSocket with the status 0."""
    try:
        answer = _decode_answer(found.resp_headers)
    except UNREADABLE:
        return False
    return answer is not None and bool(bytes(answer.upgrade))


def _trace(found: _Line) -> bytes:
    """Return caddy's own span, or the client's; empty: neither."""
    if trace_id := bytes(found.trace_id):
        return join_trace(trace_id[1:-1], bytes(found.span_id)[1:-1])
    request = found.request
    if request is None or request.headers is None:
        return b""
    values = bytes(request.headers.traceparent)  # ["00-…-01"]; of several values, the first one
    if values[_TRACEPARENT + 2 : _TRACEPARENT + 3] != b'"':
        return b""
    return parse_traceparent(values[2 : _TRACEPARENT + 2])
