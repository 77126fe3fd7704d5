"""Episodes and breaches of the store as records for exporters."""

from __future__ import annotations

import sqlite3

from otel_logtail.model import BreachRecord, EpisodeRecord, PartRecord, Severity, SourceInfo
from otel_logtail.store.connection import meta
from otel_logtail.store.rows import EPISODE, PART, decode_attributes, episode_of, part_of, path_of_text

MAX_EVENTS = 128
"""Breaches of a span (OpenTelemetry's limit). More than that can only be in episodes of an older version."""

BATCH_EVENTS = 2000
"""Breaches of all episodes of a batch: 250 full episodes would take tens of megabytes. One episode is never split."""

_BREACH = (
    "SELECT b.id, b.source, f.live, f.path, b.offset, b.uid, b.time_ns, b.duration_ns, k.severity, k.cause, k.stage,"
    " k.attributes, b.trace_id, b.span_id, b.trace"
    " FROM breach AS b JOIN kind AS k ON k.id = b.kind JOIN file AS f ON f.id = b.file"
)


def read_sources(db: sqlite3.Connection) -> dict[int, SourceInfo]:
    """Return all sources by their ids."""
    instance = meta(db, "instance") or ""
    rows = db.execute("SELECT id, name, observer, event, threshold_ns, stall_ns, quiet_ns FROM source")
    return {row[0]: SourceInfo(row[0], row[1], row[2], row[3], instance, row[4], row[5], row[6]) for row in rows}


_OF_PART = "b.id IN (SELECT min(id) FROM breach WHERE span_id = ? AND part = ? GROUP BY uid)"
"""The breaches of a part, each once: a copy of the log has the same episodes with the same breaches."""


def read_episodes(
    db: sqlite3.Connection, position: int, limit: int, *, without_parts: bool = False
) -> tuple[EpisodeRecord, ...]:
    """Return the closed episodes after an id, with the breaches of their first part.

    An episode in parts has no breaches in its record, unless the exporter gets no parts (``without_parts``).
    """
    rows = db.execute(
        f"SELECT id, source, parts, {EPISODE} FROM episode WHERE id > ? ORDER BY id LIMIT ?", (position, limit)
    ).fetchall()
    sources = read_sources(db)
    records: list[EpisodeRecord] = []
    events = 0
    for id_, source, parts, *columns in rows:
        episode = episode_of(tuple(columns))
        first = (episode.span_id, 1)
        breaches = read_breaches(db, _OF_PART, first, MAX_EVENTS) if without_parts or not parts else ()
        events += len(breaches)
        if records and events > BATCH_EVENTS:
            break
        records.append(EpisodeRecord(id_, sources[source], episode, breaches, parts))
    return tuple(records)


def read_parts(db: sqlite3.Connection, position: int, limit: int) -> tuple[PartRecord, ...]:
    """Return the parts of episodes after an id, with their breaches."""
    most = min(limit, BATCH_EVENTS // MAX_EVENTS)
    rows = db.execute(f"SELECT id, source, {PART} FROM part WHERE id > ? ORDER BY id LIMIT ?", (position, most))
    sources = read_sources(db)
    records = []
    for id_, source, live, attributes, trace_id, parent_id, *columns in rows:
        part = part_of(tuple(columns))
        records.append(
            PartRecord(
                id=id_,
                source=sources[source],
                live=path_of_text(live),
                attributes=decode_attributes(attributes),
                trace_id=trace_id,
                parent_id=parent_id,
                part=part,
                breaches=read_breaches(db, _OF_PART, (parent_id, part.number), MAX_EVENTS),
            )
        )
    return tuple(records)


def read_breaches(
    db: sqlite3.Connection, where: str, parameters: tuple[object, ...], limit: int, *, order: str = "b.id"
) -> tuple[BreachRecord, ...]:
    """Return the breaches that a condition holds for (``b`` is the breach, ``k`` its kind), at most ``limit``."""
    sources = read_sources(db)
    rows = db.execute(f"{_BREACH} WHERE {where} ORDER BY {order} LIMIT ?", (*parameters, limit))
    return tuple(
        BreachRecord(
            id=row[0],
            source=sources[row[1]],
            live=row[2],
            path=row[3],
            offset=row[4],
            uid=row[5],
            time_ns=row[6],
            duration_ns=row[7],
            severity=Severity(row[8]),
            cause=row[9],
            stage=row[10],
            attributes=decode_attributes(row[11]),
            trace_id=row[12],
            span_id=row[13],
            trace=row[14],
        )
        for row in rows
    )
