"""nginx's recommended JSON format: one flat object of strings. Pure.

Only known fields are decoded. A format with more of them may hold a client's bytes, which need not be UTF-8.
"""

from __future__ import annotations

import json
from functools import lru_cache

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.model import Rejected
from otel_logtail.observers.nginx.parts import HINT, QUOTES

START = b'{"msec":"'
_START = START.decode()
_NO_TEXT = msgspec.Raw(b'""')
_MOST_MSEC = 16
_MILLISECONDS = {f".{ms:03d}": ms * 10**6 for ms in range(1000)}


class Line(msgspec.Struct, gc=False):
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


_NAMES = frozenset(Line.__struct_fields__)
_KEYS = tuple(f'"{name}"'.encode() for name in Line.__struct_fields__)
_KEYS_BEHIND_TIMES = (b'"status"', b'"server"')  # a client chooses its method and its traceparent anyway
_QUOTES = 4 * len(_KEYS)
_decode = msgspec.json.Decoder(Line).decode


def read(line: bytes) -> Line | Rejected:
    """Return the fields of a line that starts with :data:`START`.

    A line whose quotes do not match, or that has a field twice, is rejected: without ``escape=json`` a client can write
    quotes, and so further fields.

    Raises:
        Drift: a known field is missing or is not text.
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
    has_only_these = line.count(b'"') == _QUOTES and found.traceparent is not _NO_TEXT
    if not has_only_these and _seems_forged(line, found) and _is_forged(line):
        return QUOTES
    return found


def _seems_forged(line: bytes, found: Line) -> bool:
    r"""Return whether a known field may be there twice. The last one of two is decoded.

    A name may also be written with escapes (``\u006d``), or be the value of another field.
    """
    times = (
        f'{_START}{found.msec}","request_time":"{found.request_time}","connect_time":"{found.connect_time}",'
        f'"header_time":"{found.header_time}","response_time":"{found.response_time}",'
    )
    for key in _KEYS_BEHIND_TIMES if line.startswith(times.encode()) else _KEYS:
        if line.count(key) > 1:
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


def end_ns(msec: str) -> int:
    """Read the end of a request, such as ``1795966985.757``.

    Raises:
        Drift: the text is not a number of seconds with exactly three decimals.
    """
    second_ns, ns = _second_ns(msec[:-4]) if len(msec) <= _MOST_MSEC else None, _MILLISECONDS.get(msec[-4:])
    if second_ns is None or ns is None:
        raise Drift(f"nginx: {msec[:40]!r} is not a time in seconds with 3 decimals", hint=HINT)
    return second_ns + ns


@lru_cache(maxsize=64)  # lines of one second follow each other
def _second_ns(text: str) -> int | None:
    return int(text) * 10**9 if text.isdecimal() and text.isascii() else None


def name_of(raw: bytes) -> str:
    """Return the text of a JSON string; empty for any other value, and for text that is not UTF-8."""
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, ValueError):
        return ""
