"""Answer ``status``: the state of sources, exporters and the store, as the store records it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from otel_logtail.model import Instrument
from otel_logtail.observer_file import is_file
from otel_logtail.plugins import advice
from otel_logtail.query.edges import EVERYTHING
from otel_logtail.query.intervals import count_of
from otel_logtail.query.reader import Reader
from otel_logtail.store.health import pending, size_on_disk, wal_size
from otel_logtail.store.place import readers
from otel_logtail.text import iso

Record = dict[str, object]


def status(reader: Reader) -> Record:
    """Return the keys ``sources``, ``exporters`` and ``db``, whatever the reader's range and source."""
    with reader.snapshot():
        return {
            "sources": [_source(reader, row) for row in _rows(reader, "SELECT * FROM source ORDER BY name")],
            "exporters": [_exporter(reader, row) for row in _rows(reader, "SELECT * FROM exporter ORDER BY name")],
            "db": {
                "path": str(reader.path),
                "size_bytes": size_on_disk(reader.path),
                "wal_bytes": wal_size(reader.path),
                "wal_readers": readers(reader.path),
                "samples": _number(reader, "SELECT ifnull(sum(count), 0) FROM block"),
                "dropped": _number(reader, "SELECT ifnull(sum(count), 0) FROM dropped"),
            },
        }


def _source(reader: Reader, row: Record) -> Record:
    id_ = row["id"]
    reasons = "SELECT reason, count FROM rejected WHERE source = ? ORDER BY reason"
    rejected = dict(reader.conn.execute(reasons, (id_,)).fetchall())
    files = _rows(reader, "SELECT * FROM file WHERE source = ? AND NOT done ORDER BY live, id", id_)
    return {
        "name": row["name"],
        "observer": row["observer"],
        "files": [{"path": file["path"], "offset": file["offset"], "size": _current_size(file)} for file in files],
        "bytes": row["bytes"],
        "samples": row["samples"],
        "drift": row["drift"],
        "rejected": sum(rejected.values()),
        "oversized": row["oversized"],
        "ignored": row["ignored"],
        "rejected_by": rejected,
        "unknown_stages": _unknown_stages(reader, id_),
        "no_sample": _no_sample(row, bool(rejected)),
        "threshold_ms": int(str(row["threshold_ns"])) / 1e6,
        "stall_ms": int(str(row["stall_ns"])) / 1e6,
        "quiet_ms": int(str(row["quiet_ns"])) / 1e6,
    }


def _no_sample(row: Record, has_rejected: bool) -> str | None:
    """Return the advice for a source without a sample; None: it has samples, or lines that cannot be true."""
    if row["samples"] or has_rejected or not row["bytes"]:
        return None
    observer = str(row["observer"])
    return advice("" if is_file(observer) else observer)  # a store is data: no file that it names is run


def _unknown_stages(reader: Reader, source: object) -> int:
    stages = reader.conn.execute(
        "SELECT id, attributes FROM series WHERE source = ? AND instrument = ?", (source, Instrument.STAGE.value)
    )
    unknown = [series for series, attributes in stages if msgspec.json.decode(attributes).get("stage") == "unknown"]
    return count_of(reader, unknown, EVERYTHING)


def _exporter(reader: Reader, row: Record) -> Record:
    name, success_ns, seen_ns = str(row["name"]), row["last_success_ns"], row["last_seen_ns"]
    dropped = _rows(reader, "SELECT * FROM dropped WHERE exporter = ? ORDER BY stream", name)
    return {
        "name": name,
        "delivered": row["delivered"],
        "pending": pending(reader.conn, name),
        "refused": row["refused"],
        "quarantined": _number(reader, "SELECT count(*) FROM refused WHERE exporter = ? AND held", name),
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


def _number(reader: Reader, statement: str, *values: object) -> int:
    return int(reader.conn.execute(statement, values).fetchone()[0])


def _rows(reader: Reader, statement: str, *values: object) -> list[Record]:
    cursor = reader.conn.execute(statement, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _current_size(file: Record) -> object:
    """Return the size of the file on disk; if another file has its path now, the size that the store recorded."""
    try:
        now = Path(str(file["path"])).stat()
    except (OSError, ValueError):
        return file["size"]
    return now.st_size if (now.st_dev, now.st_ino) == (file["device"], file["inode"]) else file["size"]
