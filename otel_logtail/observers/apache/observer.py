r"""Observer of the access log of Apache's HTTP server (tried with 2.4.71), in formats that end with ``%D``.

======================================================  ==============================================================
``… "agent" 10035``                                     ``combined`` with ``%D`` behind it, in microseconds
``… "agent" "-" end=1795966248.027654 ttfb=9910 10035`` the format of ``apache.conf`` in this package: its end is exact
======================================================  ==============================================================

Both may start with ``%v:%p``, the configured name of the virtual host. One more quoted field may be behind the user
agent: it is the client's ``traceparent``, or is skipped. Words with a name before ``%D`` may be there or not.

A sample is one request, from the first byte of its first line until Apache wrote the line. ``%t`` is its start, in
whole seconds. So it ended at ``%t`` and ``%D`` together, up to a second later, unless the line has ``end``. If the line
has ``ttfb`` (``%^FB``), the sample has the stages ``wait`` and ``send``. Apache does not log the time of an upstream.

Apache escapes quotes, backslashes, controls and bytes beyond ASCII within fields (``\"``, ``\xff``), so all other
quotes are those of the format.

How a line is classified:

======================================================  ==================================================
no ``%D`` at its end, another format, a status of 101   ``Ignored``
or a CONNECT that succeeded (sessions), or a status of
400 or 408 (not a request)
a named word or the last one is not a whole number      ``Drift``: the LogFormat changed, or ``%T`` is there
negative, longer than a day, ``ttfb`` beyond the end    ``Rejected("bounds")``
no such time, or an end that is not start and duration  ``Rejected("time")``
======================================================  ==================================================
"""

from __future__ import annotations

import re

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observer import Observer, ObserverContext, PathRule
from otel_logtail.observers.http import METHOD, STATUS_CLASS, Shapes, method, stamp_ns, status_class
from otel_logtail.trace import parse_traceparent

STAGES = ("wait", "send")

_DAY_NS = 24 * 3600 * 10**9
_SECOND_NS = 10**9
_JITTER_NS = 10**6
"""How far the first byte may be behind the whole time: Apache reads its clock twice."""
_HINT = "compare the LogFormat with the one that 'otel-logtail observers show apache' prints"

_COMBINED = 7
"""The number of pieces between the quotes of ``combined``; one more quoted field adds two."""
_MORE = 9
_STAMP = 26  # bytes of "29/Nov/2026:15:43:05 +0000"
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_END = re.compile(rb"([0-9]{1,10})\.([0-9]{6})")
_MOST_DIGITS = 18
_MOST_NAME = 255

_IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
_TIME = Rejected("time")
_NOT_SAMPLES = frozenset((b"101", b"400", b"408"))


