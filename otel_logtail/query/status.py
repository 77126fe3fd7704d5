"""How the daemon fares, as the store tells it: sources, exporters, and the store itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from otel_logtail.model import Instrument
from otel_logtail.query.counts import EVERYTHING, count_of
from otel_logtail.query.database import snapshot
from otel_logtail.store.health import pending, size_on_disk, wal_size
from otel_logtail.store.place import readers
from otel_logtail.text import iso

Record = dict[str, object]


def status(conn: sqlite3.Connection, path: Path) -> dict[str, object]:
    """The keys ``sources``, ``exporters`` and ``db`` with what is known of each; ``path`` is the store's file."""
    with snapshot(conn):
        return {
            "sources": [_source(conn, row) for row in _rows(conn, "SELECT * FROM source ORDER BY name")],
            "exporters": [_exporter(conn, row) for row in _rows(conn, "SELECT * FROM exporter ORDER BY name")],
            "db": {
                "path": str(path),
                "size_bytes": size_on_disk(path),
                "wal_bytes": wal_size(path),
                "wal_readers": readers(path),
                "samples": conn.execute("SELECT ifnull(sum(count), 0) FROM block").fetchone()[0],
                "dropped": conn.execute("SELECT ifnull(sum(count), 0) FROM dropped").fetchone()[0],
            },
        }


def _source(conn: sqlite3.Connection, row: Record) -> Record:
    id_ = row["id"]
    rejected = dict(
        conn.execute("SELECT reason, count FROM rejected WHERE source = ? ORDER BY reason", (id_,)).fetchall()
    )
    files = _rows(conn, "SELECT * FROM file WHERE source = ? AND NOT done ORDER BY live, id", id_)
    stages = conn.execute(
        "SELECT id, attributes FROM series WHERE source = ? AND instrument = ?", (id_, Instrument.STAGE.value)
    )
    unknown = [series for series, attributes in stages if msgspec.json.decode(attributes).get("stage") == "unknown"]
    return {
        "name": row["name"],
        "observer": row["observer"],
        "files": [{"path": file["path"], "offset": file["offset"], "size": _live_size(file)} for file in files],
        "bytes": row["bytes"],
        "samples": row["samples"],
        "drift": row["drift"],
        "rejected": sum(rejected.values()),
        "oversized": row["oversized"],
        "ignored": row["ignored"],
        "rejected_by": rejected,
        "unknown_stages": count_of(conn, unknown, EVERYTHING),
    }


def _exporter(conn: sqlite3.Connection, row: Record) -> Record:
    name, success_ns, seen_ns = str(row["name"]), row["last_success_ns"], row["last_seen_ns"]
    dropped = _rows(conn, "SELECT * FROM dropped WHERE exporter = ? ORDER BY stream", name)
    return {
        "name": name,
        "delivered": row["delivered"],
        "pending": pending(conn, name),
        "refused": row["refused"],
        "quarantined": conn.execute("SELECT count(*) FROM refused WHERE exporter = ? AND held", (name,)).fetchone()[0],
        "skipped": row["skipped"],
        "last_success": iso(success_ns) if isinstance(success_ns, int) else None,
        "last_error": row["last_error"],
        "failures": row["failures"],
        "last_seen": iso(seen_ns) if isinstance(seen_ns, int) and seen_ns else None,
        "dropped": [
            {
                "stream": drop["stream"],
                "count": drop["count"],
                "from": iso(int(str(drop["from_ns"]))),
                "to": iso(int(str(drop["to_ns"]))),
            }
            for drop in dropped
        ],
    }


def _rows(conn: sqlite3.Connection, statement: str, *values: object) -> list[Record]:
    cursor = conn.execute(statement, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _live_size(file: Record) -> object:
    """What the file has grown to since it was last read, if the same file is still there."""
    try:
        now = Path(str(file["path"])).stat()
    except (OSError, ValueError):
        return file["size"]
    return now.st_size if (now.st_dev, now.st_ino) == (file["device"], file["inode"]) else file["size"]
