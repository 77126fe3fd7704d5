"""Add up the counts of intervals, and the percentiles of what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any

import msgspec

from otel_logtail.counts import SCALE, add, count
from otel_logtail.model import Counts, Instrument
from otel_logtail.query.edges import TABLES, Coverage, id_list
from otel_logtail.query.reader import Damage, Reader
from otel_logtail.store.rows import at_their_mean, whole_in_all

_ROWS = 4096  # read at a time: limits memory
_NO_BOUNDS = ()
_COLUMNS = (  # behind the times as in rows.COUNTS, with one explicit bucket for any bounds
    "start_ns, end_ns, count, sum_ns, min_ns, max_ns, CAST('[' || count || ']' AS BLOB),"
    " CAST(exponential AS BLOB), zeros"
)
_PERCENTS = (50, 90, 99)
_Row = tuple[Any, ...]
_Span = tuple[int, int]


class Covered(msgspec.Struct, frozen=True):
    """The counts of some intervals, and the first and the last of them; both None: there are none."""

    counts: Counts
    first: tuple[int, int] | None = None
    last: tuple[int, int] | None = None


def series_of(reader: Reader, instrument: Instrument) -> list[tuple[int, dict[str, str | int]]]:
    """Return the ids and attributes of an instrument's series, of the reader's source or of all."""
    rows = reader.conn.execute(
        "SELECT id, attributes FROM series WHERE instrument = :instrument AND (:source IS NULL OR source = :source)",
        {"instrument": instrument.value, "source": reader.source_id()},
    )
    return [(id_, msgspec.json.decode(text, type=dict[str, bool | int | str])) for id_, text in rows]


def interval_counts(reader: Reader, series: Sequence[int], coverage: Coverage) -> Covered:
    """Add up the intervals of some series in the coverage, without ``explicit``: bounds may differ.

    Intervals that were damaged on disk are counted at their mean, which the reader notes.
    """
    total = Counts()
    spans: list[_Span] = []
    for rows in _chunks(reader, series, coverage):
        add(total, _sum(rows, reader.damage))
        spans += [min(row[:2] for row in rows), max((row[:2] for row in rows), key=lambda span: span[1])]
    return Covered(total, min(spans, default=None), max(spans, key=lambda span: span[1], default=None))


def counts_by(
    reader: Reader, series: Sequence[int], coverage: Coverage, place: Callable[[int], int]
) -> Iterator[tuple[int, Counts]]:
    """Yield the counts of the intervals in the coverage by the place of their start; a place can come several times."""
    for rows in _chunks(reader, series, coverage):
        for at, own in groupby(rows, key=lambda row: place(row[0])):
            yield at, _sum(list(own), reader.damage)


def _sum(rows: list[_Row], damage: Damage) -> Counts:
    found, whole = whole_in_all([row[2:] for row in rows], _NO_BOUNDS)
    if len(whole) < len(rows):
        for place in set(range(len(rows))) - set(whole):
            counts = at_their_mean(rows[place][2:6], _NO_BOUNDS)
            damage.counts(rows[place], counts.count)
            add(found, counts)
    found.explicit = []
    return found


def count_of(reader: Reader, series: Sequence[int], coverage: Coverage) -> int:
    """Return the number of samples in the intervals of some series in the coverage."""
    bounds = (coverage.start_ns, coverage.end_ns)
    return sum(
        reader.conn.execute(f"SELECT ifnull(sum(count), 0) FROM {table} {_inside(series)}", bounds).fetchone()[0]
        for table in TABLES
    )


def _inside(series: Sequence[int]) -> str:
    return f"WHERE series IN ({id_list(series)}) AND start_ns >= ? AND end_ns <= ? AND count > 0"


def _chunks(reader: Reader, series: Sequence[int], coverage: Coverage) -> Iterator[list[_Row]]:
    for table in TABLES:
        cursor = reader.conn.execute(
            f"SELECT {_COLUMNS} FROM {table} {_inside(series)}",
            (coverage.start_ns, coverage.end_ns),
        )
        while rows := cursor.fetchmany(_ROWS):
            yield rows


def add_values(into: Counts, values_ns: Sequence[int]) -> None:
    """Add durations to counts, without ``explicit``."""
    if values_ns:
        more = count(values_ns, ())
        more.explicit = []
        add(into, more)


def percentiles_ns(counts: Counts, percents: Iterable[int | Fraction]) -> list[float]:
    """Return nearest-rank percentiles in ns, within 0.6 % (half a bucket); the first and the last rank are exact."""
    if not counts.count:
        return [0.0 for _ in percents]
    buckets = sorted(counts.exponential.items())
    found = []
    for percent in percents:
        rank = int(max(1, -(-counts.count * percent // 100)))
        if rank == 1 or rank == counts.count:
            found.append(float(counts.min_ns if rank == 1 else counts.max_ns))
            continue
        seen, value = counts.zeros, 0.0
        for index, number in buckets:
            if seen >= rank:
                break
            seen += number
            value = 2 ** ((index + 0.5) / 2**SCALE) * 1e9
        found.append(min(max(value, counts.min_ns), counts.max_ns))
    return found


def figures_ms(counts: Counts) -> dict[str, float]:
    """Return mean, percentiles and maximum of the durations in some counts, in ms."""
    p50, p90, p99 = percentiles_ns(counts, _PERCENTS)
    return {
        "mean_ms": counts.sum_ns / counts.count / 1e6 if counts.count else 0.0,
        "p50_ms": p50 / 1e6,
        "p90_ms": p90 / 1e6,
        "p99_ms": p99 / 1e6,
        "max_ms": counts.max_ns / 1e6,
    }
