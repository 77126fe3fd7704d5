"""Add up a range between given points in time, for a plot over time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby

from otel_logtail.counts import add
from otel_logtail.model import Counts, Instrument
from otel_logtail.query.blocks import at_edges
from otel_logtail.query.edges import TABLES, cover, id_list
from otel_logtail.query.intervals import add_values, counts_by, series_of
from otel_logtail.query.reader import Reader


def over_time(reader: Reader, edges_ns: Sequence[int]) -> list[Counts]:
    """Add up the samples of the reader's range between each two edges, in one pass over the intervals.

    An interval counts where it starts, a sample before the first edge or from the last one on in the first or the last
    part, so that all parts together are the summary.
    """
    with reader.snapshot():
        series = [id_ for id_, _ in series_of(reader, Instrument.DURATION)]
        coverage = cover(reader, series)
        last = len(edges_ns) - 2

        def place(time_ns: int) -> int:
            return min(max(bisect_right(edges_ns, time_ns) - 1, 0), last)

        found = [Counts() for _ in range(last + 1)]
        for at, counts in counts_by(reader, series, coverage, place):
            add(found[at], counts)
        at_edge = sorted((place(sample[1]), sample[2]) for sample, _ in at_edges(reader, coverage))
        for at, values in groupby(at_edge, key=lambda item: item[0]):
            add_values(found[at], [value for _, value in values])
    return found


def longest_interval(reader: Reader) -> int:
    """Return the length in ns of the longest interval in the reader's range: no plot can be finer. 0: there is none."""
    series = id_list([id_ for id_, _ in series_of(reader, Instrument.DURATION)])
    since_ns, until_ns = reader.bounds
    lengths: list[int] = [
        reader.conn.execute(
            f"SELECT ifnull(max(end_ns - start_ns), 0) FROM {table} WHERE series IN ({series})"
            " AND start_ns >= ? AND start_ns < ?",
            (since_ns, until_ns),
        ).fetchone()[0]
        for table in TABLES
    ]
    return max(lengths)
