"""Stores of older versions are migrated with the same answers, completely or not at all; other databases are unchanged.

``stores/N.db`` was written by schema N (3, 8 and 9: migrated from 2, 7 and 8 by the program of their day): the burst's
capture, an exporter ``otlp`` that had delivered nothing, and from 2 on an exporter ``hex`` that skipped everything as
too old. Next to 1 are the answers of its day's queries; the other stores gave the same answers.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from otel_logtail import query
from otel_logtail.errors import StoreError
from otel_logtail.model import Batch, BreachRecord, EpisodeRecord, ExportBatch, Instrument, Point, Severity, Stream
from otel_logtail.store import file as storefile
from otel_logtail.store import migrate
from otel_logtail.store.connection import SCHEMA_VERSION
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.operations import BOUNDS_NS, Operations, values
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from tests.support.mortal import Killed, MortalConnection
from tests.support.pieces import Piece, dump, line, opened, rows
from tests.support.places import STORES

ROOT = Path(migrate.__file__).parent


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A store of schema 1."""
    return Path(shutil.copy(STORES / "1.db", tmp_path / "store.db"))


@pytest.fixture(params=range(1, SCHEMA_VERSION))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store of each older schema."""
    return Path(shutil.copy(STORES / f"{request.param}.db", tmp_path / "store.db"))


def said(name: str) -> Any:
    return json.loads((STORES / f"1-{name}.json").read_text())


def check_answers(path: Path) -> None:
    with query.Reader.open(path) as reader:
        assert json.loads(msgspec.json.encode(list(query.samples(reader)))) == said("samples")
        assert json.loads(msgspec.json.encode(list(query.episodes(reader)))) == said("episodes")
        assert json.loads(msgspec.json.encode(query.summary(reader))) == said("summary")
        bad = {Severity.DEGRADED, Severity.STALL}
        assert json.loads(msgspec.json.encode(list(query.samples(reader, severities=bad)))) == [
            sample for sample in said("samples") if sample["severity"] != "ok"
        ]


def test_an_older_store_gives_the_same_answers(old: Path) -> None:
    with opened(old):
        pass
    check_answers(old)
    assert rows(old, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert rows(old, "PRAGMA auto_vacuum") == [(2,)]
    assert rows(old, "PRAGMA integrity_check") == [("ok",)]


def test_it_has_the_very_schema_of_a_new_store(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    with opened(old), opened(new):
        pass

    def shape(path: Path) -> dict[object, object]:
        """Return the columns of tables and indices, and the text of views."""
        found: dict[object, object] = {}
        for kind, name, table, text in rows(path, "SELECT type, name, tbl_name, sql FROM sqlite_master"):
            columns = rows(path, f"PRAGMA {'index' if kind == 'index' else 'table'}_info({name})")
            found[kind, name, table] = text if kind == "view" else sorted(columns, key=repr)
        return found

    def without_order(shapes: dict[object, object]) -> dict[object, object]:
        # added columns are at the end: none of our statements relies on their places in these tables
        moved = {("table", "exporter", "exporter"), ("table", "file", "file")}
        return {
            key: sorted(column[1:] for column in cast(list[tuple[object, ...]], value)) if key in moved else value
            for key, value in shapes.items()
        }

    assert without_order(shape(old)) == without_order(shape(new))


def test_delivery_continues_after_delivered_data_and_is_complete(old: Path) -> None:
    with opened(old):
        outbox = Outbox.open(old, "otlp")
        outbox.register({Stream.INTERVALS, Stream.EPISODES}, 0)
        assert outbox.pending() == 9
        points = outbox.read(Stream.INTERVALS, 100)
        episodes = outbox.read(Stream.EPISODES, 100)
        assert points is not None
        assert episodes is not None
        totals = {
            item.series.instrument: item.total.count
            for item in points.items
            if isinstance(item, Point) and item.series.instrument in (Instrument.DURATION, Instrument.EPISODES)
        }
        assert totals == {Instrument.DURATION: 60, Instrument.EPISODES: 1}
        (episode,) = episodes.items
        assert isinstance(episode, EpisodeRecord)
        breaches = [sample for sample in said("samples") if sample["severity"] != "ok"]
        assert sorted(
            (b.offset, b.time_ns, round(b.duration_ns / 1e6, 6), b.cause) for b in episode.breaches
        ) == sorted((b["offset"], b["time_unix_nano"], b["duration_ms"], b["cause"]) for b in breaches)
        outbox.register(Stream, 0)
        records = outbox.read(Stream.BREACHES, 100)
        assert records is not None
        assert [record.uid for record in records.items if isinstance(record, BreachRecord)] == [
            uid for (uid,) in rows(STORES / "1.db", "SELECT uid FROM breach ORDER BY id")
        ]
        outbox.close()


def test_ids_go_on_behind_the_old_ones_also_where_rows_have_left(old: Path) -> None:
    with closing(sqlite3.connect(old)) as conn, conn:
        conn.execute("DELETE FROM breach WHERE id > 15")
        conn.execute("UPDATE sqlite_sequence SET seq = 30 WHERE name = 'breach'")
    with opened(old) as store:
        assert rows(old, "SELECT max(id) FROM breach") == [(15,)]
        Piece(store).commit(line(0, 1.0), seal_s=20)
        assert rows(old, "SELECT max(id) FROM breach") == [(31,)]
        assert rows(old, "SELECT min(id) FROM interval WHERE id > 8") == [(9,)]
        assert rows(old, "SELECT max(id) FROM file") == [(2,)]


def test_what_an_exporter_was_not_given_is_counted_from_here_on(tmp_path: Path) -> None:
    path = Path(shutil.copy(STORES / "2.db", tmp_path / "store.db"))
    with opened(path) as store:
        assert rows(path, "SELECT name, delivered, skipped FROM exporter ORDER BY name") == [
            ("hex", 0, 0),
            ("otlp", 0, 0),
        ]
        outbox = Outbox.open(path, "hex")
        outbox.register({Stream.BREACHES, Stream.EPISODES}, 0)
        Piece(store).commit(line(0, 1.0))
        batch = outbox.read(Stream.BREACHES, 100)
        assert batch is not None
        outbox.advance(batch, 1, 0, skipped=1)
        outbox.close()
    with opened(path):
        pass
    assert rows(path, "SELECT name, delivered, skipped FROM exporter ORDER BY name") == [("hex", 0, 1), ("otlp", 0, 0)]


def test_open_rows_keep_growing(old: Path) -> None:
    with closing(sqlite3.connect(old)) as conn, conn:
        conn.execute(
            "INSERT INTO open_interval (series, start_ns, end_ns, count, sum_ns, min_ns, max_ns, explicit, exponential,"
            " zeros) SELECT series, start_ns + 9e10, end_ns + 9e10, count, sum_ns, min_ns,"
            " max_ns, explicit, exponential, zeros FROM interval"
        )
    query_ = (
        "SELECT series, start_ns, end_ns, count, sum_ns, min_ns, max_ns, explicit, exponential, zeros"
        " FROM open_interval ORDER BY end_ns, start_ns, series"
    )
    before = rows(old, query_)
    assert before
    with opened(old) as store:
        assert rows(old, query_) == before
        store.commit(Batch(source=1, seal_until_ns=2**62))
        assert rows(old, query_) == []
    assert rows(old, "SELECT sum(count) FROM interval") == [(2 * sum(cast(int, row[3]) for row in before),)]


def test_somebodys_own_views_stay_as_they_are(old: Path) -> None:
    texts = ["CREATE VIEW mine AS SELECT * FROM minutes", "CREATE VIEW open AS SELECT count(*) FROM open_interval"]
    with closing(sqlite3.connect(old)) as conn, conn:
        for text in texts:
            conn.execute(text)
    with opened(old):
        pass
    assert rows(old, "SELECT sql FROM sqlite_master WHERE name IN ('mine', 'open') ORDER BY name") == [
        (text,) for text in texts
    ]
    assert rows(old, "SELECT count(*) > 0 FROM mine") == [(1,)]
    assert rows(old, "SELECT * FROM open") == [(0,)]


def test_a_deleted_view_is_created_again(old: Path) -> None:
    with closing(sqlite3.connect(old)) as conn, conn:
        conn.execute("DROP VIEW episodes")
    with opened(old):
        pass
    assert rows(old, "SELECT count(*) > 0 FROM episodes") == [(1,)]


def test_maintenance_works_on_a_migrated_store(old: Path) -> None:
    with opened(old) as store:
        store.maintenance(Limits(retention_ns=60 * 10**9), ["otlp"]).run()
    check_answers(old)


def next_one(connection: sqlite3.Connection) -> None:
    """A made-up migration to the version after today's."""
    connection.execute("ALTER TABLE breach ADD COLUMN context BLOB")
    connection.execute("CREATE TABLE note (time_ns INTEGER PRIMARY KEY, text TEXT NOT NULL)")


