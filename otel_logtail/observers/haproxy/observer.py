r"""Observer of HAProxy: one sample for each HTTP request, from the log that it writes by default or from JSON.

A line of ``option httplog`` (version 1.7 or later)::

    10.0.0.1:3317 [29/Nov/2026:15:09:09.118] web app/a1 0/606/1/601/1208 200 82 - - ---- 3/3/2/0/0 0/1 {a|b} "GET /x …"

``[…]`` is when the first byte of the request arrived, in local time without a zone. The request ends ``Ta`` later (the
last of the five timers, see the module of that name), and then its line is written. All text that a client chooses is
behind the timers, and HAProxy escapes quotes in it. So the line is read from the left, and of the rest only the method
and a trace are used. A line is cut after 1024 bytes by default.

The other form is the recommended ``log-format`` (see :mod:`json_form`), whose time is in UTC.

A syslog daemon in front adds the time of the write, and in newer formats a zone. Both programs run in one zone, so it
is the zone of ``[…]``, too. If the end is not within a second of the write, the line is rejected. If a wrapper has a
time without a zone, the zone is the number of quarter hours between the two.

===========================================================  =========================================================
``TR`` is -1, or ``<BADREQ>``                                ``Ignored``: it was never a request
status 101, a tunnel of CONNECT, a line of TCP               ``Ignored``: a session
the statistics page; servers, checks, handshakes, starts     ``Ignored``
a request in front of other timers, or an unreadable object  ``Drift``: the format changed
readable, but cannot be true                                 ``Rejected``: ``time``, ``bounds``
===========================================================  =========================================================
"""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo
from functools import lru_cache

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Mark, Observed, Rejected, Sample
from otel_logtail.observer import Frame, Observer, PathRule
from otel_logtail.observers.haproxy.json_form import is_json_form, read, unquoted
from otel_logtail.observers.haproxy.timers import OVERHEAD_STAGES, STAGES, Parts, cause_of, overhead_of, parts_of
from otel_logtail.observers.http import METHOD, OTHER_METHOD, STATUS_CLASS, Shapes, is_session, method, status_class
from otel_logtail.observers.local_time import LocalTime, common_ns, iso_ns
from otel_logtail.trace import parse_traceparent

WRITE_NS = 1_005_000_000
"""How far the time of a write may be from the end of its request: a second, and what both are rounded by."""

_MS = 10**6
_QUARTER_NS = 15 * 60 * 10**9  # the offset of every zone in use is a multiple of it
_WEST_NS, _EAST_NS = -12 * 3600 * 10**9, 14 * 3600 * 10**9
_END_NS = 2**63  # the largest time in the store: the year 2262
_LEAST_MS = 10**12  # the year 2001: a smaller number is not in milliseconds

_STAMP = rb"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d)\.(\d{3})\]"
_CLIENT = rb"[0-9A-Za-z.:%@_-]{1,128}:-?\d{1,9}"  # of IPv4, IPv6 or unix
_NAME = rb"[!-.0-~]{1,128}"  # has no slash
_START = _CLIENT + rb" " + _STAMP + rb" (" + _NAME + rb") (" + _NAME + rb")/([!-~]{1,128}) "
_REQUEST = re.compile(
    _START + rb"(-?\d{1,12})/(-?\d{1,12})/(-?\d{1,12})/(-?\d{1,12})/(\+?)(-?\d{1,12}) (-?\d{1,3}) \+?\d{1,20} "
)
_OTHER_TIMERS = re.compile(_START + rb"([!-~]{1,128})")
_TCP_TIMERS = re.compile(rb"-?\d+/-?\d+/\+?-?\d+")
_CONNECTIONS = re.compile(rb"\d+")  # in an error-log-format, where a request has its backend and server
_PREFIX = re.compile(
    rb"(?:<\d{1,3}>)?"
    rb"(?:(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|"
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))) (?:[!-~]{1,255} )?)?"
    rb"(?:haproxy\[\d{1,10}\]: )?"
)
_HINT = "use 'option httplog' or the log-format of 'otel-logtail observers show haproxy'"

_IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
_TIME = Rejected("time")
_NO_FRAME = Frame()
_STATISTICS = (b"<STATS>", b"<PROMEX>")  # pages of HAProxy itself
_NEW_WORKER = b") : New worker "
_WORKER = re.compile(rb"\[NOTICE\] +(?:\d{3}/\d{6} )?\(\d{1,10}\) : New worker (?:#\d+ )?\(\d{1,10}\) forked")
_NEVER_A_REQUEST = b' "<BADREQ>"'
_TRACEPARENT = 55  # its bytes


class HaproxyObserver(Observer):
    """Reads the HTTP requests in HAProxy's log.

    ``measure`` is the duration of a sample: of the request (``total``), or of the part before it reaches the server
    (``overhead``). ``zone`` is for stamps without one (None: the machine's).
    """

    name = "haproxy"
    source = "haproxy"
    marker = b""  # the forms of a line have nothing in common
    mark_needle = _NEW_WORKER

    def __init__(self, measure: str = "total", zone: tzinfo | None = None) -> None:
        self._is_total = measure == "total"
        self._local = LocalTime(zone)
        stages = STAGES if self._is_total else OVERHEAD_STAGES
        self._shapes = Shapes(stages, ("haproxy.frontend", "haproxy.backend", STATUS_CLASS, METHOD))

    def paths(self) -> PathRule:
        """Return the file that Debian's rsyslog writes."""
        return PathRule(patterns=("/var/log/haproxy.log",), live=r"haproxy\.log")

    def observe(self, line: bytes) -> Observed:
        """Read one line, as in the table above.

        Raises:
            Drift: the format changed.
        """
        return self.observe_framed(line, _NO_FRAME)

    def observe_framed(self, line: bytes, frame: Frame) -> Observed:
        """Read one line that was in a wrapper, whose zone is that of the line.

        Raises:
            Drift: the format changed.
        """
        match = _REQUEST.match(line)
        if match is not None:
            return self._request(line, match, frame)
        if is_json_form(line):
            return self._object(line)
        prefix = _PREFIX.match(line)
        if prefix is not None and prefix.end():  # with --framing none, the engine does not remove it
            inner = line[prefix.end() :]
            match = _REQUEST.match(inner)
            if match is not None:
                return self._request(inner, match, _frame_of(prefix))
            line = inner
            if is_json_form(line):
                return self._object(line)
        other = _OTHER_TIMERS.match(line)
        if other is None or b"/" not in other[6] or _TCP_TIMERS.fullmatch(other[6]):
            return _IGNORED
        if _CONNECTIONS.fullmatch(other[4]) and _CONNECTIONS.fullmatch(other[5]):
            return _IGNORED
        raise Drift("haproxy: other timers than TR/Tw/Tc/Tr/Ta, a status and bytes", hint=_HINT)

    def find_mark(self, line: bytes, frame: Frame | None) -> Mark | None:
        """Return a start or a reload: the master process has started a worker. Only the wrapper gives its time."""
        if frame is None or frame.time_ns is None or _WORKER.fullmatch(line) is None:
            return None
        return Mark(frame.time_ns, "HAProxy started or reloaded")

    def _request(self, line: bytes, match: re.Match[bytes], frame: Frame) -> Observed:
        """Return the sample of a line of ``option httplog``."""
        second, ms, frontend, backend, server, tr, tw, tc, wait, plus, ta, code = match.groups()
        request, status, active = _number(tr), _number(code), _number(ta)
        name = _method_in(line, match.end())
        if request == -1 or is_session(status, name) or server in _STATISTICS or line.endswith(_NEVER_A_REQUEST):
            return _IGNORED
        parts = parts_of(request, _number(tw), _number(tc), _number(wait), active, bool(plus))
        if parts is None:
            return _BOUNDS
        wall_ns = common_ns(second)
        if wall_ns is None or wall_ns < 0:
            return _TIME
        end_ns = self._end_ns(wall_ns + int(ms) * _MS, active * _MS, frame)
        trace = _trace_in(line, match.end()) if b"00-" in line else b""
        return self._sample(end_ns, active, parts, (frontend.decode(), backend.decode(), status, name), trace)

    def _object(self, line: bytes) -> Observed:
        """Return the sample of a line of the recommended form."""
        entry, is_early = read(line)
        status, name = entry.status, method(unquoted(entry.method))
        if entry.TR == -1 or is_session(status, name):
            return _IGNORED
        parts = parts_of(entry.TR, entry.Tw, entry.Tc, entry.Tr, entry.Ta, is_early)
        if parts is None:
            return _BOUNDS
        end_ns = entry.end_ms * _MS if entry.end_ms >= _LEAST_MS else -1
        trace = parse_traceparent(unquoted(entry.traceparent))
        return self._sample(end_ns, entry.Ta, parts, (entry.frontend, entry.backend, status, name), trace)

    def _sample(
        self, end_ns: int, active_ms: int, parts: Parts, names: tuple[str, str, int, str], trace: bytes
    ) -> Observed:
        total_ns = active_ms * _MS
        if not total_ns <= end_ns < _END_NS:
            return _TIME
        frontend, backend, status, name = names
        shape = self._shapes.of(frontend.removesuffix("~"), backend, status_class(status), name)  # ~: over TLS
        if self._is_total:
            cause = cause_of(parts)
            return Sample(end_ns, total_ns, end_ns, cause, cause, shape, parts, trace)
        overhead_ns, cause = overhead_of(parts)
        return Sample(end_ns, overhead_ns, end_ns, cause, cause, shape, parts[:3], trace)

    def _end_ns(self, wall_ns: int, took_ns: int, frame: Frame) -> int:
        """Return when a request ended, in UTC, that started at a wall time; -1: the wrapper contradicts it."""
        written_ns = frame.time_ns
        if frame.zone is not None:
            end_ns = wall_ns - _offset_ns(frame.zone) + took_ns
            return end_ns if written_ns is None or abs(written_ns - end_ns) <= WRITE_NS else -1
        if written_ns is None:
            return self._local.utc_ns(wall_ns) + took_ns
        ahead_ns = wall_ns + took_ns - written_ns
        offset_ns = (ahead_ns + _QUARTER_NS // 2) // _QUARTER_NS * _QUARTER_NS
        is_true = abs(ahead_ns - offset_ns) <= WRITE_NS and _WEST_NS <= offset_ns <= _EAST_NS
        return wall_ns - offset_ns + took_ns if is_true else -1


class _Numbers(dict[bytes, int]):
    """Texts of digits as numbers: looking a small one up is faster than to read it."""

    def __missing__(self, text: bytes) -> int:
        return int(text)


_number = _Numbers({b"%d" % number: number for number in range(-1, 2000)}).__getitem__


def _method_in(line: bytes, start: int) -> str:
    """Return the method of a request whose quoted text is behind ``start``.

    It is the last part of a line, unless a line is cut, or has more than ``option httplog`` writes. Then a captured
    cookie, which HAProxy does not escape, may be in its place. So such a line is not believed to be a tunnel.
    """
    if line.endswith(b'"'):
        quote = line.rfind(b' "', start, -1)
        return method(line[quote + 2 : line.find(b" ", quote + 2)])
    quote = line.find(b' "', start)
    name = method(line[quote + 2 : line.find(b" ", quote + 2)]) if quote >= 0 else OTHER_METHOD
    return OTHER_METHOD if name == "CONNECT" else name


def _trace_in(line: bytes, start: int) -> bytes:
    """Return the trace in one of the captured headers, ``{a|b} {c}``, between the numbers and the request."""
    first, quote = line.find(b" {", start), line.find(b'} "', start)
    for text in line[first + 2 : quote].replace(b"} {", b"|").split(b"|") if 0 <= first < quote else ():
        if len(text) == _TRACEPARENT and (trace := parse_traceparent(text)):
            return trace
    return b""


def _frame_of(prefix: re.Match[bytes]) -> Frame:
    """Return the time and the zone of a syslog prefix; none of both in its traditional form."""
    second, fraction, sign, hours, minutes = prefix.groups()
    wall_ns = None if second is None else iso_ns(second)
    if wall_ns is None or wall_ns < 0:
        return _NO_FRAME
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    offset = -offset if sign == b"-" else offset
    if abs(offset) >= timedelta(days=1):
        return _NO_FRAME
    time_ns = wall_ns + int((fraction or b"").ljust(9, b"0")) - offset // timedelta(microseconds=1) * 1000
    return Frame(time_ns, timezone(offset))


@lru_cache(maxsize=64)
def _offset_ns(zone: tzinfo) -> int:
    """Return how far a zone with a fixed offset is ahead of UTC."""
    return (zone.utcoffset(None) or timedelta()) // timedelta(microseconds=1) * 1000
