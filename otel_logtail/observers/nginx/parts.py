"""One request, and the parts of its time, from nginx's times in seconds. Pure.

nginx measures the time of each attempt from the start of its connect: connect <= header <= response. A list has one
value for each attempt: ``0.801, 0.807`` after ``proxy_next_upstream``, and `` : `` between internal redirects.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.model import Rejected

HINT = "compare the log_format with the one that 'otel-logtail observers show nginx' prints"

DAY_NS = 24 * 3600 * 10**9
"""The longest time that is believed."""
JITTER_NS = 2 * 10**6
"""How far a time may exceed one that contains it: nginx reads two clocks of milliseconds."""

BOUNDS = Rejected("bounds")
LISTS = Rejected("lists")
QUOTES = Rejected("quotes")

Parts = tuple[int | None, int | None, int | None, int | None, int]
"""connect, wait, body, retry and client, in nanoseconds; the first four are None if nginx itself answered."""

_SECONDS = re.compile(r"(-?)([0-9]{1,10})\.([0-9]{3})")
_SEPARATOR = re.compile(", | : ")
_STATUS: dict[str | bytes, int] = {f"{code:03d}": code for code in range(1000)}
_STATUS |= {text.encode(): code for text, code in _STATUS.items() if isinstance(text, str)}


class Request(msgspec.Struct, gc=False):
    """One line, of any format.

    ``total`` and the lists are texts. The lists have one text for each attempt, and are empty if nginx itself answered.
    ``name`` is that of the server (in the format of ingress-nginx: that of the upstream).
    """

    end_ns: int
    status: int
    method: bytes
    total: str
    connect: list[str]
    header: list[str]
    response: list[str]
    name: str = ""
    traceparent: bytes = b""
    is_ingress: bool = False


def status_of(text: str | bytes) -> int:
    """Read a status such as ``200``, ``009`` or ``000``.

    Raises:
        Drift: the text is not three digits.
    """
    status = _STATUS.get(text)
    if status is None:
        raise Drift(f"nginx: {text[:40]!r} is not a status", hint=HINT)
    return status


@lru_cache(maxsize=2048)  # most times are short, and repeat
def seconds_ns(text: str) -> int | None:
    """Read a time such as ``0.705``, in nanoseconds; None: ``-`` or nothing, so the request did not get so far.

    Raises:
        Drift: the text is not a number of seconds with exactly three decimals, as nginx writes it.
    """
    if text in ("-", ""):
        return None
    match = _SECONDS.fullmatch(text)
    if match is None:
        raise Drift(f"nginx: {text[:40]!r} is not a time in seconds with 3 decimals", hint=HINT)
    ns = (int(match[2]) * 1000 + int(match[3])) * 10**6
    return -ns if match[1] else ns


def attempts(text: str) -> list[str]:
    """Return the values of a list, one for each attempt."""
    return _SEPARATOR.split(text) if "," in text or ":" in text else [text]


def responses(text: str) -> list[str]:
    """Return the values of the list of ``$upstream_response_time``; none if nginx itself answered."""
    return [] if text in ("", "-") else attempts(text)


def total_ns(request: Request) -> int:
    """Return the time of the whole request.

    Raises:
        Drift: it is missing, or is not a time.
    """
    total = seconds_ns(request.total)
    if total is None:
        raise Drift("nginx: a line without $request_time", hint=HINT)
    return total


def parts_of(request: Request, total: int) -> Parts | Rejected:
    """Return the parts of a request's time. Attempts before the last one are ``retry``; ``client`` is the rest.

    Raises:
        Drift: a text is not a time.
    """
    if not 0 <= total <= DAY_NS:
        return BOUNDS
    if not request.response:
        return None, None, None, None, total
    number = len(request.response)
    if not len(request.connect) == len(request.header) == number:
        return LISTS
    retry = connect = wait = body = took = 0
    for index in range(number):
        retry += took
        attempt = _attempt(
            seconds_ns(request.connect[index]),
            seconds_ns(request.header[index]),
            seconds_ns(request.response[index]),
        )
        if attempt is None:
            return BOUNDS
        connect, wait, body, took = attempt
    rest = total - retry - took
    return connect, wait, body, retry, max(0, rest)


def _attempt(connected: int | None, answered: int | None, ended: int | None) -> tuple[int, int, int, int] | None:
    """Return connect, wait, body and all of an attempt; None: that cannot be true."""
    if connected is None:  # the connect failed, and took the whole attempt
        connected = answered = ended or 0
    took = (answered or connected) if ended is None else ended
    if answered is None:
        answered = took
    wait, body = answered - connected, took - answered
    if took > DAY_NS or connected < 0 or wait < -JITTER_NS or body < -JITTER_NS:
        return None
    return connected, max(0, wait), max(0, body), max(0, took)
