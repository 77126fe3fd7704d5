"""hex's own telemetry table: rows as hex's log reader writes them, each once, under any fault of the database."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_logtail.delivery.sender import Drain
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.hex import telemetry
from otel_logtail.exporters.hex.telemetry import HexTelemetryExporter
from otel_logtail.model import Delivered, Partial, Refused, Retry
from otel_logtail.plugins import make_exporter
from otel_logtail.store.outbox import Outbox
from tests.support.captures import read_episodes, read_log
from tests.support.forked import ask, run
from tests.support.hex_engine import Engine
from tests.support.hex_items import breach, breaches, episode, episodes
from tests.support.pieces import NOON, SECOND, Piece, dump, line, opened
from tests.support.places import CAPTURES
from tests.support.waiting import bound_s

HEXS_OWN = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, ts TEXT NOT NULL, source TEXT NOT NULL, event TEXT NOT NULL,
    status TEXT NOT NULL, duration_ms INTEGER, exit_code INTEGER, detail TEXT
);
CREATE INDEX idx_events_ts ON events(ts);
CREATE INDEX idx_events_event ON events(event);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of hex's database; hex's folder exists and is empty."""
    (tmp_path / ".hex").mkdir()
    return tmp_path / ".hex" / "telemetry" / "events.db"


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    """Hex's database as hex made it, with a row of its own in it."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(HEXS_OWN)
        connection.execute("INSERT INTO events (ts, source, event, status) VALUES ('2026-11-25', 'cron', 'e', 'ok')")
        yield connection


def table(path: Path) -> list[dict[str, Any]]:
    """Hex's rows, its own left out, as any reader gets them."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM events WHERE source <> 'cron' ORDER BY id")
        return [dict(row) for row in found]


def ids(path: Path) -> list[str]:
    return [json.loads(row["detail"])["id"] for row in table(path)]


def test_a_table_that_is_missing_is_made_as_hex_makes_it(path: Path, tmp_path: Path) -> None:
    assert HexTelemetryExporter(path).export(breaches(breach(1))) == Delivered()
    own = tmp_path / "own.db"
    shapes = []
    for file in (path, own):
        with closing(sqlite3.connect(file)) as connection:
            if file is own:
                connection.executescript(HEXS_OWN)
            columns = connection.execute("PRAGMA table_info(events)").fetchall()
            indexes = connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'").fetchall()
            autoincrement = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchall()
            shapes.append((columns, sorted(indexes), autoincrement))
    assert shapes[0] == shapes[1]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_rows_are_appended_behind_hexs_own(path: Path, db: sqlite3.Connection) -> None:
    exporter = HexTelemetryExporter(path)
    assert exporter.export(breaches(breach(1), breach(2, time_ns=NOON + SECOND))) == Delivered()
    assert exporter.export(episodes(episode(1))) == Delivered()
    assert [(row["id"], row["ts"], row["event"], row["status"], row["duration_ms"]) for row in table(path)] == [
        (2, "2026-11-25T12:00:00+00:00", "overhead", "degraded", 612),
        (3, "2026-11-25T12:00:01+00:00", "overhead", "degraded", 612),
        (4, "2026-11-25T12:00:05+00:00", "stall_episode", "stall", 2501),
    ]
    assert db.execute("SELECT ts, event, status FROM events WHERE id = 1").fetchall() == [("2026-11-25", "e", "ok")]


def test_a_row_that_is_sent_again_is_there_once_and_its_twin_of_the_same_moment_beside_it(path: Path) -> None:
    exporter = HexTelemetryExporter(path)
    batch = breaches(breach(1), breach(2))  # the same time and duration, and two requests
    assert exporter.export(batch) == Delivered()
    assert exporter.export(batch) == Delivered()
    assert HexTelemetryExporter(path).export(breaches(breach(2), breach(3))) == Delivered()
    assert ids(path) == [f"{n:032x}" for n in (1, 2, 3)]


