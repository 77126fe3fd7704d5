"""hex's own telemetry table: a row for each breach and each closed episode, as hex's log reader writes them.

Invariants:

- The rows of a batch are written in one transaction, and the batch is delivered once it is committed.
- A row exists once, however often it is sent: its ``detail`` has our id, and a row with this id is not added again.
- The table is hex's. A missing table is created as hex creates it, and nothing else in it changes. The database is
  opened for each batch, so that hex may move or restore it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.exporters.hex.config import read_telemetry
from otel_logtail.exporters.hex.events import TelemetryRow, row_of
from otel_logtail.model import (
    BreachRecord,
    Delivered,
    Delivery,
    EpisodeRecord,
    ExportBatch,
    Item,
    Partial,
    Refused,
    Retry,
    Stream,
)

LOCKED_S = 2.0
"""The longest wait for another writer, in seconds: hex's own writers lock the table for milliseconds."""

_TABLE = """
CREATE TABLE IF NOT EXISTS events (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  ts          TEXT NOT NULL,
  source      TEXT NOT NULL,
  event       TEXT NOT NULL,
  status      TEXT NOT NULL,
  duration_ms INTEGER,
  exit_code   INTEGER,
  detail      TEXT
);
CREATE INDEX IF NOT EXISTS idx_events_ts ON events(ts);
CREATE INDEX IF NOT EXISTS idx_events_event ON events(event);
"""

# the plus makes SQLite use the index on ts: with the one on event it would read all of our rows
_APPEND = """
INSERT INTO events (ts, source, event, status, duration_ms, detail)
SELECT :ts, :source, :event, :status, :duration_ms, :detail
WHERE NOT EXISTS (SELECT 1 FROM events WHERE ts = :ts AND +event = :event AND source = :source AND detail = :detail)
"""


class HexTelemetryExporter(Exporter):
    """Writes to the table ``events`` of the database at ``path``."""

    name = "hex-telemetry"
    wants = frozenset({Stream.BREACHES, Stream.EPISODES})

    def __init__(self, path: Path, *, locked_s: float = LOCKED_S) -> None:
        self._path = path
        self._locked_s = locked_s
        self._closed = False

    def export(self, batch: ExportBatch) -> Delivery:
        """Append the batch, up to the first row that the table does not accept."""
        rows = [_row(item) for item in batch.items]
        if self._closed:
            return Retry("the exporter is closed")
        try:
            # hex creates the folder, too; if the folder above it is missing, the path is wrong
            self._path.parent.mkdir(exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=self._locked_s, isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(_TABLE)
                return _append(db, rows)
        except (sqlite3.Error, OSError) as problem:
            return Retry(f"{self._path} can't be written: {problem}")

    def close(self) -> None:
        """Accept no further batch; one that is being written ends within the longest wait for a lock."""
        self._closed = True


def make(context: ExporterContext) -> HexTelemetryExporter:
    """Create the exporter for the telemetry table.

    Raises:
        UsageError: the place of the database is not known.
    """
    return HexTelemetryExporter(read_telemetry(context))


def _row(item: Item) -> TelemetryRow:
    if not isinstance(item, BreachRecord | EpisodeRecord):
        raise TypeError(f"hex has no row for {type(item).__name__}")
    return row_of(item)


def _append(db: sqlite3.Connection, rows: list[TelemetryRow]) -> Delivery:
    db.execute("BEGIN IMMEDIATE")
    for done, row in enumerate(rows):
        try:
            db.execute(_APPEND, _columns(row))
        except (sqlite3.IntegrityError, sqlite3.DataError) as problem:  # a newer version of hex may have another table
            db.execute("COMMIT")
            refused = Refused(f"hex's table takes no such row: {problem}")
            return Partial(done, refused) if done else refused
    db.execute("COMMIT")
    return Delivered()


def _columns(row: TelemetryRow) -> dict[str, str | int]:
    return {
        "ts": row.ts,
        "source": row.source,
        "event": row.event,
        "status": row.status,
        "duration_ms": row.duration_ms,
        "detail": row.detail,
    }
