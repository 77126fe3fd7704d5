"""Lines of traefik's default text format, ``common``: the common log format with traefik's own fields at the end.

A line (of 3.7.15)::

    10.0.0.7 - - [29/Nov/2026:15:12:19 +0000] "GET /ok HTTP/1.1" 200 3 "-" "-" 1 "app@file" "http://10.0.1.1" 702ms

The time is the start of the request in whole seconds, and the last field is the whole request in milliseconds. So a
sample ends up to a second later than its line shows. It has no parts: the cause is ``request``.

Most of it is a client's: the name of the user, the path (over HTTP/2 with quotes and spaces), the kept headers. So the
end is read from the right, and the time from the left.

**A client can write whole lines.** It sends ``GET http://NAME@host/``, and traefik decodes the user name without
escaping it, newlines too (tried with 3.7.15). Such a line looks like any other. Two times in one line
(``forged``) and the rest of a broken line (``misplaced``) are rejected. No series gets its name from text of a line.
JSON is safe, and so is this format if ``accessLog.fields.names.ClientUsername`` is ``drop``.
"""

from __future__ import annotations

import re

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observers.http import Shapes, is_session, method, status_class
from otel_logtail.observers.local_time import common_ns

MAX_NS = 86_400 * 10**9
"""The longest request: a day."""

_TIME = re.compile(rb" \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d) ([+-])(\d\d)(\d\d)\] \"")
_COUNT = re.compile(rb" (?:\d+|-) ")
_TOOK = re.compile(rb" (-?\d{1,18})ms")
_STATUS = re.compile(rb"\" (\d{1,3}|-) (?:\d+|-) \"")
_STATUS_DIGITS = 3
_TAIL_QUOTES = 4

_IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
_FORGED = Rejected("forged")
_MISPLACED = Rejected("misplaced")
_TIME_REJECTED = Rejected("time")


def read_common(line: bytes, shapes: Shapes) -> Observed:
    """Read a line of the text format, which ends with ``ms``. The shapes are by method and class of the status.

    Raises:
        Drift: it ends as an access line, and its start has another form.
    """
    parts = line.rsplit(b'"', _TAIL_QUOTES)  # … COUNT "ROUTER" "URL" 702ms
    took = _TOOK.fullmatch(parts[-1])
    if took is None or len(parts) <= _TAIL_QUOTES or parts[2] != b" " or not _ends_with_count(parts[0]):
        return _IGNORED
    front = _TIME.search(line)
    if front is None:
        raise Drift("traefik: an access line without a time", hint="look for a newer otel-logtail, or report the line")
    if _TIME.search(line, front.end() - 1) is not None:
        return _FORGED
    if line.find(b" - ", 0, front.start() + 1) < 0:
        return _MISPLACED

    name, _, rest = line[front.end() :].partition(b" ")
    status = _status(parts[0], rest)
    if status == 0 or is_session(status, name):
        return _IGNORED
    duration_ns = int(took[1]) * 10**6
    if not 0 <= duration_ns <= MAX_NS:
        return _BOUNDS
    start_ns = _start_ns(front)
    if start_ns < 0:
        return _TIME_REJECTED
    time_ns = start_ns + duration_ns
    shape = shapes.of(method(name), "" if status < 0 else status_class(status))
    return Sample(time_ns, duration_ns, time_ns, "request", "request", shape)


def _ends_with_count(head: bytes) -> bool:
    """Return whether the number of a request is before the name of the router, behind the quotes of a header."""
    return _COUNT.fullmatch(head, head.rfind(b'"') + 1) is not None


def _status(head: bytes, rest: bytes) -> int:
    """Return the status; -1: it is not logged. ``head`` is before the router, ``rest`` from the path on.

    Without kept headers it is read from the right, where nothing is a client's, otherwise from the left.
    """
    before, found, count = head.rpartition(b' "-" "-" ')
    if found and count[:-1].isdigit():
        code = before.rsplit(b" ", 2)[-2]
    else:
        answered = _STATUS.search(rest)
        code = b"-" if answered is None else answered[1]
    return int(code) if code.isdigit() and len(code) <= _STATUS_DIGITS else -1


def _start_ns(front: re.Match[bytes]) -> int:
    """Return the start in UTC; negative: there is no such time."""
    second_ns = common_ns(front[1])
    if second_ns is None or second_ns < 0:
        return -1
    if front[3] == front[4] == b"00":
        return second_ns
    offset_ns = (int(front[3]) * 60 + int(front[4])) * 60 * 10**9
    return second_ns - offset_ns if front[2] == b"+" else second_ns + offset_ns
