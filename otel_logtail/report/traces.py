"""The address of a trace in the user's trace viewer. Pure."""

from __future__ import annotations

import re

from otel_logtail.errors import invalid

PLACE = "{trace_id}"
_EXAMPLE = "use a URL with {trace_id} in it, e.g. 'https://tempo.example/trace/{trace_id}'"
_ADDRESS = re.compile(r"https?://[^/?#\s]+(?:[/?#].*)?", re.IGNORECASE)


def parse_trace_url(text: str) -> str:
    """Return the address of traces, with a place for the id.

    Raises:
        UsageError: it is not an http or https address, or lacks the place.
    """
    address = text.strip()
    if not address.isprintable() or " " in address or _ADDRESS.fullmatch(address) is None:
        raise invalid("--trace-url", text, "expected an http or https address", _EXAMPLE)
    if PLACE not in address:
        raise invalid("--trace-url", text, f"it lacks {PLACE}", _EXAMPLE)
    return address