def test_a_row_is_looked_for_by_its_time_and_not_among_all_of_its_kind(path: Path, db: sqlite3.Connection) -> None:
    row = {"ts": "t", "source": "s", "event": "e", "status": "ok", "duration_ms": 1, "detail": "{}"}
    plan = db.execute(f"EXPLAIN QUERY PLAN {telemetry._APPEND}", row).fetchall()
    assert [step[3] for step in plan if "SEARCH" in step[3]] == ["SEARCH events USING INDEX idx_events_ts (ts=?)"]


def test_a_table_that_another_holds_is_tried_again(path: Path, db: sqlite3.Connection) -> None:
    exporter = HexTelemetryExporter(path, locked_s=0.05)
    db.execute("BEGIN IMMEDIATE")
    outcome = exporter.export(breaches(breach(1)))
    assert isinstance(outcome, Retry)
    assert "events.db can't be written: database is locked" in outcome.why
    db.execute("COMMIT")
    assert exporter.export(breaches(breach(1))) == Delivered()
    assert ids(path) == [f"{1:032x}"]


@pytest.mark.parametrize("content", [b"this is no database, but long enough to look like one. " * 30, None])
def test_a_file_that_is_not_hexs_database_is_retried_and_left_unchanged(path: Path, content: bytes | None) -> None:
    path.parent.mkdir()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    outcome = HexTelemetryExporter(path).export(breaches(breach(1)))
    assert isinstance(outcome, Retry)
    assert str(path) in outcome.why
    assert path.is_dir() if content is None else path.read_bytes() == content


