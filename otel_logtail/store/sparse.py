"""Closed intervals of few samples: one row with their values, where counts take a wide row for each series.

The row has an id for each of its series, in the order of the series' ids: its own id is the last of them. So the stream
of closed intervals, which is in two tables, has the same ids as if all were counted. A reader of such a row gets the
counts of its values.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from heapq import merge
from itertools import chain
from operator import itemgetter
from typing import Annotated, Any, NamedTuple

import msgspec

from otel_logtail import native
from otel_logtail.counts import count
from otel_logtail.model import Counts
from otel_logtail.store.rows import COUNTS, MOST, counts_or_mean, counts_to_read, encode_json

_SAMPLES = "CAST(r.samples AS BLOB)"
"""Invalid UTF-8 fails the query before it calls the function: see :func:`~otel_logtail.store.rows.counts_to_read`."""

SPARSE = (
    f"(SELECT r.id, s.series, r.start_ns, r.end_ns, sparse_count({_SAMPLES}, s.place, 0) AS count,"
    f" sparse_count({_SAMPLES}, s.place, 1) AS sum_ns, sparse_count({_SAMPLES}, s.place, 2) AS min_ns,"
    f" sparse_count({_SAMPLES}, s.place, 3) AS max_ns, sparse_count({_SAMPLES}, s.place, 5) AS exponential,"
    f" sparse_count({_SAMPLES}, s.place, 6) AS zeros"
    " FROM sparse_interval AS r JOIN series_set AS s ON s.id = r.series_set)"
)
"""The rows of values as rows of counts, in the place of a table. The connection needs :func:`add_functions`. A damaged
row counts one sample of unknown duration."""

_hot = native.module("engine._hot")
_DAMAGED = (None,) * len(COUNTS.split(", "))
_MOST = 2**62
_decode = msgspec.json.Decoder(list[list[Annotated[int, msgspec.Meta(ge=-_MOST, le=_MOST)]]]).decode


class Closed(NamedTuple):
    """The counts of one series in one closed interval, as columns or as values; a damaged row has neither."""

    id: int
    series: int
    start_ns: int
    end_ns: int
    first_breach: int
    last_breach: int
    columns: tuple[Any, ...]
    values: list[int] | None = None

    def counts(self, bounds_ns: tuple[int, ...]) -> tuple[Counts, bool]:
        """Return the counts, and whether they are undamaged."""
        if self.values:
            return count(self.values, bounds_ns), True
        return counts_or_mean(self.columns, bounds_ns)


class SparseRow(NamedTuple):
    """A row of values: its series, and the values of each; None: it is damaged."""

    id: int
    series: tuple[int, ...]
    start_ns: int
    end_ns: int
    first_breach: int
    last_breach: int
    values: list[list[int]] | None

    @property
    def ids(self) -> range:
        """The ids of its series."""
        return range(self.id - len(self.series) + 1, self.id + 1)

    def closed(self) -> Iterator[Closed]:
        """Yield each of its series with an id of its own."""
        span = (self.start_ns, self.end_ns, self.first_breach, self.last_breach)
        for place, (id_, series) in enumerate(zip(self.ids, self.series, strict=True)):
            yield Closed(id_, series, *span, _DAMAGED, self.values[place] if self.values else None)


def closed_after(db: sqlite3.Connection, position: int) -> Iterator[Closed]:
    """Yield the rows behind an id in the stream of closed intervals, in order. Nothing is read ahead."""
    counted = db.execute(
        f"SELECT id, series, start_ns, end_ns, first_breach, last_breach, {counts_to_read()} FROM interval"
        " WHERE id > ? ORDER BY id",
        (position,),
    )
    sparse = (one for row in sparse_rows(db, "id > ? ORDER BY id", position) for one in row.closed())
    rest = (one for one in sparse if one.id > position)
    return merge(map(closed_of, counted), rest, key=itemgetter(0))


def closed_of(row: tuple[Any, ...]) -> Closed:
    """Return a row of counts: its first six columns, and those of its counts as :func:`counts_or_mean` takes them."""
    id_, series, start_ns, end_ns, first, last, *columns = row
    return Closed(id_, series, start_ns, end_ns, first, last, tuple(columns))


def sparse_rows(db: sqlite3.Connection, where: str, *parameters: object) -> Iterator[SparseRow]:
    """Yield the rows of values that satisfy a condition."""
    sets: dict[int, tuple[int, ...]] = {}
    for id_, set_, start_ns, end_ns, first, last, samples in db.execute(
        "SELECT id, series_set, start_ns, end_ns, first_breach, last_breach, CAST(samples AS BLOB)"
        f" FROM sparse_interval WHERE {where}",
        parameters,
    ):
        if set_ not in sets:
            sets[set_] = series_of(db, set_)
        values = decode_values(samples)
        if values is not None and len(values) != len(sets[set_]):
            values = None
        yield SparseRow(id_, sets[set_], start_ns, end_ns, first, last, values)


def series_of(db: sqlite3.Connection, set_: int) -> tuple[int, ...]:
    """Return the ids of the series of a set."""
    found = db.execute("SELECT series FROM series_set WHERE id = ? ORDER BY place", (set_,))
    return tuple(series for (series,) in found)


def decode_values(samples: bytes | str | None) -> list[list[int]] | None:
    """Return the values of each series, or None if they are damaged."""
    try:
        values = _decode(samples)  # type: ignore[arg-type]
    except (msgspec.MsgspecError, TypeError):
        return None
    return values if all(values) else None


def count_texts(texts: list[bytes | None], bounds_ns: tuple[tuple[int, ...], ...]) -> tuple[list[Counts], list[int]]:
    """Return the counts of each series in rows of the same series, and the places of the undamaged rows.

    Damaged rows are left out; if all are damaged, there are no counts.
    """
    if (found := _count_texts(texts, bounds_ns)) is not None:
        return [Counts(*fields) for fields in found], list(range(len(texts)))
    decoded = [decode_values(text) for text in texts]
    places = [place for place, values in enumerate(decoded) if values is not None and len(values) == len(bounds_ns)]
    columns = zip(*(decoded[place] or [] for place in places), strict=True)
    return [count(list(chain(*column)), of) for column, of in zip(columns, bounds_ns, strict=False)], places


@native.twin(_hot)
def _count_texts(texts: list[bytes | None], bounds_ns: tuple[tuple[int, ...], ...]) -> list[tuple[Any, ...]] | None:
    """Return the fields of the counts of each series, if no row is damaged; None: the rows are decoded one by one."""
    return None


def add_functions(db: sqlite3.Connection) -> None:
    """Add what :data:`SPARSE` uses to a connection."""
    db.create_function("sparse_count", 3, _count_column, deterministic=True)


def _count_column(samples: bytes | None, place: int, column: int) -> int | str | None:
    """Return one of the columns :data:`COUNTS` of the series at a place."""
    counts = _counts_at(samples, place)
    if counts is None:
        return 1 if column == 0 else None
    value = msgspec.structs.astuple(counts)[column]
    return min(value, MOST) if isinstance(value, int) else encode_json(value)


@lru_cache(maxsize=16)  # a row is used column by column, and series by series
def _counts_at(samples: bytes | None, place: int) -> Counts | None:
    values = decode_values(samples)
    return count(values[place], ()) if values and place < len(values) else None
