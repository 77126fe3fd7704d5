"""Trace contexts that a log line carries: W3C's ``traceparent`` and separate fields, as 24 bytes. Pure.

A client chooses the ids that it sends, so a context is only ever a link from a sample to a trace. It never names a
sample, a series or an episode.
"""

from __future__ import annotations

import re

LENGTH = 24
"""Bytes of a trace context: trace id (16), then span id (8)."""

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_TRACE_ID, _SPAN_ID = r"(?!0{32})([0-9a-f]{32})", r"(?!0{16})([0-9a-f]{16})"
_PARENT_LENGTH = 55
_PARENT = re.compile(f"00-{_TRACE_ID}-{_SPAN_ID}-[0-9a-f]{{2}}")
_IDS = re.compile(f"{_TRACE_ID}-{_SPAN_ID}")


def parse_traceparent(text: bytes | str) -> bytes:
    """Return the trace context in the value of a header ``traceparent`` of version 00; empty if it is not valid.

    Only the exact form is valid: lower case, no spaces, no id of zeros alone, nothing behind the flags.
    """
    if len(text) != _PARENT_LENGTH:  # most lines have none
        return b""
    return _joined(_PARENT.fullmatch(_text(text)))


def join_trace(trace_id_hex: bytes | str, span_id_hex: bytes | str) -> bytes:
    """Return the trace context of two ids in lower-case hex; empty if one of them is not valid."""
    return _joined(_IDS.fullmatch(f"{_text(trace_id_hex)}-{_text(span_id_hex)}"))


def is_context(trace: bytes) -> bool:
    """Return whether bytes are a trace context: 24 of them, and neither id is zeros alone."""
    return len(trace) == LENGTH and trace[:16] != _NO_TRACE and trace[16:] != _NO_SPAN


def ids_of(trace: bytes) -> tuple[bytes, bytes]:
    """Return the trace id and the span id of a trace context; two empty ones of an empty context."""
    return trace[:16], trace[16:]


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _joined(match: re.Match[str] | None) -> bytes:
    return b"" if match is None else bytes.fromhex(match[1] + match[2])
