"""nginx's recommended JSON format: one flat object of strings. Pure.

Only known fields are decoded. A format with more of them may hold a client's bytes, which need not be UTF-8.
"""

from __future__ import annotations

import json
from functools import lru_cache

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.model import Rejected
from otel_logtail.observers.nginx.parts import HINT, QUOTES, Request, attempts, responses, status_of

START = b'{"msec":"'
_NO_TEXT = msgspec.Raw(b'""')
_MOST_TEXT = 256
_SECONDS_DIGITS = 12
_MILLISECONDS = {f".{ms:03d}": ms * 10**6 for ms in range(1000)}


class _Line(msgspec.Struct, gc=False):
    """The known fields. Those that a format may fill with a client's bytes are not decoded here."""

    msec: str
    request_time: str
    connect_time: str
    header_time: str
    response_time: str
    status: str
    method: msgspec.Raw
    server: msgspec.Raw
    traceparent: msgspec.Raw = _NO_TEXT


_NAMES = frozenset(_Line.__struct_fields__)
_KEYS = tuple(f'"{name}"'.encode() for name in _Line.__struct_fields__)
_QUOTES = 4 * len(_KEYS)
_decode = msgspec.json.Decoder(_Line).decode


def read(line: bytes) -> Request | Rejected:
    """Return the request of a line that starts with :data:`START`.

    A line whose quotes do not match, or that has a field twice, is rejected: without ``escape=json`` a client can write
    quotes, and so further fields.

    Raises:
        Drift: a known field is missing, or does not have its form.
    """
    try:
        found = _decode(line)
    except msgspec.ValidationError as problem:
        if _is_forged(line):
            return QUOTES
        raise Drift(f"nginx: {problem}", hint=HINT) from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return QUOTES
    # as many quotes as the known fields need leave none for another field
    may_have_one_twice = line.count(b'"') != _QUOTES or found.traceparent is _NO_TEXT
    if may_have_one_twice and _seems_forged(line) and _is_forged(line):
        return QUOTES
    return Request(
        _end_ns(found.msec),
        status_of(found.status),
        bytes(found.method)[1:-1],
        found.request_time,
        attempts(found.connect_time),
        attempts(found.header_time),
        responses(found.response_time),
        _name(bytes(found.server)),
        bytes(found.traceparent)[1:-1],
    )


def _seems_forged(line: bytes) -> bool:
    """Return whether a known name is there twice, or with escapes (``\\u006d``). It may be the value of a field."""
    count = line.count
    for key in _KEYS:
        if count(key) > 1:
            return True
    return b"\\u" in line


def _is_forged(line: bytes) -> bool:
    """Return whether a line is not one JSON object, or has a known field twice."""
    try:
        pairs = json.loads(line.decode("latin-1"), object_pairs_hook=list, parse_int=str)
    except (ValueError, RecursionError):
        return True
    names = [name for name, _ in pairs if name in _NAMES]
    return len(names) != len(set(names))


def _end_ns(msec: str) -> int:
    """Read ``1795966985.757``."""
    second_ns, ns = _second_ns(msec[:-4]), _MILLISECONDS.get(msec[-4:])
    if second_ns is None or ns is None:
        raise Drift(f"nginx: {msec[:40]!r} is not a time in seconds with 3 decimals", hint=HINT)
    return second_ns + ns


@lru_cache(maxsize=64)  # lines of one second follow each other
def _second_ns(text: str) -> int | None:
    is_number = len(text) <= _SECONDS_DIGITS and text.isdecimal() and text.isascii()
    return int(text) * 10**9 if is_number else None


@lru_cache(maxsize=1024)
def _name(raw: bytes) -> str:
    """Return a name of the configuration; empty for text that cannot be an attribute."""
    try:
        return msgspec.json.decode(raw, type=str) if len(raw) <= _MOST_TEXT else ""
    except (msgspec.MsgspecError, ValueError):
        return ""
