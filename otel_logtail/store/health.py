"""The program's own numbers for exporters: counters since the store was created, and current values."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from otel_logtail.model import Attributes, HealthRecord, HealthValue, Severity
from otel_logtail.store import operations
from otel_logtail.store.progress import undelivered

_COUNTERS = (
    ("bytes", "By", "Bytes of the logs that were read."),
    ("samples", "{sample}", "Samples that were taken out of the logs."),
    ("ignored", "{line}", "Lines with the marker that hold no sample."),
    ("drift", "{line}", "Lines with the marker that can't be read: the log's format changed."),
    ("oversized", "{line}", "Lines beyond the bound on lines, skipped."),
)


def health(db: sqlite3.Connection, path: Path, now_ns: int) -> HealthRecord:
    """Return all numbers. The caller holds a read transaction.

    Args:
        db: A connection to the store.
        path: Its file, whose size is one of the numbers.
        now_ns: The clock.
    """
    meta = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('instance', 'created_ns', 'counting_ns')"))
    values = (*_sources(db), *_exporters(db), *_store(db, path))
    return HealthRecord(0, meta["instance"], int(meta.get("counting_ns", meta["created_ns"])), now_ns, values)


def pending(db: sqlite3.Connection, exporter: str) -> int:
    """Return how many items wait for an exporter."""
    on_trial = db.execute("SELECT count(*) FROM refused WHERE exporter = ? AND NOT held", (exporter,)).fetchone()[0]
    return int(on_trial) + undelivered(db, exporter)


def size_on_disk(path: Path) -> int:
    """Return the bytes of the store's file and its write-ahead log; 0 for a missing file."""
    real = os.path.realpath(path)
    return _size(real) + _size(f"{real}-wal")


def wal_size(path: Path) -> int:
    """Return the bytes of the store's write-ahead log."""
    return _size(f"{os.path.realpath(path)}-wal")


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - named by text
    except OSError:
        return 0


BEHIND_BYTES = 16 << 20
"""The unread bytes of a source from which it counts as behind; reading them takes about a second."""


def behind(path: str, device: int, inode: int, offset: int, size: int) -> int:
    """Return the unread bytes of a file. If the file is no longer at its path, its size at the last scan counts."""
    try:
        now = os.stat(path)  # noqa: PTH116 - of each of many files
    except (OSError, ValueError):
        return max(0, size - offset)
    return max(0, (now.st_size if (now.st_dev, now.st_ino) == (device, inode) else size) - offset)


def _sum(name: str, unit: str, text: str, value: int, attributes: Attributes = (), source: str = "") -> HealthValue:
    return HealthValue(f"otel_logtail.{name}", unit, text, "counter", attributes, value, source)


def _current(name: str, unit: str, text: str, value: int, attributes: Attributes = (), source: str = "") -> HealthValue:
    return HealthValue(f"otel_logtail.{name}", unit, text, "updowncounter", attributes, value, source)


def _gauge(name: str, unit: str, text: str, value: float, attributes: Attributes = (), source: str = "") -> HealthValue:
    return HealthValue(f"otel_logtail.{name}", unit, text, "gauge", attributes, value, source)


def _sources(db: sqlite3.Connection) -> Iterator[HealthValue]:
    columns = ", ".join(name for name, _, _ in _COUNTERS)
    rows = db.execute(f"SELECT id, name, threshold_ns, stall_ns, {columns} FROM source ORDER BY id").fetchall()
    for id_, source, degraded_ns, stall_ns, *counters in rows:
        for severity, limit_ns in ((Severity.DEGRADED, degraded_ns), (Severity.STALL, stall_ns)):
            level = (("severity", severity.label),)
            yield _gauge("threshold", "s", "Latency from which samples are slow.", limit_ns / 1e9, level, source)
        for (name, unit, text), value in zip(_COUNTERS, counters, strict=True):
            yield _sum(name, unit, text, value, (), source)
        rejected = db.execute("SELECT reason, count FROM rejected WHERE source = ? ORDER BY reason", (id_,))
        for reason, count in rejected.fetchall():
            why = (("reason", reason),)
            yield _sum("rejected", "{line}", "Lines that can be read and can't be true.", count, why, source)
        files = db.execute(
            "SELECT path, device, inode, offset, size FROM file WHERE source = ? AND NOT done", (id_,)
        ).fetchall()
        unread = sum(behind(*file) for file in files)
        # a distance between two positions, as the lag of a Kafka consumer, is a gauge
        yield _gauge("behind", "By", "Bytes of the logs that are still to be read.", unread, (), source)


def _exporters(db: sqlite3.Connection) -> Iterator[HealthValue]:
    rows = db.execute("SELECT name, failures, skipped FROM exporter ORDER BY name").fetchall()
    for name, failures, skipped in rows:
        whose = (("otel.component.name", name),)
        held = db.execute("SELECT count(*) FROM refused WHERE exporter = ? AND held", (name,)).fetchone()[0]
        yield _current("exporter.pending", "{item}", "Items that wait for delivery.", pending(db, name), whose)
        yield _sum("exporter.failures", "{attempt}", "Deliveries that had to be tried again.", failures, whose)
        yield _current("exporter.quarantined", "{item}", "Items that wait for `otel-logtail retry`.", held, whose)
        yield _sum("exporter.skipped", "{item}", "Items that it was not given: too old to act on.", skipped, whose)
    yield from operations.values(db)
    for name, stream, count in db.execute("SELECT exporter, stream, count FROM dropped ORDER BY 1, 2").fetchall():
        attributes = (("otel.component.name", name), ("stream", stream))
        yield _sum("dropped", "{item}", "Items that left the store before an exporter had them.", count, attributes)


def _store(db: sqlite3.Connection, path: Path) -> Iterator[HealthValue]:
    yield _current("store.size", "By", "Bytes of the store on disk.", size_on_disk(path))