class ApacheObserver(Observer):
    """Reads the times of requests from Apache's access log."""

    name = "apache"
    source = "apache"
    marker = b""
    """All lines: each of them is a request."""

    def __init__(self, context: ObserverContext) -> None:
        del context  # each line has its zone
        names = (METHOD, STATUS_CLASS, "apache.vhost")
        self._shapes = Shapes((), names)
        self._staged_shapes = Shapes(STAGES, names)

    def paths(self) -> PathRule:
        """Return the access logs of Debian and of Red Hat. Error logs are never followed."""
        return PathRule(
            patterns=("/var/log/apache2/*.log", "/var/log/httpd/*_log"),
            live=r".+[._]log",
            ignore=r"(?:.*[._-])?error[._-]log",
        )

    def observe(self, line: bytes) -> Observed:
        """Read one line, as in the table above.

        Raises:
            Drift: the LogFormat has changed.
        """
        if b"\\" in line:
            line = _ESCAPE.sub(b"", line)
        pieces = line.split(b'"', _MORE)
        if not pieces[0].endswith(b"] ") and pieces[1:2] == [b""]:  # Apache writes an empty name of a user as ""
            pieces = line.replace(b'""', b"-", 1).split(b'"', _MORE)
        if len(pieces) not in (_COMBINED, _MORE):
            return _IGNORED
        words = pieces[-1].split(b" ")
        status = pieces[2].split(b" ")
        if len(words) < 2 or len(status) != 4 or words[0] or not pieces[0].endswith(b"] "):
            return _IGNORED
        if status[1] in _NOT_SAMPLES or not _is_duration(words):
            return _IGNORED
        if pieces[1].startswith(b"CONNECT ") and status[1][:1] == b"2":
            return _IGNORED
        return self._sample(pieces, status[1], words)

    def _sample(self, pieces: list[bytes], status: bytes, words: list[bytes]) -> Observed:
        start_ns, duration_ns = _start_ns(pieces[0]), _micros_ns(words[-1])
        if start_ns < 0:
            return _TIME
        if not 0 <= duration_ns <= _DAY_NS:
            return _BOUNDS
        named = dict(word.partition(b"=")[::2] for word in words[1:-1])
        end_ns = start_ns + duration_ns
        if (end := named.get(b"end")) is not None:
            exact_ns = _exact_ns(end)
            if not -_JITTER_NS <= exact_ns - end_ns <= _SECOND_NS + _JITTER_NS:
                return _TIME
            end_ns = exact_ns
        values = method(pieces[1].partition(b" ")[0]), status_class(_status(status)), _vhost(pieces[0])
        trace = parse_traceparent(pieces[7]) if len(pieces) == _MORE and len(pieces[7]) > 1 else b""
        if (first := named.get(b"ttfb")) is None:
            return Sample(end_ns, duration_ns, end_ns, "request", "request", self._shapes.of(*values), (), trace)
        # without a first byte, nothing was sent before the line was written
        wait_ns = duration_ns if first == b"-" else _micros_ns(first)
        if not 0 <= wait_ns <= duration_ns + _JITTER_NS:
            return _BOUNDS
        send_ns = max(0, duration_ns - wait_ns)
        cause = "wait" if wait_ns >= send_ns else "send"
        shape = self._staged_shapes.of(*values)
        return Sample(end_ns, duration_ns, end_ns, cause, cause, shape, (wait_ns, send_ns), trace)


def _is_duration(words: list[bytes]) -> bool:
    """Return whether the last word can be ``%D``: it is alone (bytes may be more than one), or behind named words."""
    last = words[-1].removeprefix(b"-")
    return last[:1].isdigit() and all(b"=" in word for word in words[1:-1])


def _micros_ns(text: bytes) -> int:
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise Drift(f"apache: {text[:40]!r} is not a whole number of microseconds", hint=_HINT)
    return int(text) * 1000


def _exact_ns(text: bytes) -> int:
    """Read the end of a request."""
    match = _END.fullmatch(text)
    if match is None:
        raise Drift(f"apache: {text[:40]!r} is not a time in seconds with 6 decimals", hint=_HINT)
    return (int(match[1]) * 10**6 + int(match[2])) * 1000


def _start_ns(front: bytes) -> int:
    """Read the start of a request; negative: there is no such time.

    The name of the user before it is not quoted, and may hold spaces and brackets.
    """
    ns = stamp_ns(front[-2 - _STAMP : -2]) if front[-3 - _STAMP : -2 - _STAMP] == b"[" else None
    if ns is None:
        raise Drift("apache: the time of a line is not %t", hint=_HINT)
    return ns


def _status(text: bytes) -> int:
    if text == b"-":  # no status was set
        return 0
    if len(text) != 3 or not text.isdigit():
        raise Drift(f"apache: {text[:40]!r} is not a status", hint=_HINT)
    return int(text)


def _vhost(front: bytes) -> str:
    """Return the name in ``%v:%p``; empty if the line does not start with it.

    The second word is then the address of the client, and else what identd answered: nearly always ``-``.
    """
    first, second = front.split(b" ", 2)[:2]
    name, _, port = first.rpartition(b":")
    if second == b"-" or not port.isdigit() or len(name) > _MOST_NAME:
        return ""
    is_name = b":" not in name or name.startswith(b"[")
    text = name.decode("ascii", "ignore")
    return text if is_name and text.isprintable() else ""
