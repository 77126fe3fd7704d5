"""The recommended JSON ``log-format`` of HAProxy: which lines are of it, and their values. Pure.

All values are quoted, since HAProxy does not write all of them as JSON numbers (``037``, ``+1``); numbers are read too.
Texts that a client chooses are not decoded.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from otel_logtail.errors import Drift

_Name = Annotated[str, msgspec.Meta(max_length=128)]
_DIGITS = 15

_HINT = "take the log-format of 'otel-logtail observers show haproxy', and raise the length of a line in 'log … len'"


class Entry(msgspec.Struct, gc=False):
    """The known values of a line. ``end_ms`` is in UTC, and ``option logasap`` puts ``+`` in front of ``Ta``."""

    end_ms: int | str
    TR: int | str
    Tw: int | str
    Tc: int | str
    Tr: int | str
    Ta: int | str
    status: int | str
    frontend: _Name
    backend: _Name
    method: msgspec.Raw = msgspec.Raw()
    traceparent: msgspec.Raw = msgspec.Raw()


class Numbers(msgspec.Struct, gc=False):
    """The numbers of an entry: milliseconds, and the status."""

    end: int
    timers: tuple[int, int, int, int, int]
    status: int
    is_early: bool


_decode = msgspec.json.Decoder(Entry).decode
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


def is_json_form(line: bytes) -> bool:
    """Return whether a line is of the recommended form, or was before it was changed or cut."""
    return line.startswith(b'{"') and b'"end_ms":' in line[:1024]


def read(line: bytes) -> tuple[Entry, Numbers]:
    """Read a line of the recommended form.

    Raises:
        Drift: a value is missing or is not a number, or the line is cut.
    """
    try:
        entry = _decode(line)
        active = entry.Ta
        is_early = isinstance(active, str) and active.startswith("+")
        timers = (
            _number(entry.TR),
            _number(entry.Tw),
            _number(entry.Tc),
            _number(entry.Tr),
            _number(active[1:] if is_early else active),  # type: ignore[index]
        )
        return entry, Numbers(_number(entry.end_ms), timers, _number(entry.status), is_early)
    except _UNREADABLE as problem:
        raise Drift(f"haproxy: a JSON line cannot be read: {type(problem).__name__}", hint=_HINT) from None


def unquoted(raw: msgspec.Raw) -> bytes:
    """Return the bytes of a text without its quotes, as they are in the line."""
    return bytes(raw)[1:-1]


def _number(value: int | str) -> int:
    """Return a whole number.

    Raises:
        ValueError: it is not one, or it is too long.
    """
    if isinstance(value, str):
        if len(value) > _DIGITS or not value.isascii() or not value.removeprefix("-").isdecimal():
            raise ValueError("not a number")
        return int(value)
    return value
