"""Lines of the fake observer through the real pure stages into batches, as the pipeline does it, without files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast
from unittest.mock import patch

import msgspec

from otel_logtail.counts import bounds
from otel_logtail.engine.engine import Engine, Now
from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.scan import Scanned, scan
from otel_logtail.model import Batch, Chunk, FileState, OpenEpisodes
from otel_logtail.store.sparse import SPARSE, add_functions
from otel_logtail.store.writer import Store
from otel_logtail.testing import FakeObserver, fake_line

SECOND = 10**9
NOON = 1_795_608_000 * SECOND  # 2026-11-25T12:00:00Z
INTERVAL = 10 * SECOND
QUIET = 3 * SECOND
THRESHOLDS = Thresholds(SECOND // 2, 2 * SECOND)
BOUNDS = bounds(THRESHOLDS.degraded_ns, THRESHOLDS.stall_ns)
LIVE = "/logs/fake-8787.log"
ATTRIBUTES = (("server.port", 8787),)


def line(second: float, duration_s: float, *, logged: float | None = None, cause: str = "", key: str = "") -> bytes:
    """A fake line by seconds past noon."""
    return fake_line(
        NOON + round(second * SECOND),
        round(duration_s * SECOND),
        logged_ns=None if logged is None else NOON + round(logged * SECOND),
        cause=cause,
        key=key,
    )


def scanned(data: bytes, base: int = 0) -> Scanned:
    return scan(FakeObserver(), data, base, source="fake-source", thresholds=THRESHOLDS)


class Piece:
    """One live path of one source: turns pieces of its log into batches, in order."""

    def __init__(
        self, store: Store, *, source: str = "fake-source", live: str = LIVE, thresholds: Thresholds = THRESHOLDS
    ) -> None:
        self.store = store
        self.live = live
        self.info = store.source(
            source,
            "fake",
            "log.overhead",
            threshold_ns=thresholds.degraded_ns,
            stall_ns=thresholds.stall_ns,
            quiet_ns=QUIET,
        )
        known = [state for state in store.files(self.info.id) if state.live == live]
        self.file = (known or store.add_files(self.info.id, [FileState(0, live, live, 1, 2, 0)]))[-1]
        self.engine = Engine(
            self.info,
            FakeObserver(),
            interval_ns=INTERVAL,
            unfinished=store.unfinished(self.info.id),
            now=Now(NOON, 0),
        )

    @property
    def open(self) -> OpenEpisodes:
        """Return the open files of the live path."""
        return self.engine.open_episodes(self.live)

    def chunk(self, data: bytes) -> Chunk:
        """The next piece of the log."""
        after = msgspec.structs.replace(self.file, offset=self.file.offset + len(data))
        return Chunk(bytearray(data), 0, len(data), self.file.offset, after, len(data))

    def batch(self, data: bytes, seal_s: float | None = None) -> Batch:
        batch = self.engine.feed(self.chunk(data), Now(NOON, 0))
        return msgspec.structs.replace(batch, seal_until_ns=None if seal_s is None else NOON + round(seal_s * SECOND))

    def commit(self, data: bytes, seal_s: float | None = None) -> None:
        self.take(self.batch(data, seal_s), Now(NOON, 0))

    def take(self, batch: Batch, now: Now) -> None:
        """Commit a batch of this engine's."""
        self.engine.committed(batch, now, self.store.commit(batch).first_end_ns)
        self.file = batch.file or self.file

    def seal(self, until_s: float) -> None:
        self.store.commit(Batch(source=self.info.id, seal_until_ns=NOON + round(until_s * SECOND)))


class Backlog(Piece):
    """The same, of which intervals close with the lines that are read, as they do in a backlog."""

    def batch(self, data: bytes, seal_s: float | None = None) -> Batch:
        until_ns = None if seal_s is None else NOON + round(seal_s * SECOND)
        with patch.object(self.engine, "_seal_behind", lambda *_: until_ns):
            return self.engine.feed(self.chunk(data), Now(NOON, 0))


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    store = Store.open(path)
    try:
        yield store
    finally:
        store.close()


def use_connection(store: Store, connection: object) -> sqlite3.Connection:
    """Let all parts of a store's writer use another connection; returns the one before."""
    before = store._db
    other = cast(sqlite3.Connection, connection)
    store._db = store.series._db = store._samples._db = store._intervals._db = other
    store._intervals._sparse_table._db = other
    return before


TABLES = (
    "source", "rejected", "file", "kind", "block", "breach", "open_episode", "episode", "mark", "series",
    "open_interval", "interval", "sparse_interval", "exporter", "cursor", "total", "owed", "refused", "dropped",
)  # fmt: skip


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """The answer of another connection, as any reader would get it. ``closed`` are all closed intervals."""
    with closing(sqlite3.connect(path)) as connection:
        add_functions(connection)
        columns = "id, series, start_ns, end_ns, count, sum_ns, min_ns, max_ns, exponential, zeros"
        connection.execute(
            f"CREATE TEMP VIEW closed AS SELECT {columns} FROM interval UNION ALL SELECT {columns} FROM {SPARSE}"
        )
        return connection.execute(sql).fetchall()


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables but the store's own id."""
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}
