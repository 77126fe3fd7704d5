"""The recommended JSON ``log-format`` of HAProxy: which lines are of it, and their values. Pure.

All values are quoted, since HAProxy does not write all of them as JSON numbers (``+1``); numbers are read, too. Texts
that a client chooses are not decoded.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.observers.http import UNREADABLE

_Name = Annotated[str, msgspec.Meta(max_length=128)]

_HINT = "use the log-format of 'otel-logtail observers show haproxy', and raise the length of a line in 'log … len'"
_EARLY = b'"Ta":"+'


class Entry(msgspec.Struct, gc=False):
    """The known values of a line: milliseconds (``end_ms`` in UTC), the status, and names of the configuration."""

    end_ms: int
    TR: int
    Tw: int
    Tc: int
    Tr: int
    Ta: int
    status: int
    frontend: _Name
    backend: _Name
    method: msgspec.Raw = msgspec.Raw()
    traceparent: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(Entry, strict=False).decode  # numbers may be quoted


def is_json_form(line: bytes) -> bool:
    """Return whether a line is of the recommended form, or was before it was changed or cut."""
    return line.startswith(b'{"') and b'"end_ms":' in line[:1024]


def read(line: bytes) -> tuple[Entry, bool]:
    """Read a line of the recommended form; True: it was written before the body was transferred (option logasap).

    Raises:
        Drift: a value is missing or is not a number, or the line is cut.
    """
    try:
        return _decode(line), False
    except UNREADABLE:
        pass
    try:
        return _decode(line.replace(_EARLY, _EARLY[:-1], 1)), _EARLY in line
    except UNREADABLE as problem:
        raise Drift(f"haproxy: a JSON line cannot be read: {type(problem).__name__}", hint=_HINT) from None


def unquoted(raw: msgspec.Raw) -> bytes:
    """Return the bytes of a text without its quotes, as they are in the line."""
    return bytes(raw)[1:-1]
