"""The slow samples of a range, read a page at a time, so that no snapshot is held between two pages."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.query.reader import LAST_NS, Reader
from otel_logtail.store.rows import OFFSET_BITS

_PAGE = 1000

COLUMNS = f"file << {OFFSET_BITS} | offset, time_ns, duration_ns, kind, stages, trace_id, span_id, trace"
"""The columns of a breach."""

Breach = tuple[int, int, int, int, str, bytes, bytes, bytes]
"""Id of the sample, time, duration, kind, stages (JSON), trace id, span id, trace context."""


def breach_rows(reader: Reader, *, newest_first: bool = False) -> Iterator[Breach]:
    """Yield the slow samples of the reader's range, from all sources, in the order of their times."""
    since_ns, until_ns = reader.bounds
    key = COLUMNS.partition(",")[0]
    order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    last = (until_ns if newest_first else since_ns, LAST_NS if newest_first else -1)
    while rows := reader.conn.execute(
        f"SELECT {COLUMNS} FROM breach"
        f" WHERE time_ns >= ?1 AND time_ns < ?2 AND time_ns {beyond}= ?3 AND (time_ns <> ?3 OR {key} {beyond} ?4)"
        f" ORDER BY time_ns {order}, 1 {order} LIMIT ?5",
        (since_ns, until_ns, *last, _PAGE),
    ).fetchall():
        yield from rows
        last = (rows[-1][1], rows[-1][0])
