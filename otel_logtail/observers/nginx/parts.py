"""The duration of a request and its parts, from nginx's times in seconds. Pure.

nginx measures the time of each attempt from the start of its connect: connect <= header <= response. A list has one
value for each attempt: ``0.801, 0.807`` after ``proxy_next_upstream``, and `` : `` between internal redirects.

Most times are short and repeat, so the results for equal texts are kept.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.model import Rejected

STAGES = ("connect", "wait", "body", "retry", "client")
INGRESS_STAGES = ("wait", "retry", "client")
"""The format of ingress-nginx has one time for each attempt: all of the last one is ``wait``."""

HINT = "compare the log_format with the one that 'otel-logtail observers show nginx' prints"

DAY_NS = 24 * 3600 * 10**9
"""The longest time that is believed."""
JITTER_NS = 2 * 10**6
"""How far a time may exceed one that contains it: nginx reads two clocks of milliseconds."""

BOUNDS = Rejected("bounds")
LISTS = Rejected("lists")
QUOTES = Rejected("quotes")

NOTHING = ("", "-")
"""The response time if nginx itself answered."""

Parts = tuple[int | None, int | None, int | None, int | None, int]
"""connect, wait, body, retry and client, in nanoseconds; the first four are None if nginx itself answered."""

_SECONDS = re.compile(r"(-?)([0-9]{1,99})\.([0-9]{3})")
_SEPARATOR = re.compile(", | : ")
_LONGEST_KEPT = 100
_CAUSES = (
    ("upstream", "wait"),
    ("body", "body"),
    ("connect", "connect"),
    ("retry", "retry"),
    ("client", "client"),
)
"""Cause and longest stage, by the largest part. The first of equal parts is the cause."""
_RETRY, _CLIENT = _CAUSES[3:]


class Measured(msgspec.Struct, frozen=True, gc=False):
    """The times of a request. ``total_ns`` is the whole, and ``duration_ns`` the part that is the sample."""

    total_ns: int
    duration_ns: int
    cause: str
    stage: str
    stage_ns: tuple[int | None, ...]


def measure(total: str, connect: str, header: str, response: str, is_overhead: bool) -> Measured | Rejected:
    """Return the times of a request, from the texts of the total and of the lists of its attempts.

    Args:
        total: ``$request_time``.
        connect: ``$upstream_connect_time``.
        header: ``$upstream_header_time``.
        response: ``$upstream_response_time``.
        is_overhead: The sample is the time outside the last attempt.

    Raises:
        Drift: a text is not a time.
    """
    if len(connect) + len(header) + len(response) > _LONGEST_KEPT:
        return _measure(total, connect, header, response, is_overhead)
    return _kept(total, connect, header, response, is_overhead)


def measure_ingress(total: str, response: str, is_overhead: bool) -> Measured | Rejected:
    """Return the same for the format of ingress-nginx.

    Raises:
        Drift: a text is not a time.
    """
    if len(response) > _LONGEST_KEPT:
        return _measure_ingress(total, response, is_overhead)
    return _kept_ingress(total, response, is_overhead)


def _measure_ingress(total: str, response: str, is_overhead: bool) -> Measured | Rejected:
    connect = ", ".join(["0.000"] * len(_attempts(response)))
    found = _measure(total, connect, response, response, is_overhead)
    if isinstance(found, Rejected):
        return found
    _, wait, _, retry, client = found.stage_ns
    return msgspec.structs.replace(found, stage_ns=(wait, retry, client))


def _measure(total: str, connect: str, header: str, response: str, is_overhead: bool) -> Measured | Rejected:
    total_ns = seconds_ns(total)
    if total_ns is None:
        raise Drift("nginx: a line without $request_time", hint=HINT)
    if not 0 <= total_ns <= DAY_NS:
        return BOUNDS
    parts = _parts(total_ns, connect, header, response)
    if isinstance(parts, Rejected):
        return parts
    connect_ns, wait_ns, body_ns, retry_ns, client_ns = parts
    if is_overhead:
        cause = _RETRY if retry_ns and retry_ns >= client_ns else _CLIENT
        return Measured(total_ns, (retry_ns or 0) + client_ns, *cause, parts)
    if wait_ns is None or body_ns is None or connect_ns is None or retry_ns is None:
        return Measured(total_ns, total_ns, *_CLIENT, parts)
    by_cause = (wait_ns, body_ns, connect_ns, retry_ns, client_ns)
    return Measured(total_ns, total_ns, *_CAUSES[by_cause.index(max(by_cause))], parts)


_kept = lru_cache(maxsize=1024)(_measure)
_kept_ingress = lru_cache(maxsize=1024)(_measure_ingress)


def seconds_ns(text: str) -> int | None:
    """Read a time such as ``0.705``, in nanoseconds; None: ``-`` or nothing, so the request did not get so far.

    Raises:
        Drift: the text is not a number of seconds with exactly three decimals, as nginx writes it.
    """
    if text in NOTHING:
        return None
    match = _SECONDS.fullmatch(text)
    if match is None:
        raise Drift(f"nginx: {text[:40]!r} is not a time in seconds with 3 decimals", hint=HINT)
    sign, seconds, milliseconds = match.groups()
    ns = int(seconds + milliseconds) * 10**6
    return -ns if sign else ns


def _attempts(text: str) -> list[str]:
    """Return the values of a list, one for each attempt."""
    return _SEPARATOR.split(text) if "," in text or ":" in text else [text]


def _parts(total_ns: int, connect: str, header: str, response: str) -> Parts | Rejected:
    """Return the parts of a request's time. Attempts before the last one are ``retry``; ``client`` is the rest."""
    if response in NOTHING:
        return None, None, None, None, total_ns
    lists = _attempts(connect), _attempts(header), _attempts(response)
    if not len(lists[0]) == len(lists[1]) == len(lists[2]):
        return LISTS
    retry = reached = wait = body = took = 0
    for attempt in zip(*lists, strict=True):
        retry += took
        found = _attempt(*map(seconds_ns, attempt))
        if found is None:
            return BOUNDS
        reached, wait, body, took = found
    return reached, wait, body, retry, max(0, total_ns - retry - took)


def _attempt(connected: int | None, answered: int | None, ended: int | None) -> tuple[int, int, int, int] | None:
    """Return connect, wait, body and all of an attempt; None: that cannot be true."""
    if connected is None:  # the connect failed, and took the whole attempt
        if answered is not None and answered > (ended or 0) + JITTER_NS:
            return None
        connected = answered = ended or 0
    took = (answered or connected) if ended is None else ended
    if answered is None:
        answered = took
    wait, body = answered - connected, took - answered
    if took > DAY_NS or connected < 0 or wait < -JITTER_NS or body < -JITTER_NS:
        return None
    return connected, max(0, wait), max(0, body), max(0, took)
