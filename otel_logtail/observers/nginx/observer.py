r"""Observer of nginx's access log (tried with 1.22.1), in three formats that have the time of a request.

======================================================  ==============================================================
``{"msec":"1795966985.757","request_time":"0.009",…``   the format of ``nginx.conf`` in this package: exact to 1 ms
``… "agent" rt=0.009 uct="0.000" uht=… urt="0.010"``    ``combined`` with times behind it: ends in whole seconds
``… "agent" 68 0.009 [name] [] 127.0.0.1:80 3 0.010 …`` the default format of ingress-nginx: ends in whole seconds
======================================================  ==============================================================

A sample is one request, and its duration the whole of ``$request_time``. It is split into ``connect``, ``wait`` (for
the header), ``body``, ``retry`` (attempts before the last) and ``client``: all time outside of the upstreams, such
as a slow header, a slow upload, a slow reader, ``limit_req`` and ``limit_rate``, which nginx does not tell apart. In
the format of ingress-nginx, the first three are one: ``wait``.

How a line is classified:

======================================================  ==================================================
no times in its format (``combined``), status 101, a    ``Ignored``
CONNECT that succeeded (sessions), or status 400 or
408 without an upstream (not a request)
a known field is missing or is not a number             ``Drift``: the log_format changed
quotes that nginx would have escaped                    ``Rejected("quotes")``: ``escape=none``
lists of attempts with different lengths                ``Rejected("lists")``
negative, longer than a day, header before connect …    ``Rejected("bounds")``
no such time                                            ``Rejected("time")``
a JSON line with something before it                    ``Rejected("misplaced")``
======================================================  ==================================================
"""

from __future__ import annotations

from functools import lru_cache

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample, Shape
from otel_logtail.observer import Observer, ObserverContext, PathRule
from otel_logtail.observers.http import METHOD, STATUS_CLASS, Shapes, method, status_class
from otel_logtail.observers.nginx import json_line, text_line
from otel_logtail.observers.nginx.options import MEASURE
from otel_logtail.observers.nginx.parts import (
    HINT,
    INGRESS_STAGES,
    NOTHING,
    STAGES,
    Measured,
    measure,
    measure_ingress,
)
from otel_logtail.trace import parse_traceparent

_IGNORED = Ignored()
_MISPLACED = Rejected("misplaced")
_TIME = Rejected("time")
_NOT_SAMPLES = frozenset(("101", "400", "408"))
_SWITCHED = "101"
_SUCCEEDED = "2"  # the first digit of the status of a tunnel: a module may add CONNECT to nginx
_CLASSES = {f"{code:03d}": status_class(code) for code in range(1000)}
_LONGEST_METHOD = 16
_LONGEST_NAME = 255
_NO_TEXT = b'""'


class NginxObserver(Observer):
    """Reads the times of requests from nginx's access log."""

    name = "nginx"
    source = "nginx"
    marker = b""
    """All lines: each of them is a request, and the three formats have no text in common."""

    def __init__(self, context: ObserverContext) -> None:
        self._is_overhead = context.require(MEASURE) == "overhead"
        self._shapes = Shapes(STAGES, (METHOD, STATUS_CLASS, "nginx.server"))
        self._ingress_shapes = Shapes(INGRESS_STAGES, (METHOD, STATUS_CLASS, "nginx.upstream"))
        self._shape_of_server = lru_cache(maxsize=512)(self._server_shape)
        self._shape_of_upstream = lru_cache(maxsize=512)(self._upstream_shape)

    def paths(self) -> PathRule:
        """Return the logs of nginx's and Debian's packages. Error logs are never followed."""
        return PathRule(
            patterns=("/var/log/nginx/*.log",),
            live=r".+\.log",
            ignore=r"(?:.*[._-])?error[._-]log",
        )

    def observe(self, line: bytes) -> Observed:
        """Read one line, as in the table above.

        Raises:
            Drift: the log_format has changed.
        """
        return self._json(line) if line.startswith(json_line.START) else self._text(line)

    def _json(self, line: bytes) -> Observed:
        found = json_line.read(line)
        if isinstance(found, Rejected):
            return found
        sent = bytes(found.method)[1:-1]
        if found.status in _NOT_SAMPLES and _is_ignored(found.status, found.response_time):
            return _IGNORED
        if sent == b"CONNECT" and found.status[:1] == _SUCCEEDED:
            return _IGNORED
        measured = measure(
            found.request_time, found.connect_time, found.header_time, found.response_time, self._is_overhead
        )
        if isinstance(measured, Rejected):
            return measured
        server, traceparent = bytes(found.server), bytes(found.traceparent)
        if len(sent) > _LONGEST_METHOD or len(server) > _LONGEST_NAME:
            sent, server = _shortened(sent, server)
        trace = parse_traceparent(traceparent[1:-1]) if len(traceparent) > len(_NO_TEXT) else b""
        return _sample(json_line.end_ns(found.msec), measured, self._shape_of_server(sent, found.status, server), trace)

    def _text(self, line: bytes) -> Observed:
        found = text_line.read(line)
        if not isinstance(found, text_line.Line):
            return _MISPLACED if json_line.START in line else found
        sent, name = found.method, found.name
        if found.status in _NOT_SAMPLES and _is_ignored(found.status, found.response):
            return _IGNORED
        if sent == "CONNECT" and found.status[:1] == _SUCCEEDED:
            return _IGNORED
        if len(sent) > _LONGEST_METHOD:
            sent = ""
        if name is None:
            measured = measure(found.total, found.connect, found.header, found.response, self._is_overhead)
            shape = self._shape_of_server(sent, found.status, _NO_TEXT)
        else:
            measured = measure_ingress(found.total, found.response, self._is_overhead)
            shape = self._shape_of_upstream(sent, found.status, name if len(name) <= _LONGEST_NAME else "")
        return measured if isinstance(measured, Rejected) else _sample(found.end_ns, measured, shape, b"")

    def _server_shape(self, sent: str | bytes, status: str, server: bytes) -> Shape:
        """Return the shape of a line with a JSON text as its server."""
        return self._shapes.of(method(sent), _class_of(status), json_line.name_of(server))

    def _upstream_shape(self, sent: str, status: str, upstream: str) -> Shape:
        return self._ingress_shapes.of(method(sent), _class_of(status), "" if upstream == "-" else upstream)


def _is_ignored(status: str, response: str) -> bool:
    """Return whether a line is that of a session, or of a request that never was one."""
    return status == _SWITCHED or response in NOTHING


def _class_of(status: str) -> str:
    found = _CLASSES.get(status)
    if found is None:
        raise Drift(f"nginx: {status[:40]!r} is not a status", hint=HINT)
    return found


def _shortened(sent: bytes, server: bytes) -> tuple[bytes, bytes]:
    """Leave out a method or a server that is too long for an attribute."""
    return sent if len(sent) <= _LONGEST_METHOD else b"", server if len(server) <= _LONGEST_NAME else _NO_TEXT


def _sample(end_ns: int, measured: Measured, shape: Shape, trace: bytes) -> Observed:
    if end_ns < measured.total_ns:
        return _TIME
    return Sample(end_ns, measured.duration_ns, end_ns, measured.cause, measured.stage, shape, measured.stage_ns, trace)
