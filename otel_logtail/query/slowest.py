"""The slowest samples of a range (``query slowest``), or of an episode, each with its stages and its trace."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import msgspec

from otel_logtail.query.blocks import Kinds
from otel_logtail.query.breach_pages import COLUMNS, Breach, breach_rows
from otel_logtail.query.reader import Reader, translated
from otel_logtail.query.samples import SampleRow, SampleRows
from otel_logtail.query.selection import Keep

_TRACE_CHARS = 32


class SlowestRow(SampleRow, frozen=True, gc=False):
    """One slow sample, with the ids of its episode, and the trace id of its own line (empty: the line has none)."""

    trace_id: str
    span_id: str
    link_trace_id: str


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


def slowest(reader: Reader, *, limit: int = 0, keep: Keep | None = None) -> Iterator[SlowestRow]:
    """Return the slowest of the slow samples in the range, the slowest first.

    Args:
        reader: The store, the range and the source.
        limit: The maximum number; 0: all.
        keep: The test whether a row is selected; None: every row is.
    """
    return _read(reader, _Rows(reader), limit, keep)


def slow_samples(reader: Reader, span_id: str, *, limit: int) -> list[SlowSample]:
    """Return the slowest samples of an episode, the slowest first; none if they have expired.

    Args:
        reader: The store. Its range is not used: an episode at a bound is complete.
        span_id: The id of the episode, in hexadecimal.
        limit: The maximum number.
    """
    rows = _Rows(reader)
    with translated():
        breaches = reader.conn.execute(
            f"SELECT {COLUMNS} FROM breach WHERE span_id = ? ORDER BY duration_ns DESC, time_ns LIMIT ?",
            (bytes.fromhex(span_id), limit),
        ).fetchall()
        found = filter(None, map(rows.row, breaches))
        return [
            SlowSample(
                *(row.time, row.time_unix_nano, row.duration_ms, row.severity, row.cause, row.stage, row.stages),
                trace_id=row.link_trace_id,
            )
            for row in found
        ]


def _read(reader: Reader, rows: _Rows, limit: int, keep: Keep | None) -> Iterator[SlowestRow]:
    with translated():
        found = (breach for breach in breach_rows(reader) if rows.is_kept(breach, keep))
        chosen = heapq.nlargest(limit, found, _duration) if limit else sorted(found, key=_duration, reverse=True)
        yield from filter(None, map(rows.row, chosen))


def _duration(breach: Breach) -> int:
    return breach[2]


class _Rows:
    """Breaches as rows."""

    def __init__(self, reader: Reader) -> None:
        self._kinds = Kinds(reader)
        self._samples = SampleRows(reader, self._kinds)
        self._stages = msgspec.json.Decoder(list[int | None]).decode

    def is_kept(self, breach: Breach, keep: Keep | None) -> bool:
        if keep is None:
            return self._kinds.get(breach[3]) is not None
        row = self.row(breach)
        return row is not None and keep(row)

    def row(self, breach: Breach) -> SlowestRow | None:
        row = self._samples.row((*breach[:4], self._stages(breach[4])))
        if row is None:
            return None
        trace_id, span_id, trace = (value.hex() for value in breach[5:])
        fields = msgspec.structs.asdict(row)
        return SlowestRow(**fields, trace_id=trace_id, span_id=span_id, link_trace_id=trace[:_TRACE_CHARS])
