"""The progress of exporters: what each one has, what it lost, and how its deliveries went.

All functions work inside the transaction of their caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from otel_logtail.model import Dropped, Stream
from otel_logtail.store.connection import one
from otel_logtail.store.rows import marks
from otel_logtail.store.streams import TABLES, Table

ALL = 2**63 - 1
"""The highest possible id."""

FEW = 10_000
"""Fewer undelivered items than this are counted one by one."""


def register(db: sqlite3.Connection, exporter: str, now_ns: int) -> bool:
    """Add an exporter, or note that it runs; returns whether it is new."""
    is_new = one(db, "SELECT 1 FROM exporter WHERE name = ?", exporter) is None
    db.execute(
        "INSERT INTO exporter (name, last_seen_ns) VALUES (?, ?)"
        " ON CONFLICT DO UPDATE SET last_seen_ns = excluded.last_seen_ns",
        (exporter, now_ns),
    )
    return is_new


def note_running(db: sqlite3.Connection, exporters: Collection[str], now_ns: int) -> None:
    """Note that a daemon runs with these exporters."""
    db.execute(f"UPDATE exporter SET last_seen_ns = ? WHERE name IN ({marks(len(exporters))})", (now_ns, *exporters))


def delivered_by_all(db: sqlite3.Connection, stream: Stream, exporters: Collection[str], since_ns: int) -> int:
    """Return the highest id that all exporters have, of these and those that ran after ``since_ns``."""
    rows = db.execute(
        "SELECT c.position, e.name, e.last_seen_ns FROM cursor AS c JOIN exporter AS e ON e.name = c.exporter"
        " WHERE c.stream = ?",
        (stream.value,),
    )
    return min((at for at, name, seen_ns in rows if name in exporters or seen_ns > since_ns), default=ALL)


def first_behind(db: sqlite3.Connection, stream: Stream, up_to_id: int) -> str | None:
    """Return an exporter that does not have all items up to this id, or None if every one has them."""
    name = one(db, "SELECT exporter FROM cursor WHERE stream = ? AND position < ? LIMIT 1", stream.value, up_to_id)
    return None if name is None else str(name)


def last_id(db: sqlite3.Connection, stream: Stream) -> int:
    """Return the highest id in a stream, or 0."""
    return int(one(db, f"SELECT {_LAST[stream]}"))


_LAST = {
    stream: f"max(0, {', '.join(f'ifnull((SELECT max(id) FROM {name}), 0)' for name in table.names)})"
    for stream, table in TABLES.items()
}
_WAITING = "SELECT stream FROM cursor WHERE exporter = ? AND position < CASE stream {} END".format(
    " ".join(f"WHEN '{stream.value}' THEN {last}" for stream, last in _LAST.items())
)


def waiting(db: sqlite3.Connection, exporter: str) -> frozenset[Stream]:
    """Return the streams with items that an exporter lacks."""
    return frozenset(Stream(stream) for (stream,) in db.execute(_WAITING, (exporter,)))


def undelivered(db: sqlite3.Connection, exporter: str) -> int:
    """Return how many items an exporter lacks."""
    positions = dict(db.execute("SELECT stream, position FROM cursor WHERE exporter = ?", (exporter,)).fetchall())
    return sum(
        count_after(db, table, positions[stream.value]) for stream, table in TABLES.items() if stream.value in positions
    )


def count_after(db: sqlite3.Connection, table: Table, position: int) -> int:
    """Return how many items of a stream have a higher id."""
    # a row of sparse_interval has an id for each of its series
    sparse = "SELECT ifnull(sum(id - max(first_id - 1, ?1)), 0) FROM sparse_interval WHERE id > ?1"
    waiting = int(one(db, sparse, position)) if "sparse_interval" in table.names else 0
    name = table.names[0]
    if (one(db, f"SELECT max(id) FROM {name}") or 0) - position < FEW:
        return waiting + int(one(db, f"SELECT count(*) FROM {name} WHERE id > ?", position))
    # many items wait: all rows are counted fast (pages of a small index), and the delivered ones are merged and few
    delivered = one(db, f"SELECT count(*) FROM {name} WHERE id <= ?", position)
    return waiting + int(one(db, f"SELECT count(*) FROM {name}") - delivered)


def generation(db: sqlite3.Connection, exporter: str) -> int:
    """Return a number that grows whenever data is deleted that the exporter does not have."""
    return int(one(db, "SELECT generation FROM exporter WHERE name = ?", exporter) or 0)


def note_dropped(db: sqlite3.Connection, drop: Dropped, now_ns: int) -> None:
    """Count undelivered items that were deleted."""
    db.execute(
        "INSERT INTO dropped (exporter, stream, count, from_ns, to_ns, time_ns) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET count = count + excluded.count, from_ns = min(from_ns, excluded.from_ns),"
        " to_ns = max(to_ns, excluded.to_ns), time_ns = excluded.time_ns",
        (drop.exporter, drop.stream.value, drop.count, drop.from_ns, drop.to_ns, now_ns),
    )


def note_skipped(db: sqlite3.Connection, exporter: str, count: int) -> None:
    """Count items that were not sent, since they were too old."""
    db.execute("UPDATE exporter SET skipped = skipped + ? WHERE name = ?", (count, exporter))


def note_success(db: sqlite3.Connection, exporter: str, new: int, rejected: int, why: str, now_ns: int) -> None:
    """Count delivered items, of which the receiver rejected some."""
    db.execute(
        "UPDATE exporter SET delivered = delivered + ?, refused = refused + ?, last_success_ns = ?,"
        " last_error = NULL WHERE name = ?",
        (max(0, new - rejected), rejected, now_ns, exporter),
    )
    if rejected:
        note_error(db, exporter, why, now_ns)


def note_failure(db: sqlite3.Connection, exporter: str, why: str, now_ns: int) -> None:
    """Count a failed attempt, and store its error."""
    db.execute("UPDATE exporter SET failures = failures + 1 WHERE name = ?", (exporter,))
    note_error(db, exporter, why, now_ns)


def note_error(db: sqlite3.Connection, exporter: str, why: str, now_ns: int) -> None:
    """Store the last error."""
    db.execute("UPDATE exporter SET last_error = ?, last_error_ns = ? WHERE name = ?", (why, now_ns, exporter))
