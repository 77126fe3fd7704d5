r"""Observer of Envoy: one sample for each request in its access log.

The recommended form is JSON (see :mod:`json_form`). The default text of Envoy is read, too::

    [2026-11-29T15:12:42.157Z] "GET /x HTTP/1.1" 200 - 0 5 702 701 "-" "curl/8" "e420…" "example.test" "127.0.0.1:80"

``[…]`` is the start of the request in UTC. Status, flags and bytes are followed by its duration and by the time until
the header of the response, both in milliseconds. The difference of these is the transfer of both bodies, not overhead.
Istio's default text has further fields between and behind these.

Envoy escapes nothing in text: a client can write quotes, and with them a whole line, into most of the quoted fields.
It can add quotes, but not remove them. So a line is believed only if it has the quotes of its format and no others.

===========================================================  =========================================================
status 101, a tunnel of CONNECT                              ``Ignored``: a session
no path (JSON: nor a cluster)                                ``Ignored``: it was never a request
no duration; Envoy's own log                                 ``Ignored``
other fields with the quotes of the format, another object   ``Drift``: the format changed
readable, but cannot be true                                 ``Rejected``: ``quotes``, ``time``, ``bounds``
===========================================================  =========================================================
"""

from __future__ import annotations

import re

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observer import Observer, PathRule
from otel_logtail.observers.envoy import json_form
from otel_logtail.observers.envoy.json_form import DAY_MS, JITTER_MS
from otel_logtail.observers.http import METHOD, STATUS_CLASS, Shapes, is_session, method, status_class
from otel_logtail.observers.local_time import iso_ns

TEXT_STAGES = ("service", "transfer")

_MS, _SECOND = 10**6, 10**9
_END_NS = 2**63  # the largest time in the store: the year 2262
_LEAST_NS = 10**18  # the year 2001: a smaller number is not in nanoseconds
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})Z")

_START = re.compile(rb'\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})Z\] "')
_DEFAULT_QUOTES, _ISTIO_QUOTES = 12, 14
_FLAGS = rb"(?:-|[A-Za-z0-9_,]{1,200})"
_NUMBERS = rb"(?:\d{1,18}|-) (?:\d{1,18}|-) (\d{1,12}|-) (\d{1,12}|-) "  # bytes, duration, service time
_DEFAULT = re.compile(rb" (\d{1,3}) " + _FLAGS + rb" " + _NUMBERS)
_ISTIO_STATUS = re.compile(rb" (\d{1,3}) " + _FLAGS + rb" [^ ]+ [^ ]+ ")  # details of the response and of the end
_ISTIO_NUMBERS = re.compile(rb" " + _NUMBERS)
_ISTIO_END = re.compile(rb" ([!-~]{1,256}) [^ ]+ [^ ]+ [^ ]+ [^ ].*")  # cluster, three addresses, server name, route
_HINT = "use the json_format of 'otel-logtail observers show envoy'"

_IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
_QUOTES = Rejected("quotes")
_TIME = Rejected("time")


class EnvoyObserver(Observer):
    """Reads the requests in Envoy's access log: the recommended JSON, or the default text of Envoy or Istio."""

    name = "envoy"
    source = "envoy"
    marker = b""  # the forms of a line have nothing in common

    def __init__(self) -> None:
        names = ("envoy.cluster", STATUS_CLASS, METHOD)
        self._json, self._text = Shapes(json_form.STAGES, names), Shapes(TEXT_STAGES, names)

    def paths(self) -> PathRule:
        """Return a usual place: Envoy has none by default, and in a container it is standard output."""
        return PathRule(patterns=("/var/log/envoy/*access*.log",), live=r".*access.*\.log")

    def observe(self, line: bytes) -> Observed:
        """Read one line, as in the table above.

        Raises:
            Drift: the format changed.
        """
        start = _START.match(line)
        if start is not None:
            return self._line(line, start)
        return self._object(line) if json_form.is_json_form(line) else _IGNORED

    def _object(self, line: bytes) -> Observed:
        """Return the sample of a line of the recommended form."""
        entry = json_form.read(line)
        name = method(bytes(entry.method)[1:-1])
        if entry.duration is None or not entry.is_request() or is_session(entry.status, name):
            return _IGNORED
        parts = entry.parts()
        if parts is None:
            return _BOUNDS
        took_ns = entry.duration * _MS
        end_ns = entry.start_ns + took_ns
        if not _LEAST_NS <= entry.start_ns <= end_ns < _END_NS or not _agree(entry.start, entry.start_ns):
            return _TIME
        cause = json_form.cause_of(parts)
        cluster = "" if entry.cluster is None or entry.cluster == "-" else entry.cluster
        shape = self._json.of(cluster, status_class(entry.status), name)
        return Sample(end_ns, took_ns, end_ns, cause, cause, shape, parts, entry.context())

    def _line(self, line: bytes, start: re.Match[bytes]) -> Observed:
        """Return the sample of a line of text."""
        fields = line.split(b'"')
        quotes = len(fields) - 1
        cluster = b""
        if quotes == _DEFAULT_QUOTES:
            numbers = _DEFAULT.fullmatch(fields[2])
            if numbers is None or fields[4:12:2] != [b" "] * 4 or fields[12]:
                raise Drift("envoy: other fields than in the default text format", hint=_HINT)
            status, duration, service = numbers.groups()
        elif quotes == _ISTIO_QUOTES:
            first, numbers = _ISTIO_STATUS.fullmatch(fields[2]), _ISTIO_NUMBERS.fullmatch(fields[4])
            end = _ISTIO_END.fullmatch(fields[14])
            if first is None or numbers is None or end is None or fields[6:14:2] != [b" "] * 4:
                return _QUOTES
            status, duration, service, cluster = first[1], numbers[1], numbers[2], end[1]
        else:
            return _QUOTES
        code, name = int(status), method(fields[1].partition(b" ")[0])
        has_path = fields[1].partition(b" ")[2].rpartition(b" ")[0] != b"-"
        if not has_path or duration == b"-" or is_session(code, name):
            return _IGNORED
        second_ns = iso_ns(start[1])
        if second_ns is None or second_ns < 0:
            return _TIME
        names = ("" if cluster == b"-" else cluster.decode(), status_class(code), name)
        return self._sample(second_ns + int(start[2]) * _MS, int(duration), service, names)

    def _sample(self, start_ns: int, took_ms: int, service: bytes, names: tuple[str, str, str]) -> Observed:
        """Return the sample of a line of text; ``service`` is ``-`` if the upstream did not answer."""
        waited_ms = took_ms if service == b"-" else int(service)
        if took_ms > DAY_MS or waited_ms > took_ms + JITTER_MS:
            return _BOUNDS
        took_ns, end_ns = took_ms * _MS, start_ns + took_ms * _MS
        if end_ns >= _END_NS:
            return _TIME
        cause, stage = ("upstream", "service") if 2 * waited_ms >= took_ms else ("transfer", "transfer")
        parts: tuple[int | None, int | None] = (None, None)
        if service != b"-":
            parts = (waited_ms * _MS, max(0, took_ms - waited_ms) * _MS)
        return Sample(end_ns, took_ns, end_ns, cause, stage, self._text.of(*names), parts)


def _agree(stamp: str, start_ns: int) -> bool:
    """Return whether a start as text, if it is in the default format, is the start in nanoseconds."""
    match = _STAMP.fullmatch(stamp)
    if match is None:
        return True
    second_ns = iso_ns(match[1].encode())
    return second_ns is not None and abs(start_ns - second_ns - int(match[2]) * _MS) < _SECOND
