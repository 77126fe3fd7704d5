"""The payload of a line of headroom: a request with known stages, or anything that its log may hold instead. Pure."""

from __future__ import annotations

from typing import Annotated

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Rejected
from otel_logtail.observers.http import UNREADABLE

STAGES = (
    "pre_upstream_wait",
    "read_request_json",
    "deep_copy",
    "compression_first_stage",
    "memory_context",
    "upstream_connect",
    "upstream_first_byte",
)
"""The stages that have a name here. The durations of all others are added up as ``unknown``."""
HTTP, WEB_SOCKET = "anthropic_messages", "openai_responses_ws"

MAX_MS = 24 * 3_600_000.0

HINT = "headroom may have changed its log: look for a newer otel-logtail, or report the line"

IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
EVENT = Rejected("event")
UNKNOWN_PATH = Rejected("unknown_path")

_Ms = Annotated[float, msgspec.Meta(ge=0, le=MAX_MS)]


class Stages(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The stages of a request in milliseconds; None: the stage did not run. They need not add up to the total."""

    total_pre_upstream: _Ms
    pre_upstream_wait: _Ms | None = None
    read_request_json: _Ms | None = None
    deep_copy: _Ms | None = None
    compression_first_stage: _Ms | None = None
    memory_context: _Ms | None = None
    upstream_connect: _Ms | None = None
    upstream_first_byte: _Ms | None = None


class Request(msgspec.Struct, gc=False):
    """The payload of a request with known stages."""

    event: str
    path: str
    request_id: str
    stages: Stages


class _AnyRequest(msgspec.Struct):
    """The payload of any path, with any stages: a line that does not fit is drift."""

    event: str
    path: str
    request_id: str
    stages: dict[str, float | None]


decode_request = msgspec.json.Decoder(Request).decode
decode_any = msgspec.json.Decoder(_AnyRequest).decode


def read_slowly(payload: bytes) -> tuple[Request, int | None] | Ignored | Rejected:
    """Read a payload that is not a request with known stages.

    Returns:
        The request and the sum of its unknown stages in ns (None: it has none), or why it is not a sample.

    Raises:
        Drift: it can't be decoded, such as the text that headroom writes if JSON fails; or it has no total.
    """
    try:
        request = decode_any(payload)
    except UNREADABLE as error:
        raise Drift(f"headroom: can't read what is behind STAGE_TIMINGS: {error}", hint=HINT) from error
    if request.path != HTTP:
        return IGNORED if request.path == WEB_SOCKET else UNKNOWN_PATH
    if request.event != "stage_timings":
        return EVENT
    stages = {name: ms for name, ms in request.stages.items() if ms is not None}
    total = stages.pop("total_pre_upstream", None)
    if total is None:
        raise Drift("headroom: a request without total_pre_upstream", hint=HINT)
    known = Stages(total, *(stages.pop(name, None) for name in STAGES))
    unknown = sum(stages.values()) if stages else None
    if not all(0 <= ms <= MAX_MS for ms in (unknown or 0.0, *request.stages.values()) if ms is not None):
        return _BOUNDS
    return (
        Request(request.event, request.path, request.request_id, known),
        None if unknown is None else round(unknown * 1e6),
    )