def take_the_next_migration(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        migrate.migrate(conn, path, {**migrate.steps(), SCHEMA_VERSION + 1: next_one})
    assert rows(path, "PRAGMA user_version") == [(SCHEMA_VERSION + 1,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_each_older_store_also_takes_a_migration_that_is_still_to_come(old: Path) -> None:
    take_the_next_migration(old)
    assert rows(old, "SELECT count(*), count(context) FROM breach") == [(19, 0)]
    assert rows(old, "SELECT sum(count) FROM block") == [(60,)]


def test_a_store_of_this_version_also_takes_a_migration_that_is_still_to_come(tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    with opened(new) as store:
        Piece(store).commit(line(0, 1.0))
    take_the_next_migration(new)
    assert rows(new, "SELECT count(*), count(context) FROM breach") == [(1, 0)]
    assert rows(new, "SELECT sum(count) FROM block") == [(1,)]


def test_durations_that_schema_8_counted_have_no_shortest_and_no_longest(tmp_path: Path) -> None:
    path = Path(shutil.copy(STORES / "8.db", tmp_path / "store.db"))
    counts = [1, *[0] * len(BOUNDS_NS)]
    with closing(sqlite3.connect(path)) as conn, conn:
        row = ("otlp", "span", "{}", "", 1, 4_000_000, json.dumps(counts))
        conn.execute("INSERT INTO operation VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    with opened(path), closing(sqlite3.connect(path)) as conn, conn:
        operations = Operations(conn, "otlp", lambda: 0)
        (histogram,) = [value for value in values(conn) if value.kind == "histogram"]
        assert (histogram.value, sum(histogram.buckets), histogram.extremes) == (0.004, 1, None)
        batch = ExportBatch(Stream.EPISODES, ())
        operations.begin(batch.stream)
        operations.finish(batch)
        (histogram,) = [value for value in values(conn) if value.kind == "histogram"]
        assert (histogram.value, sum(histogram.buckets), histogram.extremes) == (0.004, 2, None)


def test_there_is_one_migration_for_each_version() -> None:
    assert [*migrate.steps()] == [*range(2, SCHEMA_VERSION + 1)]


FROZEN = {
    "0002_blocks.py": "78f3d98739284874",
    "0003_skipped.sql": "d05bc1145fb86541",
    "0004_open_intervals.sql": "e23947092c4d2489",
    "0005_faults.sql": "0dd882625da35236",
    "0006_observers.sql": "43f1c3095b661c4f",
    "0007_marks_and_parts.sql": "aaa8e6f18e37443f",
    "0008_operations.sql": "b897d26996359988",
    "0009_durations.sql": "42adf505c7aef108",
}
"""The first digits of the SHA-256 of the steps that stores out there have taken: a new column needs a new step."""


def test_steps_that_stores_have_taken_are_unchanged() -> None:
    found = {name: sha256((ROOT / "migrations" / name).read_bytes()).hexdigest()[:16] for name in FROZEN}
    assert found == FROZEN


def test_only_the_newest_step_may_still_change() -> None:
    assert {int(name[:4]) for name in FROZEN} >= {*range(2, SCHEMA_VERSION)}


@pytest.mark.parametrize("file", sorted((ROOT / "migrations").glob("0*.py")), ids=lambda path: path.stem)
def test_a_migration_is_frozen_and_imports_nothing_of_ours(file: Path) -> None:
    assert "otel_logtail" not in file.read_text()


def test_a_large_store_is_put_into_blocks_of_a_bounded_size(first: Path) -> None:
    with closing(sqlite3.connect(first)) as conn, conn:
        conn.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)"
            " INSERT INTO sample SELECT id + i * 200000, time_ns + i, duration_ns, kind, stages FROM sample, n"
        )
        ids = [id_ for (id_,) in conn.execute("SELECT id FROM sample ORDER BY id")]
    assert len(ids) == 60 * 51
    with opened(first):
        pass
    assert rows(first, "SELECT count FROM block ORDER BY id") == [(1000,), (1000,), (1000,), (60,)]
    with query.Reader.open(first) as reader:
        assert sorted(sample.id for sample in query.samples(reader)) == ids


def test_killed_in_the_middle_it_is_an_older_store_still(tmp_path: Path) -> None:
    statements, versions = 0, set()
    while True:
        path = Path(shutil.copy(STORES / "1.db", tmp_path / "killed.db"))
        connection = sqlite3.connect(path, isolation_level=None)
        mortal = cast(sqlite3.Connection, MortalWithCursor(connection, statements))
        try:
            migrate.migrate(mortal, path)
            break
        except Killed:
            pass
        finally:
            connection.close()  # the kernel's part of a kill: uncommitted data is lost
        version = rows(path, "PRAGMA user_version")[0][0]
        assert version in range(1, SCHEMA_VERSION + 1)
        versions.add(version)
        if version == 1:
            assert rows(path, "SELECT * FROM sample") == rows(STORES / "1.db", "SELECT * FROM sample")
        with opened(path):
            pass
        check_answers(path)
        assert rows(path, "PRAGMA auto_vacuum") == [(2,)]
        for left in tmp_path.glob("killed.db*"):
            left.unlink()
        statements += 1
    assert statements > 20
    assert versions == {*range(1, SCHEMA_VERSION + 1)}  # each step is complete or not done


class MortalWithCursor(MortalConnection):
    def cursor(self) -> MortalWithCursor:
        return self


def test_where_there_is_no_room_to_rewrite_it_the_store_works_all_the_same(first: Path) -> None:
    with opened(first):
        pass  # how large it gets
    size = rows(first, "PRAGMA page_count")[0][0]
    shutil.copy(STORES / "1.db", first)
    connection = sqlite3.connect(first, isolation_level=None)
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        migrate.migrate(cast(sqlite3.Connection, WithoutVacuum(connection)), first)
    finally:
        connection.close()
    assert rows(first, "PRAGMA auto_vacuum") == [(0,)]
    check_answers(first)
    with opened(first) as store:  # the next start tries again
        assert rows(first, "PRAGMA auto_vacuum") == [(2,)]
        assert rows(first, "PRAGMA page_count") == [(size,)]
        store.maintenance(Limits(max_bytes=1), []).run()
    check = dump(first)
    assert check["block"] == []


class WithoutVacuum:
    """A connection to a database on a disk that has no room for a second copy."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: tuple[object, ...] = ()) -> sqlite3.Cursor:
        if sql == "VACUUM":
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(sql, parameters)

    def cursor(self) -> WithoutVacuum:
        return self

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction


@pytest.fixture(params=[0, 1, SCHEMA_VERSION, SCHEMA_VERSION + 1])
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "bookmarks.db"
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("CREATE TABLE bookmark (url TEXT)")
        conn.execute("CREATE TABLE meta (key TEXT)")
        conn.execute(f"PRAGMA user_version = {request.param}")
    yield path


def test_another_programs_database_is_never_touched_at_any_version(foreign: Path) -> None:
    before = foreign.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"not a store of otel-logtail|newer otel-logtail"):
            Store.open(foreign)
        assert foreign.read_bytes() == before
        assert sorted(p.name for p in foreign.parent.iterdir()) == ["bookmarks.db", "bookmarks.db.lock"]


def test_a_newer_schema_is_refused_and_left_alone(old: Path) -> None:
    with closing(sqlite3.connect(old)) as conn:
        conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = old.read_bytes()
    with pytest.raises(StoreError, match="newer"):
        storefile.open_file(old)
    assert old.read_bytes() == before
