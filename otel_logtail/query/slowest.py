"""Answer ``query slowest``: the slowest samples, each with its stages and its trace."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import msgspec

from otel_logtail.query.blocks import Kinds
from otel_logtail.query.breach_pages import Breach, breach_rows
from otel_logtail.query.reader import Reader, translated
from otel_logtail.query.samples import SampleRow, SampleRows
from otel_logtail.query.selection import Keep

_TRACE_CHARS = 32


class SlowestRow(SampleRow, frozen=True, gc=False):
    """One slow sample, with the ids of its episode, and the trace id of its own line (empty: the line has none)."""

    trace_id: str
    span_id: str
    link_trace_id: str


def slowest(reader: Reader, *, limit: int = 0, keep: Keep | None = None) -> Iterator[SlowestRow]:
    """Return the slowest of the slow samples in the range, the slowest first.

    Args:
        reader: The store, the range and the source.
        limit: The maximum number; 0: all.
        keep: The test whether a row is selected; None: every row is.
    """
    return _read(reader, _Rows(reader), limit, keep)


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
