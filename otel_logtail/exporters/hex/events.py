"""Breaches and episodes in hex's format, and the engine's frames. Pure.

An event has the log's time, not that of sending, and an id, so that a subscriber that gets it twice can recognize it.
On the bus, both kinds have the event's name; only an episode has ``data.kind``.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import msgspec

from otel_logtail.exporters.wording import printable
from otel_logtail.model import BreachRecord, Delivered, EpisodeRecord, Refused, Retry
from otel_logtail.text import iso
from otel_logtail.trace import ids_of

SET = "state::set"
SCOPE = "events"

HexItem = BreachRecord | EpisodeRecord
Outcome = Delivered | Retry | Refused

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


# --- events -----------------------------------------------------------------------------------------------------


class BreachData(msgspec.Struct, frozen=True, omit_defaults=True):
    """A breach on the bus; ``time`` has the log's full resolution. The ids are those of its line, if it has them."""

    severity: str
    value_ms: float
    stage: str
    source: str
    id: str
    time: str
    cause: str
    link_trace_id: str = ""
    link_span_id: str = ""


class EpisodeData(msgspec.Struct, frozen=True, tag_field="kind", tag="stall_episode"):
    """An episode on the bus."""

    count: int
    peak_ms: float
    severity: str
    dominant_stage: str
    source: str
    id: str
    start: str
    end: str
    trace_id: str


class Event(msgspec.Struct, frozen=True):
    """hex's envelope: these four keys and no others."""

    event: str
    producer: str
    ts: str
    data: BreachData | EpisodeData


class TelemetryRow(msgspec.Struct, frozen=True):
    """A row of hex's own telemetry table, as its log tailer writes it; ``detail`` is JSON, with our id in it."""

    ts: str
    source: str
    event: str
    status: str
    duration_ms: int
    detail: str


def happened_ns(item: HexItem) -> int:
    """Return the end of an item, in the log's time."""
    return item.time_ns if isinstance(item, BreachRecord) else item.episode.end_ns


def identity(item: HexItem) -> str:
    """Return the permanent id of an item in hexadecimal: a breach's uid, an episode's span."""
    return item.uid.hex() if isinstance(item, BreachRecord) else item.episode.span_id.hex()


def event_of(item: HexItem) -> Event:
    """Return the event for the bus."""
    source = item.source.name
    data: BreachData | EpisodeData
    if isinstance(item, BreachRecord):
        trace_id, span_id = ids_of(item.trace)
        data = BreachData(
            severity=item.severity.label,
            value_ms=item.duration_ns / 1e6,
            stage=item.stage,
            source=source,
            id=identity(item),
            time=iso(item.time_ns),
            cause=item.cause,
            link_trace_id=trace_id.hex(),
            link_span_id=span_id.hex(),
        )
    else:
        episode = item.episode
        data = EpisodeData(
            count=episode.count,
            peak_ms=episode.peak_ns / 1e6,
            severity=episode.severity.label,
            dominant_stage=episode.stage,
            source=source,
            id=identity(item),
            start=iso(episode.start_ns),
            end=iso(episode.end_ns),
            trace_id=episode.trace_id.hex(),
        )
    return Event(item.source.event, source, timestamp(happened_ns(item)), data)


def row_of(item: HexItem) -> TelemetryRow:
    """Return the row for hex's telemetry table; an episode's duration is that of its peak, as in hex's own rows."""
    detail: dict[str, object]
    if isinstance(item, BreachRecord):
        event, severity, duration_ns = "overhead", item.severity, item.duration_ns
        detail = {"stage": item.stage}
    else:
        episode = item.episode
        event, severity, duration_ns = "stall_episode", episode.severity, episode.peak_ns
        detail = {"count": episode.count, "peak_ms": episode.peak_ns / 1e6, "dominant_stage": episode.stage}
    return TelemetryRow(
        ts=timestamp(happened_ns(item)),
        source=item.source.name,
        event=event,
        status=severity.label,
        duration_ms=(duration_ns + 500_000) // 1_000_000,
        detail=msgspec.json.encode({**detail, "id": identity(item)}).decode(),
    )


def timestamp(time_ns: int) -> str:
    """Return a time in hex's format: ISO 8601, UTC as +00:00, so that rows compare as text."""
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).isoformat()


# --- frames -----------------------------------------------------------------------------------------------------


class _Target(msgspec.Struct, frozen=True):
    scope: str
    key: str
    value: Event


class _Call(msgspec.Struct, frozen=True, tag_field="type", tag="invokefunction"):
    invocation_id: str
    function_id: str
    data: _Target


class Problem(msgspec.Struct, frozen=True):
    """The error of a call that failed."""

    code: str = ""
    message: str = ""


class Answer(msgspec.Struct, frozen=True):
    """The end of one call; ``error`` is None if the event is stored and its triggers run."""

    invocation_id: str
    error: Problem | None = None


class _Frame(msgspec.Struct, frozen=True):
    type: str = ""
    invocation_id: str | None = None
    error: Problem | None = None


_frame_of = msgspec.json.Decoder(_Frame).decode


def call(event: Event, invocation_id: str) -> str:
    """Return the frame that sets the state of an event's key, so that its subscribers are called."""
    return msgspec.json.encode(_Call(invocation_id, SET, _Target(SCOPE, event.event, event))).decode()


def read_answer(text: str | bytes) -> Answer | None:
    """Return the answer in a frame; None if the frame is about something else, or can't be read."""
    try:
        frame = _frame_of(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    if frame.type != "invocationresult" or frame.invocation_id is None:
        return None
    return Answer(frame.invocation_id, frame.error)


def judge(error: Problem | None, *, url: str) -> Outcome:
    """Return the meaning of an answer for the event.

    Only FORBIDDEN is permanent. If a function is not found, its worker has not started yet. Any other error may be
    over at the next attempt, at the latest when the event is too old.
    """
    if error is None:
        return Delivered()
    code, message = printable(error.code) or "an error without a code", printable(error.message)
    why = f"{url} answered {code}" + (f": {message}" if message else "")
    if error.code == "FORBIDDEN":
        return Refused(f"{why}: this III_TOKEN may not call {SET}")
    if error.code == "function_not_found":
        return Retry(f"{why}: is the engine's state worker up?")
    return Retry(why, isolate=True)
