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
no times in its format (``combined``), status 101, or   ``Ignored``
status 400 or 408 without an upstream (not a request)
a known field is missing or is not a number             ``Drift``: the log_format changed
quotes that nginx would have escaped                    ``Rejected("quotes")``: ``escape=none``
lists of attempts with different lengths                ``Rejected("lists")``
negative, longer than a day, header before connect …    ``Rejected("bounds")``
no such time                                            ``Rejected("time")``
======================================================  ==================================================
"""

from __future__ import annotations

from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observer import Observer, ObserverContext, PathRule
from otel_logtail.observers.http import METHOD, STATUS_CLASS, Shapes, method, status_class
from otel_logtail.observers.nginx import json_line, text_line
from otel_logtail.observers.nginx.options import MEASURE
from otel_logtail.observers.nginx.parts import Parts, Request, parts_of, total_ns
from otel_logtail.trace import parse_traceparent

STAGES = ("connect", "wait", "body", "retry", "client")
INGRESS_STAGES = ("wait", "retry", "client")

_WAIT, _BODY, _CONNECT, _RETRY, _CLIENT = (
    ("upstream", "wait"),
    ("body", "body"),
    ("connect", "connect"),
    ("retry", "retry"),
    ("client", "client"),
)
"""Cause and longest stage, by the largest part. The first of equal parts is the cause."""
_LARGEST = (_WAIT, _BODY, _CONNECT, _RETRY, _CLIENT)

_IGNORED = Ignored()
_TIME = Rejected("time")
_SWITCHED = 101
_BROKEN = (400, 408)


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
        found = json_line.read(line) if line.startswith(json_line.START) else text_line.read(line)
        if not isinstance(found, Request):
            return found
        if found.status == _SWITCHED or (found.status in _BROKEN and not found.response):
            return _IGNORED
        total = total_ns(found)
        parts = parts_of(found, total)
        return parts if isinstance(parts, Rejected) else self._sample(found, total, parts)

    def _sample(self, request: Request, total: int, parts: Parts) -> Observed:
        connect, wait, body, retry, client = parts
        end_ns = request.end_ns
        if end_ns < total:
            return _TIME
        if self._is_overhead:
            duration = (retry or 0) + client
            cause, stage = _RETRY if retry and retry >= client else _CLIENT
        elif wait is None or connect is None or body is None or retry is None:
            duration, (cause, stage) = total, _CLIENT
        else:
            by_cause = (wait, body, connect, retry, client)
            duration, (cause, stage) = total, _LARGEST[by_cause.index(max(by_cause))]
        shapes = self._ingress_shapes if request.is_ingress else self._shapes
        return Sample(
            end_ns,
            duration,
            end_ns,
            cause,
            stage,
            shapes.of(method(request.method), status_class(request.status), request.name),
            (wait, retry, client) if request.is_ingress else parts,
            parse_traceparent(request.traceparent) if request.traceparent else b"",
        )
