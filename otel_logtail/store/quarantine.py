"""Items that were taken out of their stream, since their receiver does not accept them.

An item is first on trial: the exporter sends it again and again while the stream continues. An item that fails alone
while others are accepted, or that the receiver refuses, is quarantined: it waits for ``otel-logtail retry``. Items are
stored as they were sent, so they are sent again with the same ids, times and totals.

The quarantine of an exporter is bounded. Items that are deleted from it count as dropped.

All functions work inside the transaction of their caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import msgspec

from otel_logtail.model import Dropped, EpisodeRecord, ExportBatch, Item, PartRecord, Point, Stream
from otel_logtail.store import progress
from otel_logtail.store.rows import marks
from otel_logtail.store.streams import STREAMS, TABLES

MOST_QUARANTINED = 1000
"""Quarantined items of one exporter: tens of megabytes if each is an episode of 128 breaches."""

MOST_ON_TRIAL = 100
"""Items of one stream that are on trial at a time."""

_encode = msgspec.msgpack.Encoder().encode


def add(db: sqlite3.Connection, exporter: str, item: Item, why: str, now_ns: int, *, held: bool) -> Dropped | None:
    """Store an item, on trial or quarantined (``held``); returns the items that were deleted to make space."""
    if held and is_repeat(item):
        return None
    stream = STREAMS[type(item)]
    db.execute(
        "INSERT INTO refused (exporter, stream, item, about_ns, held, tries, why, time_ns, data)"
        " VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)",
        (exporter, stream.value, item.id, about_ns(item), held, why, now_ns, _encode(item)),
    )
    return _note_quarantined(db, exporter, stream, now_ns) if held else None


def hold(db: sqlite3.Connection, exporter: str, stream: Stream, id_: int, why: str, now_ns: int) -> Dropped | None:
    """Quarantine an item that was on trial; returns the items that were deleted to make space.

    ``why`` empty means the last reason. An item that was released before counts as refused once more.
    """
    held = db.execute(
        "UPDATE refused SET held = 1, why = coalesce(nullif(?, ''), why), time_ns = ? WHERE id = ? AND NOT held",
        (why, now_ns, id_),
    ).rowcount
    if not held:  # deleted meanwhile
        return None
    return _note_quarantined(db, exporter, stream, now_ns)


def hold_others(db: sqlite3.Connection, exporter: str, streams: Collection[Stream]) -> None:
    """Quarantine the items on trial of all other streams: their exporter no longer requests them."""
    db.execute(
        f"UPDATE refused SET held = 1 WHERE exporter = ? AND stream NOT IN ({marks(len(streams))})",
        (exporter, *(stream.value for stream in streams)),
    )


def _note_quarantined(db: sqlite3.Connection, exporter: str, stream: Stream, now_ns: int) -> Dropped | None:
    db.execute("UPDATE exporter SET refused = refused + 1 WHERE name = ?", (exporter,))
    row = db.execute(
        "SELECT id, stream FROM refused WHERE exporter = ? AND held ORDER BY id DESC LIMIT 1 OFFSET ?",
        (exporter, MOST_QUARANTINED),
    ).fetchone()
    return None if row is None else drop(db, exporter, Stream(row[1]), now_ns, "id = ?", row[0])


def drop(
    db: sqlite3.Connection, exporter: str, stream: Stream, now_ns: int, where: str, *values: object
) -> Dropped | None:
    """Delete items of an exporter's stream and count them as dropped; returns the count."""
    which = f"FROM refused WHERE exporter = ? AND stream = ? AND {where}"
    count, from_ns, to_ns = db.execute(
        f"SELECT count(*), min(about_ns), max(about_ns) {which}", (exporter, stream.value, *values)
    ).fetchone()
    if not count:
        return None
    db.execute(f"DELETE {which}", (exporter, stream.value, *values))
    dropped = Dropped(exporter, stream, count, from_ns, to_ns)
    progress.note_dropped(db, dropped, now_ns)
    return dropped


def trials(db: sqlite3.Connection, exporter: str, stream: Stream) -> dict[int, int]:
    """Return how often each of the oldest items on trial failed while others were accepted, by its id here."""
    return dict(
        db.execute(
            "SELECT id, tries FROM refused WHERE exporter = ? AND stream = ? AND NOT held ORDER BY id LIMIT ?",
            (exporter, stream.value, MOST_ON_TRIAL),
        ).fetchall()
    )


def trial(db: sqlite3.Connection, id_: int) -> ExportBatch | None:
    """Return an item on trial as a batch; None if it is gone or can't be read."""
    row = db.execute("SELECT stream, data FROM refused WHERE id = ? AND NOT held", (id_,)).fetchone()
    if row is None:
        return None
    stream = Stream(row[0])
    try:
        return ExportBatch(stream, (msgspec.msgpack.decode(row[1], type=TABLES[stream].record),))
    except msgspec.MsgspecError:
        return None  # damaged on disk, or written by a version with other items


def failed_again(db: sqlite3.Connection, id_: int, tries: int, why: str, now_ns: int) -> None:
    """Note that an item on trial failed once more."""
    db.execute("UPDATE refused SET tries = ?, why = ?, time_ns = ? WHERE id = ?", (tries, why, now_ns, id_))


def remove(db: sqlite3.Connection, id_: int) -> None:
    """Forget an item: the receiver has decided about it."""
    db.execute("DELETE FROM refused WHERE id = ?", (id_,))


def any_kept(db: sqlite3.Connection, exporter: str) -> bool:
    """Return whether items of an exporter are quarantined or on trial."""
    return db.execute("SELECT 1 FROM refused WHERE exporter = ? LIMIT 1", (exporter,)).fetchone() is not None


class Quarantined(msgspec.Struct, frozen=True):
    """A quarantined item. It is not ``sendable`` if schema 4 stored it, without its content."""

    exporter: str
    stream: str
    item: int
    about_ns: int
    why: str
    sendable: bool


def listed(db: sqlite3.Connection, exporter: str | None) -> list[Quarantined]:
    """Return the quarantined items of one exporter or of all (None), the oldest first."""
    rows = db.execute(
        "SELECT exporter, stream, item, about_ns, why, length(data) > 0 FROM refused"
        " WHERE held AND exporter = coalesce(?, exporter) ORDER BY exporter, id",
        (exporter,),
    )
    return [Quarantined(name, stream, item, about, why, bool(kept)) for name, stream, item, about, why, kept in rows]


def release(db: sqlite3.Connection, exporter: str | None) -> int:
    """Put quarantined items on trial again, of one exporter or of all (None); returns how many.

    Items of schema 4 stay in quarantine: their content was not stored.
    """
    return db.execute(
        "UPDATE refused SET held = 0, tries = 0 WHERE held AND length(data) AND exporter = coalesce(?, exporter)",
        (exporter,),
    ).rowcount


def is_repeat(item: Item) -> bool:
    """Return whether an item only repeats a total: the receiver does not need it."""
    return isinstance(item, Point) and not item.id and not item.delta.count


def about_ns(item: Item) -> int:
    """Return the time that an item is about."""
    if isinstance(item, EpisodeRecord):
        return item.episode.end_ns
    return item.part.end_ns if isinstance(item, PartRecord) else item.time_ns