def test_another_table_of_that_name_is_tried_again_and_gets_no_row(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE events (ts, event, what)")
    outcome = HexTelemetryExporter(path).export(breaches(breach(1)))
    assert isinstance(outcome, Retry)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_a_folder_that_is_not_hexs_is_not_made(tmp_path: Path) -> None:
    outcome = HexTelemetryExporter(tmp_path / ".hex" / "telemetry" / "events.db").export(breaches(breach(1)))
    assert isinstance(outcome, Retry)
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_the_table_does_not_take_is_refused_alone(path: Path, db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TRIGGER no BEFORE INSERT ON events WHEN new.detail LIKE '%3\"}' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    exporter = HexTelemetryExporter(path)
    batch = breaches(*(breach(n) for n in range(1, 6)))
    refused = Refused("hex's table takes no such row: no")
    assert exporter.export(batch) == Partial(2, refused)
    assert ids(path) == [f"{n:032x}" for n in (1, 2)]
    assert exporter.export(breaches(breach(3))) == refused
    assert exporter.export(breaches(breach(4), breach(5))) == Delivered()
    assert ids(path) == [f"{n:032x}" for n in (1, 2, 4, 5)]


def test_hexs_own_writers_and_ours_do_not_lose_each_others_rows(path: Path, db: sqlite3.Connection) -> None:
    def hexs() -> None:
        for number in range(200):
            with closing(sqlite3.connect(path, timeout=bound_s(10), isolation_level=None)) as other:
                other.execute("INSERT INTO events (ts, source, event, status) VALUES (?, 'cron', 'e', 'ok')", (number,))

    writer = threading.Thread(target=hexs)
    writer.start()
    exporter = HexTelemetryExporter(path, locked_s=10.0)
    for number in range(1, 101):
        assert exporter.export(breaches(breach(number))) == Delivered()
    writer.join()
    assert db.execute("SELECT count(*) FROM events WHERE source = 'cron'").fetchone() == (201,)
    assert ids(path) == [f"{n:032x}" for n in range(1, 101)]


def test_nothing_is_written_once_it_is_closed(path: Path) -> None:
    exporter = HexTelemetryExporter(path)
    exporter.close()
    assert exporter.export(breaches(breach(1))) == Retry("the exporter is closed")
    assert not path.exists()


def test_all_of_the_store_is_in_the_table_once_though_its_delivery_is_forgotten(path: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store:
        Piece(store).commit(b"".join(line(10 * n, 0.6) for n in range(1500)) + line(14_999, 0.1))
        for _ in range(2):
            exporter = HexTelemetryExporter(path)
            outbox = Outbox.open(store.path, exporter.name)
            outbox.register(exporter.wants, time.time_ns())
            drain = Drain(exporter, outbox, Reporter())
            drain.start()
            drain.stop(30.0)
            drain.join()
            with closing(sqlite3.connect(store.path)) as forgetful, forgetful:
                assert forgetful.execute("SELECT sum(position) FROM cursor").fetchone() == (2999,)
                forgetful.execute("UPDATE cursor SET position = 0")
    assert len(ids(path)) == len(set(ids(path))) == 2999


# --- the command line -----------------------------------------------------------------------------------------------


def follow(log: Path, db: Path, *chosen: object, home: Path) -> None:
    command = ["--observer", "headroom", "--path", log, "--once", "--db", db]
    assert run(*command, *chosen, home=home).returncode == 0


def test_a_captures_rows_are_there_once_even_if_a_new_store_reads_it_again(path: Path, tmp_path: Path) -> None:
    log = CAPTURES / "0.42.0-slow-upstream-queueing.log"
    for number in range(2):
        follow(log, tmp_path / f"{number}.db", "--exporter", "hex-telemetry", "--hex-db", path, home=tmp_path)
        found = table(path)
        slow = [sample for sample in read_log(log) if sample.severity != "ok"]
        overhead = [(row["status"], row["duration_ms"]) for row in found if row["event"] == "overhead"]
        assert overhead == [(s.severity, (s.duration_ns + 500_000) // 1_000_000) for s in slow]
        grouped = read_episodes(read_log(log))
        counts = [json.loads(row["detail"])["count"] for row in found if row["event"] == "stall_episode"]
        assert counts == [len(e) for e in grouped]
        assert len(found) == len(slow) + len(grouped)
        assert all(row["ts"].endswith("+00:00") and row["source"] == "headroom-proxy" for row in found)


def test_the_destination_makes_no_difference_to_what_is_stored(path: Path, tmp_path: Path) -> None:
    log, db = CAPTURES / "0.42.0-stall.log", tmp_path / "store.db"
    stored = {}
    with Engine() as engine:
        chosen: dict[str, list[object]] = {
            "none": [],
            "hex": ["--exporter", "hex", "--hex-url", engine.url, "--hex-max-age", "none"],
            "hex-telemetry": ["--exporter", "hex-telemetry", "--hex-db", path],
            "both": ["--exporter", "hex", "--exporter", "hex-telemetry", "--hex-url", engine.url, "--hex-db", path],
        }
        for name, options in chosen.items():
            follow(log, db, *options, home=tmp_path)
            of_exporters = ("exporter", "cursor", "total", "owed", "refused", "dropped")
            stored[name] = {key: rows for key, rows in dump(db).items() if key not in of_exporters}
            assert len(ask(db, "query", "samples", "--limit", 0, home=tmp_path)) == 111
            for file in tmp_path.glob("store.db*"):
                file.unlink()
        assert sorted(value["data"]["id"] for value in engine.stored) == sorted(ids(path))
    assert stored["hex"] == stored["none"]
    assert stored["hex-telemetry"] == stored["none"]
    assert stored["both"] == stored["none"]


def test_without_a_place_it_is_one_line_and_exit_2(tmp_path: Path) -> None:
    wrong = run("--observer", "headroom", "--exporter", "hex-telemetry", home=tmp_path, check=False)
    assert wrong.returncode == 2
    assert "set HEX_DIR, or name the file with --hex-db" in wrong.stderr


def test_it_is_found_by_its_name(tmp_path: Path) -> None:
    found = make_exporter("hex-telemetry", ExporterContext({"HEX_DIR": str(tmp_path)}))
    assert (found.name, found.wants) == ("hex-telemetry", HexTelemetryExporter.wants)
