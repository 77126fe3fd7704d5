"""Answer ``watch``: the newest intervals, and how far the sources and the exporters are.

Closed intervals never change, so a caller that reads again asks only for those with a higher id. Open ones are read
each time. Every function is short; the caller decides which of them share a snapshot.

Known limit: intervals that are more than an hour old may be merged between two reads, and are then counted in the
minute in which they were merged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from otel_logtail.model import Counts
from otel_logtail.query.reader import Reader
from otel_logtail.store.health import behind, pending
from otel_logtail.store.rows import CLOSED, at_their_mean
from otel_logtail.store.sparse import SPARSE

_COUNTS = "start_ns, end_ns, count, sum_ns, min_ns, max_ns, zeros, CAST(exponential AS BLOB)"
_DURATIONS = "series IN (SELECT id FROM series WHERE instrument = 'duration' AND (:source IS NULL OR source = :source))"
_CLOSED = ("interval", SPARSE)
_decode = msgspec.json.Decoder(dict[int, int]).decode


class Slice(NamedTuple):
    """The counts of one interval, without ``explicit``."""

    start_ns: int
    end_ns: int
    counts: Counts


class ExporterState(msgspec.Struct, frozen=True):
    """One exporter: the items that wait for it, and its last error (None: the last delivery succeeded)."""

    name: str
    pending: int
    last_error: str | None


class Progress(msgspec.Struct, frozen=True):
    """The sources of a store and its exporters.

    ``files`` is the number of files that are read, ``behind`` the bytes of them that are still to be read.
    ``thresholds_ms`` are None if the sources have different ones.
    """

    instance: str
    sources: tuple[str, ...]
    thresholds_ms: tuple[float, float] | None
    files: int
    behind: int
    exporters: tuple[ExporterState, ...]


def newest_id(reader: Reader) -> int:
    """Return the highest id of a closed interval, or 0."""
    return max(int(reader.conn.execute(f"SELECT ifnull(max(id), 0) FROM {table}").fetchone()[0]) for table in CLOSED)


def closed_after(reader: Reader, id_: int, since_ns: int) -> list[Slice]:
    """Return the closed intervals of durations with a higher id that end after a time."""
    # "+" selects by id: there are few new rows, and many that end late
    return _slices(reader, _CLOSED, "id > :id AND +end_ns > :since", {"id": id_, "since": since_ns})


def closed_within(reader: Reader, up_to_id: int, since_ns: int, until_ns: int) -> list[Slice]:
    """Return the closed intervals of durations up to an id that end in ``(since_ns, until_ns]``."""
    where = "end_ns > :since AND end_ns <= :until AND id <= :id"
    return _slices(reader, _CLOSED, where, {"id": up_to_id, "since": since_ns, "until": until_ns})


def still_open(reader: Reader, since_ns: int) -> list[Slice]:
    """Return the open intervals of durations that end after a time."""
    return _slices(reader, ("open_interval",), "end_ns > :since", {"since": since_ns})


def progress(reader: Reader) -> Progress:
    """Return how far the reader's source (None: all of them) and the exporters are."""
    conn, id_ = reader.conn, reader.source_id()
    instance = conn.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()
    sources = conn.execute(
        "SELECT name, threshold_ns, stall_ns FROM source WHERE :id IS NULL OR id = :id ORDER BY name", {"id": id_}
    ).fetchall()
    thresholds = {(slow_ns / 1e6, stall_ns / 1e6) for _, slow_ns, stall_ns in sources}
    files = conn.execute(
        "SELECT path, device, inode, offset, size FROM file WHERE NOT done AND (:id IS NULL OR source = :id)",
        {"id": id_},
    ).fetchall()
    exporters = conn.execute("SELECT name, last_error FROM exporter ORDER BY name").fetchall()
    return Progress(
        instance=str(instance[0]) if instance else "",
        sources=tuple(name for name, *_ in sources),
        thresholds_ms=thresholds.pop() if len(thresholds) == 1 else None,
        files=len(files),
        behind=sum(behind(*file) for file in files),
        exporters=tuple(ExporterState(name, pending(conn, name), error) for name, error in exporters),
    )


def _slices(reader: Reader, tables: Iterable[str], where: str, values: dict[str, int]) -> list[Slice]:
    given = {**values, "source": reader.source_id()}
    found: list[Slice] = []
    for table in tables:
        rows = reader.conn.execute(f"SELECT {_COUNTS} FROM {table} WHERE {where} AND count > 0 AND {_DURATIONS}", given)
        found += _decoded(reader, rows.fetchall())
    return found


def _decoded(reader: Reader, rows: Iterable[tuple[Any, ...]]) -> Iterable[Slice]:
    for start_ns, end_ns, count, sum_ns, min_ns, max_ns, zeros, text in rows:
        try:
            counts = Counts(count, sum_ns, min_ns, max_ns, [], _decode(text), zeros)
            is_damaged = sum(counts.exponential.values()) + zeros != count
        except (TypeError, msgspec.MsgspecError):
            is_damaged = True
        if is_damaged:
            counts = at_their_mean((count, sum_ns, min_ns, max_ns), ())
            counts.explicit = []
            reader.damage.counts((start_ns, end_ns, count, sum_ns, min_ns, max_ns), counts.count)
        yield Slice(start_ns, end_ns, counts)
