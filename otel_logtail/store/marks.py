"""Marks: points in time that may explain a change, from the log or by hand.

A mark is stored once, however often its line is read: its id is a hash of source, time and text.

All functions work inside the transaction of their caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from otel_logtail.digest import blake2b
from otel_logtail.model import Mark, MarkRecord, SourceInfo, Stream
from otel_logtail.store.connection import one
from otel_logtail.store.records import read_sources

MOST_PER_HOUR = 60
"""Marks of one source in one hour, by their times. A client that can write a line may be able to write more."""

TOO_MANY = "too_many_marks"
"""Why a mark beyond this number is rejected."""

_HOUR_NS = 3600 * 10**9


def add(db: sqlite3.Connection, source: int, marks: Iterable[Mark]) -> int:
    """Add those marks of a source that it does not have; returns how many were too many for their hour."""
    name = str(one(db, "SELECT name FROM source WHERE id = ?", source))
    too_many = 0
    for mark in marks:
        uid = uid_of(name, mark)
        if one(db, "SELECT 1 FROM mark WHERE uid = ?", uid) is not None:
            continue
        hour_ns = mark.time_ns - mark.time_ns % _HOUR_NS
        number = one(
            db,
            "SELECT count(*) FROM mark WHERE source = ? AND time_ns >= ? AND time_ns < ?",
            *(source, hour_ns, hour_ns + _HOUR_NS),
        )
        if number >= MOST_PER_HOUR:
            too_many += 1
            continue
        db.execute(
            "INSERT INTO mark (source, uid, time_ns, text) VALUES (?, ?, ?, ?)", (source, uid, mark.time_ns, mark.text)
        )
    return too_many


def add_by_hand(db: sqlite3.Connection, mark: Mark, source: str | None) -> int:
    """Add a mark to one source, or to all (None); returns how many sources have it now."""
    ids = [id_ for (id_,) in db.execute("SELECT id FROM source WHERE name = coalesce(?, name) ORDER BY id", (source,))]
    return sum(not add(db, id_, (mark,)) for id_ in ids)


class Removed(NamedTuple):
    """Marks that were deleted: their times, and the exporters whose receivers may have them."""

    times_ns: tuple[int, ...]
    sent_by: tuple[str, ...]


def remove(db: sqlite3.Connection, text: str, around: tuple[int, int] | None, source: str | None) -> Removed:
    """Delete the marks with a text, unless their times differ; returns their times in order, also if none is deleted.

    Marks at the start of the range go before all others in it.

    Args:
        db: The connection.
        text: The text of the marks.
        around: The range of their times, ``[since, until)``; None: any time.
        source: The name of their source; None: all sources.
    """
    since_ns, until_ns = around or (-(2**63), 2**63 - 1)
    rows = [row for row in _of_text(db, text, source) if since_ns <= row[1] < until_ns]
    rows = [row for row in rows if row[1] == since_ns] or rows
    times_ns = tuple(sorted({time_ns for _, time_ns in rows}))
    if len(times_ns) != 1:
        return Removed(times_ns, ())
    db.executemany("DELETE FROM mark WHERE id = ?", [(id_,) for id_, _ in rows])
    sent_by = db.execute(
        "SELECT exporter FROM cursor WHERE stream = ? AND position >= ? ORDER BY exporter",
        (Stream.MARKS.value, rows[0][0]),
    )
    return Removed(times_ns, tuple(name for (name,) in sent_by))


def times_of(db: sqlite3.Connection, text: str, source: str | None) -> tuple[int, ...]:
    """Return the times of the marks with a text in order, of one source or of all (None)."""
    return tuple(sorted({time_ns for _, time_ns in _of_text(db, text, source)}))


def _of_text(db: sqlite3.Connection, text: str, source: str | None) -> list[tuple[int, int]]:
    """Return id and time of the marks with a text, in the order of their ids."""
    return db.execute(
        "SELECT m.id, m.time_ns FROM mark AS m JOIN source AS s ON s.id = m.source WHERE m.text = ?"
        " AND s.name = coalesce(?, s.name) ORDER BY m.id",
        (text, source),
    ).fetchall()


def uid_of(source: str, mark: Mark) -> bytes:
    """Return the 16 bytes that name a mark: the same whenever its line is read again."""
    digest = blake2b(digest_size=16, person=b"otel-logtail")
    digest.update(b"mark\0%d\0%s\0%s" % (mark.time_ns, source.encode(), mark.text.encode()))
    return digest.digest()


def read(db: sqlite3.Connection, position: int, limit: int) -> tuple[MarkRecord, ...]:
    """Return the marks after an id."""
    sources: dict[int, SourceInfo] = read_sources(db)
    rows = db.execute(
        "SELECT id, source, uid, time_ns, text FROM mark WHERE id > ? ORDER BY id LIMIT ?", (position, limit)
    )
    return tuple(MarkRecord(id_, sources[source], uid, time_ns, text) for id_, source, uid, time_ns, text in rows)
