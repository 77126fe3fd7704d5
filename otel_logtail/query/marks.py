"""Answer ``query marks``: starts of the programs, and marks that users added."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from otel_logtail.query.reader import Reader, translated
from otel_logtail.query.selection import Keep
from otel_logtail.text import iso


class MarkRow(msgspec.Struct, frozen=True):
    """One mark of a source."""

    time: str
    time_unix_nano: int
    text: str
    source: str


def marks(reader: Reader, *, limit: int = 0, keep: Keep | None = None) -> Iterator[MarkRow]:
    """Return the newest marks in the range, oldest first.

    Args:
        reader: The store, the range and the source.
        limit: The maximum number; 0: all.
        keep: The test whether a row is selected; None: every row is.
    """
    since_ns, until_ns = reader.bounds
    with translated():
        rows = reader.conn.execute(
            "SELECT m.time_ns, m.text, s.name FROM (SELECT * FROM mark WHERE time_ns >= :since AND time_ns < :until"
            " AND (:source IS NULL OR source = :source) ORDER BY time_ns DESC, id DESC LIMIT :limit) AS m"
            " JOIN source AS s ON s.id = m.source ORDER BY m.time_ns, m.id",
            {"since": since_ns, "until": until_ns, "source": reader.source_id(), "limit": -1 if keep else limit or -1},
        ).fetchall()
    found = (MarkRow(iso(time_ns), time_ns, text, name) for time_ns, text, name in rows)
    return found if keep is None else iter(deque(filter(keep, found), limit or None))
