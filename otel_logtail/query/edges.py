"""Cut a range of time into whole intervals and edges.

Adding up interval counts costs as much as there are intervals, not samples. The counts of an interval cannot be split,
though: where a bound of the range is within an interval, the part of the range next to that bound (an *edge*) is
counted from its samples, and the intervals in it are not used. An edge grows until no interval reaches across its inner
end, because a late sample's interval, or one that was merged into minutes, may overlap others.

Known limits: an edge whose samples have expired counts as empty; intervals are at most ``LONGEST_NS`` long. The caller
holds a snapshot: without it, an interval that is closed meanwhile could be counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from otel_logtail.query.reader import FIRST_NS, LAST_NS, Reader
from otel_logtail.store.sparse import SPARSE

LONGEST_NS = 24 * 3600 * 10**9
"""The length that no interval exceeds; it limits the search for intervals that reach into a range."""

TABLES = ("interval", "open_interval", SPARSE)


class Coverage(msgspec.Struct, frozen=True):
    """The parts of a range: ``[start_ns, end_ns)`` is counted from the intervals in it, the edges from samples."""

    start_ns: int
    end_ns: int
    edges: tuple[tuple[int, int], ...] = ()


EVERYTHING = Coverage(FIRST_NS, LAST_NS)


def cover(reader: Reader, series: Sequence[int]) -> Coverage:
    """Decide which parts of the reader's range are counted from intervals of these series, and which from samples."""
    since_ns, until_ns = reader.bounds
    start_ns = since_ns if reader.since_ns is None else _grow(reader, series, since_ns, "max(end_ns)")
    end_ns = until_ns if reader.until_ns is None else _grow(reader, series, until_ns, "min(start_ns)")
    if start_ns >= end_ns:  # the edges leave no interval between them
        return Coverage(end_ns, end_ns, ((since_ns, until_ns),))
    edges = ((since_ns, start_ns), (end_ns, until_ns))
    return Coverage(start_ns, end_ns, tuple(edge for edge in edges if edge[0] < edge[1]))


def _grow(reader: Reader, series: Sequence[int], edge_ns: int, far_end: str) -> int:
    """Move an edge to the far end of the intervals that it cuts, until it cuts none."""
    cut = " UNION ALL ".join(
        f"SELECT start_ns, end_ns FROM {table} WHERE series IN ({id_list(series)})"
        " AND start_ns > :edge - :longest AND start_ns < :edge AND end_ns > :edge"
        for table in TABLES
    )
    while True:
        row = reader.conn.execute(f"SELECT {far_end} FROM ({cut})", {"edge": edge_ns, "longest": LONGEST_NS}).fetchone()
        if row[0] is None:
            return edge_ns
        edge_ns = row[0]


def id_list(ids: Sequence[int]) -> str:
    """Return ids as a list for SQL."""
    return ",".join(map(str, ids))
