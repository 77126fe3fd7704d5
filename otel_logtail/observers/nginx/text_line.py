r"""nginx's text formats: ``combined`` with times behind it, and the format of ingress-nginx. Pure.

nginx escapes quotes within fields as ``\x22``, so a quote in a line is always one of the format. If the format has
``escape=none``, a client can write quotes: a line whose number of quotes is not that of its format is rejected.
"""

from __future__ import annotations

from typing import NamedTuple

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Rejected
from otel_logtail.observers.http import stamp_ns
from otel_logtail.observers.nginx.parts import HINT, LISTS, QUOTES, Request, attempts, responses, status_of

_TIME = Rejected("time")
_IGNORED = Ignored()

_COMBINED = 7
"""The number of pieces between the quotes of a line of ``combined``."""
_TIMED = (13, 15)
"""The same with times behind it, without and with ``"$http_x_forwarded_for"`` before them."""
_MOST_PIECES = 17
_RESPONSE_TIME, _HEADER_TIME, _CONNECT_TIME, _REQUEST_TIME = b" urt=", b" uht=", b" uct=", b" rt="
_ADDRESSES = 5
"""The word behind the user agent that the addresses of ingress-nginx start with."""
_STAMP = 26  # bytes of "29/Nov/2026:15:43:05 +0000"
_MOST_NAME = 255


class _Front(NamedTuple):
    """The fields that all formats start with."""

    end_ns: int
    status: int
    method: bytes


def read(line: bytes) -> Request | Ignored | Rejected:
    """Return the request of a line; Ignored if its format has no times.

    Raises:
        Drift: the line has times, but not in the known form.
    """
    pieces = line.split(b'"', _MOST_PIECES - 1)
    number = len(pieces)
    if number <= _COMBINED:
        return _ingress(pieces) if number == _COMBINED and _is_ingress(pieces[6]) else _IGNORED
    if number in _TIMED and pieces[-3] == _RESPONSE_TIME and pieces[-1] == b"":
        return _timed(pieces)
    if number >= _TIMED[0] and _RESPONSE_TIME + b'"' in line:
        return QUOTES
    return QUOTES if _is_ingress(pieces[6]) or _is_ingress(pieces[-1]) else _IGNORED


def _is_ingress(rest: bytes) -> bool:
    """Return whether the piece behind the user agent starts as in the format of ingress-nginx."""
    words = rest.split(b" ", 4)
    return len(words) == 5 and words[1].isdigit() and words[3].startswith(b"[")


def _timed(pieces: list[bytes]) -> Request | Rejected:
    total, at, rest = pieces[-7].removeprefix(_REQUEST_TIME).partition(_CONNECT_TIME)
    if pieces[-5] != _HEADER_TIME or not pieces[-7].startswith(_REQUEST_TIME) or not at or rest:
        raise Drift("nginx: the times of a line are not rt=, uct=, uht= and urt=", hint=HINT)
    front = _front(pieces)
    if isinstance(front, Rejected):
        return front
    connect, header, response = (pieces[at].decode("latin-1") for at in (-6, -4, -2))
    return Request(*front, total.decode("latin-1"), attempts(connect), attempts(header), responses(response))


def _ingress(pieces: list[bytes]) -> Request | Rejected:
    """Read from the left: the last field is the client's ``X-Request-ID``, which may hold spaces and colons."""
    words = pieces[6].decode("latin-1").split(" ")
    name = words[3][1:-1]
    if not (words[3].endswith("]") and words[4].startswith("[") and words[4].endswith("]")):
        raise Drift("nginx: a line of ingress-nginx has other fields", hint=HINT)
    front = _front(pieces)
    if isinstance(front, Rejected):
        return front
    lists = _lists(words)
    if lists is None:
        return LISTS
    response = [] if words[_ADDRESSES] == "-" else lists[1]
    connect = ["0.000"] * len(response)  # is part of the wait, and so is the body
    name = "" if name == "-" or len(name) > _MOST_NAME else name
    return Request(*front, words[2], connect, response, response, name, is_ingress=True)


def _lists(words: list[str]) -> list[list[str]] | None:
    """Return the lengths, times and statuses of the attempts; None: their numbers differ from that of the addresses."""
    separators, at = _separators(words, _ADDRESSES)
    if not separators and len(words) > at + 2:  # one attempt, as most requests have
        values = words[at : at + 3]
        return None if ":" in values or [word for word in values if word[-1:] == ","] else [[word] for word in values]
    found = []
    for _ in ("length", "time", "status"):
        values, at = _values(words, at, separators)
        if len(values) != len(separators) + 1:
            return None
        found.append(values)
    return found


def _separators(words: list[str], at: int) -> tuple[list[str], int]:
    """Return the separators of the list of addresses that starts at a word, and the place behind the list."""
    found: list[str] = []
    while at < len(words):
        at += 1
        if words[at - 1].endswith(","):
            found.append(",")
        elif words[at : at + 1] == [":"]:
            found.append(":")
            at += 1
        else:
            break
    return found, at


def _values(words: list[str], at: int, separators: list[str]) -> tuple[list[str], int]:
    """Return the values of a list with these separators, and the place behind it; fewer if its separators differ."""
    found: list[str] = []
    for separator in (*separators, ""):
        word = words[at] if at < len(words) else ","
        at += 1
        if word.endswith(",") != (separator == ",") or word == ":":
            break
        if separator == ":":
            if words[at : at + 1] != [":"]:
                break
            at += 1
        found.append(word.removesuffix(","))
    return found, at


def _front(pieces: list[bytes]) -> _Front | Rejected:
    """Read the time, the status and the method.

    The name of the user before the time is not quoted, and may hold spaces and brackets. So the time is the text
    directly before the first quote.
    """
    start, status = pieces[0], pieces[2]
    is_status = status[:1] == status[4:5] == b" " and status[1:4].isdigit()
    if not (start.endswith(b"] ") and is_status and pieces[4] == b" " and pieces[6][:1] == b" "):
        return QUOTES
    end_ns = stamp_ns(start[-2 - _STAMP : -2]) if start[-3 - _STAMP : -2 - _STAMP] == b"[" else None
    if end_ns is None:
        raise Drift("nginx: the time of a line is not $time_local", hint=HINT)
    if end_ns < 0:
        return _TIME
    return _Front(end_ns, status_of(status[1:4]), pieces[1].partition(b" ")[0])
