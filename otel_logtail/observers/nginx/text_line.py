r"""nginx's text formats: ``combined`` with times behind it, and the format of ingress-nginx. Pure.

nginx escapes quotes within fields as ``\x22``, so a quote in a line is always one of the format. If the format has
``escape=none``, a client can write quotes: a line whose number of quotes is not that of its format is rejected.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Rejected
from otel_logtail.observers.http import stamp_ns
from otel_logtail.observers.nginx.parts import HINT, LISTS, QUOTES

_IGNORED = Ignored()

_COMBINED = 7
"""The number of pieces between the quotes of a line of ``combined``."""
_TIMED = (13, 15)
"""The same with times behind it, without and with ``"$http_x_forwarded_for"`` before them."""
_MOST_PIECES = 17
_REQUEST_TIME, _CONNECT_TIME, _HEADER_TIME, _RESPONSE_TIME = " rt=", " uct=", " uht=", " urt="
_ADDRESSES = 5
"""The word behind the user agent that the addresses of ingress-nginx start with."""
_STAMP = 26  # characters of "29/Nov/2026:15:43:05 +0000"


class Line(msgspec.Struct, gc=False):
    """The fields of a line. ``connect`` and ``header`` are empty in the format of ingress-nginx, which has ``name``."""

    end_ns: int
    status: str
    method: str
    total: str
    connect: str
    header: str
    response: str
    name: str | None = None


def read(line: bytes) -> Line | Ignored | Rejected:
    """Return the fields of a line; Ignored if its format has no times.

    Raises:
        Drift: the line has times, but not in the known form.
    """
    pieces = line.decode("latin-1").split('"', _MOST_PIECES - 1)
    number = len(pieces)
    if number in _TIMED and pieces[-3] == _RESPONSE_TIME and not pieces[-1]:
        return _timed(pieces)
    if number < _COMBINED:
        return _IGNORED
    words = pieces[6].split(" ")
    if number == _COMBINED:
        return _ingress(pieces, words) if _is_ingress(words) else _IGNORED
    if number >= _TIMED[0] and _RESPONSE_TIME.encode() + b'"' in line:
        return QUOTES
    return QUOTES if _is_ingress(words) or _is_ingress(pieces[-1].rpartition('"')[2].split(" ")) else _IGNORED


def _is_ingress(words: list[str]) -> bool:
    """Return whether the words behind the user agent start as in the format of ingress-nginx."""
    return len(words) > _ADDRESSES and not words[0] and words[1].isdecimal() and words[3][:1] == "["


def _timed(pieces: list[str]) -> Line | Rejected:
    total = pieces[-7]
    if not total.startswith(" "):  # nginx's own documentation has no space before "rt="
        total = f" {total}"
    if not (total.startswith(_REQUEST_TIME) and total.endswith(_CONNECT_TIME) and pieces[-5] == _HEADER_TIME):
        raise Drift("nginx: the times of a line are not rt=, uct=, uht= and urt=", hint=HINT)
    if len(pieces) > _TIMED[0] and pieces[6] != " ":
        return QUOTES
    end_ns = _end_ns(pieces)
    if isinstance(end_ns, Rejected):
        return end_ns
    return Line(
        end_ns,
        pieces[2][1:4],
        pieces[1].partition(" ")[0],
        total[len(_REQUEST_TIME) : -len(_CONNECT_TIME)],
        pieces[-6],
        pieces[-4],
        pieces[-2],
    )


def _ingress(pieces: list[str], words: list[str]) -> Line | Rejected:
    """Read from the left: the last field is the client's ``X-Request-ID``, which may hold spaces and colons."""
    name, other = words[3], words[4]
    if not (name[-1] == "]" and other[:1] == "[" and other[-1] == "]"):
        raise Drift("nginx: a line of ingress-nginx has other fields", hint=HINT)
    end_ns = _end_ns(pieces)
    if isinstance(end_ns, Rejected):
        return end_ns
    response = _response(words)
    if response is None:
        return LISTS
    return Line(end_ns, pieces[2][1:4], pieces[1].partition(" ")[0], words[2], "", "", response, name[1:-1])


def _response(words: list[str]) -> str | None:
    """Return the times of the attempts; None: their number is not that of the addresses, lengths and statuses."""
    separators, at = _separators(words)
    if not separators:  # one attempt, as most requests have
        values = words[at : at + 3]
        has_more = len(values) < 3 or ":" in values or "," in (values[0][-1:], values[1][-1:], values[2][-1:])
        return None if has_more else values[1]
    found: list[list[str]] = []
    for _ in ("length", "time", "status"):
        values, at = _values(words, at, separators)
        if len(values) != len(separators) + 1:
            return None
        found.append(values)
    return ", ".join(found[1])


def _separators(words: list[str]) -> tuple[list[str], int]:
    """Return the separators of the list of addresses, and the place behind it."""
    found: list[str] = []
    at = _ADDRESSES
    while at < len(words):
        at += 1
        if words[at - 1][-1:] == ",":
            found.append(",")
        elif at < len(words) and words[at] == ":":
            found.append(":")
            at += 1
        else:
            break
    return found, at


def _values(words: list[str], at: int, separators: list[str]) -> tuple[list[str], int]:
    """Return the values of a list with these separators, and the place behind it; fewer if its separators differ."""
    found: list[str] = []
    for separator in (*separators, ""):
        word = words[at] if at < len(words) else ":"
        at += 1
        if (word[-1:] == ",") != (separator == ",") or word == ":":
            break
        if separator == ":":
            if words[at : at + 1] != [":"]:
                break
            at += 1
        found.append(word[:-1] if separator == "," else word)
    return found, at


def _end_ns(pieces: list[str]) -> int | Rejected:
    """Read the end of a request, and check that the fields before the user agent are those of ``combined``.

    The end is negative if there is no such time.

    The name of the user before the time is not quoted, and may hold spaces and brackets. So the time is the text
    directly before the first quote.
    """
    start, status = pieces[0], pieces[2]
    is_status = status[:1] == status[4:5] == " " and status[1:4].isdecimal()
    if not (is_status and start[-2:] == "] " and pieces[4] == " "):
        return QUOTES
    end_ns = _stamp_ns(start[-3 - _STAMP : -2])
    if end_ns is None:
        raise Drift("nginx: the time of a line is not $time_local", hint=HINT)
    return end_ns


@lru_cache(maxsize=64)  # lines of one second follow each other
def _stamp_ns(text: str) -> int | None:
    return stamp_ns(text[1:].encode()) if text[:1] == "[" else None
