"""What all samples of a range add up to, out of interval counts: the cost is that of the intervals, not the samples.

A range may cut through intervals. The counts of a whole interval can't be split, so the piece of the range that such
an interval reaches into (an *edge*) is counted from its sample rows, and the intervals there are left out. Edges grow
until no interval sticks out of them: a late sample's row, or a stretch merged into minutes, may lie across another.

Known limits: an edge whose samples are gone (retention) counts as empty; intervals are at most ``LONGEST_NS`` long.
The caller holds a read transaction, else an interval that is sealed meanwhile could be counted twice.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from typing import Any

import msgspec

from otel_logtail.counts import SCALE, add, count
from otel_logtail.model import Counts
from otel_logtail.query.database import Damage
from otel_logtail.store.rows import at_their_mean

LONGEST_NS = 24 * 3600 * 10**9
"""No interval is longer: bounds how far back one that reaches into a range is looked for."""

_ROWS = 4096  # at a time: bounds memory
_FIRST_NS, _LAST_NS = -(2**63), 2**63 - 1
_TABLES = ("interval", "open_interval")
_PAIR = re.compile(r'"(-?[0-9]+)":([0-9]+)').fullmatch
_Row = tuple[Any, ...]
_Span = tuple[int, int]


class Coverage(msgspec.Struct, frozen=True):
    """How a range is counted: from intervals wholly inside ``[start_ns, end_ns)``, from samples in ``edges``."""

    start_ns: int
    end_ns: int
    edges: tuple[tuple[int, int], ...]


EVERYTHING = Coverage(_FIRST_NS, _LAST_NS, ())


class Covered(msgspec.Struct, frozen=True):
    """Interval counts, and the first and last interval among them (both None: there was none)."""

    counts: Counts
    first: tuple[int, int] | None = None
    last: tuple[int, int] | None = None


def cover(conn: sqlite3.Connection, series: Sequence[int], since_ns: int | None, until_ns: int | None) -> Coverage:
    """Decide what is counted from intervals and what from samples; None as a bound means no bound."""
    start_ns = _FIRST_NS if since_ns is None else _grow(conn, series, since_ns, "max(end_ns)")
    end_ns = _LAST_NS if until_ns is None else _grow(conn, series, until_ns, "min(start_ns)")
    if start_ns >= end_ns:  # no interval lies between the edges
        since_ns = _FIRST_NS if since_ns is None else since_ns
        until_ns = _LAST_NS if until_ns is None else until_ns
        return Coverage(end_ns, end_ns, ((since_ns, until_ns),))
    edges = []
    if since_ns is not None and since_ns < start_ns:
        edges.append((since_ns, start_ns))
    if until_ns is not None and end_ns < until_ns:
        edges.append((end_ns, until_ns))
    return Coverage(start_ns, end_ns, tuple(edges))


def _grow(conn: sqlite3.Connection, series: Sequence[int], edge_ns: int, far: str) -> int:
    """Move an edge to the far side of the intervals that it cuts, until it cuts none."""
    cut = " UNION ALL ".join(
        f"SELECT start_ns, end_ns FROM {table} WHERE series IN ({_list(series)})"
        " AND start_ns > :edge - :longest AND start_ns < :edge AND end_ns > :edge"
        for table in _TABLES
    )
    while True:
        row = conn.execute(f"SELECT {far} FROM ({cut})", {"edge": edge_ns, "longest": LONGEST_NS}).fetchone()
        if row[0] is None:
            return edge_ns
        edge_ns = row[0]


def interval_counts(conn: sqlite3.Connection, series: Sequence[int], coverage: Coverage, damage: Damage) -> Covered:
    """Add up the intervals of some series that lie in the coverage; bounds may differ, ``explicit`` is left out.

    Those that were damaged on disk are taken at their mean.
    """
    try:
        return _together(_chunks(conn, series, coverage))
    except (TypeError, ValueError):  # one of them is damaged: which?
        return _one_by_one(_chunks(conn, series, coverage), damage)


def _together(chunks: Iterable[list[_Row]]) -> Covered:
    total = Counts()
    pairs: Counter[str] = Counter()
    first: _Span | None = None
    last: _Span | None = None
    for rows in chunks:
        starts, ends, counts, sums, minima, maxima, zeros, exponential = zip(*rows, strict=True)
        low, high = min(zip(starts, ends, strict=True)), max(zip(ends, starts, strict=True))
        first = low if first is None else min(first, low)
        last = (high[1], high[0]) if last is None or high[0] > last[1] else last
        total.min_ns = min(minima) if not total.count else min(total.min_ns, *minima)
        total.max_ns = max(total.max_ns, *maxima)
        total.count += sum(counts)
        total.sum_ns += sum(sums)
        total.zeros += sum(zeros)
        # Compact JSON is cut into its pairs and equal pairs are counted as text, all in C: decoding every row into a
        # dict and adding these up takes twice as long, and there can be millions of pairs.
        # (As str, not bytes: a dict finds those faster.)
        pairs.update(b",".join([text[1:-1] for text in exponential]).decode("ascii").split(","))
    total.exponential = _unpack(pairs)
    if sum(total.exponential.values()) + total.zeros != total.count:
        raise ValueError("the buckets do not hold as many as there are")
    return Covered(total, first, last)


def _one_by_one(chunks: Iterable[list[_Row]], damage: Damage) -> Covered:
    total = Counts()
    spans: list[_Span] = []
    for row in chain.from_iterable(chunks):
        start_ns, end_ns, count, sum_ns, min_ns, max_ns, zeros, text = row
        spans.append((start_ns, end_ns))
        try:
            exponential = msgspec.json.decode(text, type=dict[int, int])
            whole = sum(exponential.values()) + zeros == count
        except (TypeError, msgspec.MsgspecError):
            whole = False
        if whole:
            add(total, Counts(count, sum_ns, min_ns, max_ns, [], exponential, zeros))
        else:
            counts = at_their_mean(row[2:6], ())
            counts.explicit = []
            damage.counts(row, counts.count)
            add(total, counts)
    return Covered(total, min(spans, default=None), max(spans, key=lambda span: span[1], default=None))


def count_of(conn: sqlite3.Connection, series: Sequence[int], coverage: Coverage) -> int:
    """How many samples the intervals of some series in the coverage hold."""
    bounds = (coverage.start_ns, coverage.end_ns)
    return sum(
        conn.execute(f"SELECT ifnull(sum(count), 0) FROM {table} {_inside(series)}", bounds).fetchone()[0]
        for table in _TABLES
    )


def _inside(series: Sequence[int]) -> str:
    return f"WHERE series IN ({_list(series)}) AND start_ns >= ? AND end_ns <= ? AND count > 0"


def _chunks(conn: sqlite3.Connection, series: Sequence[int], coverage: Coverage) -> Iterator[list[_Row]]:
    for table in _TABLES:
        cursor = conn.execute(
            "SELECT start_ns, end_ns, count, sum_ns, min_ns, max_ns, zeros, CAST(exponential AS BLOB)"
            f" FROM {table} {_inside(series)}",
            (coverage.start_ns, coverage.end_ns),
        )
        while rows := cursor.fetchmany(_ROWS):
            yield rows


def _unpack(pairs: Counter[str]) -> dict[int, int]:
    """``"-12":3``, seen 5 times, is 15 in bucket -12."""
    exponential: dict[int, int] = {}
    for pair, times in pairs.items():
        if pair:  # else an interval of nothing but zeros
            match = _PAIR(pair)
            if match is None:
                raise ValueError(f"no pair: {pair!r}")
            index = int(match[1])
            exponential[index] = exponential.get(index, 0) + int(match[2]) * times
    return exponential


def add_values(into: Counts, values_ns: Sequence[int]) -> None:
    """Add durations to counts whose ``explicit`` does not matter."""
    if values_ns:
        more = count(values_ns, ())
        more.explicit = []
        add(into, more)


def percentiles_ns(counts: Counts, percents: Iterable[int | Fraction]) -> list[float]:
    """The nearest-rank percentiles in ns, within 0.6 % (half a bucket); the first and last rank are exact."""
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


def _list(ids: Sequence[int]) -> str:
    return ",".join(map(str, ids))
