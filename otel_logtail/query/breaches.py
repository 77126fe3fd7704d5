"""Answer which slow samples an episode consists of."""

from __future__ import annotations

import msgspec

from otel_logtail.query.blocks import Kinds
from otel_logtail.query.reader import Reader, translated
from otel_logtail.text import iso

_TRACE_ID = 16  # bytes


class SlowSample(msgspec.Struct, frozen=True, gc=False):
    """One slow sample of an episode.

    ``time`` is when it ended, and ``stages`` are in ms. ``trace_id`` is that of the trace context in its line; empty:
    the line has none.
    """

    time: str
    time_unix_nano: int
    duration_ms: float
    severity: str
    cause: str
    stage: str
    stages: dict[str, float]
    trace_id: str


def slow_samples(reader: Reader, span_id: str, *, limit: int) -> list[SlowSample]:
    """Return the slowest samples of an episode, the slowest first; none if they have expired.

    Args:
        reader: The store. Its range is not used: an episode at a bound is complete.
        span_id: The id of the episode, in hexadecimal.
        limit: The maximum number.
    """
    kinds = Kinds(reader)
    decode = msgspec.json.Decoder(tuple[int | None, ...]).decode
    found = []
    with translated():
        rows = reader.conn.execute(
            "SELECT time_ns, duration_ns, kind, stages, trace FROM breach WHERE span_id = ?"
            " ORDER BY duration_ns DESC, time_ns LIMIT ?",
            (bytes.fromhex(span_id), limit),
        ).fetchall()
        for time_ns, duration_ns, kind_id, stages, trace in rows:
            kind = kinds.get(kind_id)
            if kind is None:
                continue
            found.append(
                SlowSample(
                    time=iso(time_ns),
                    time_unix_nano=time_ns,
                    duration_ms=duration_ns / 1e6,
                    severity=kind.severity.label,
                    cause=kind.cause,
                    stage=kind.stage,
                    stages={n: ns / 1e6 for n, ns in zip(kind.stages, decode(stages), strict=False) if ns is not None},
                    trace_id=trace[:_TRACE_ID].hex(),
                )
            )
    return found
