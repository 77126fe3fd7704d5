"""The store is damaged, at the start or while running: set aside, and what the logs still hold is read again."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.keeping import NOBODY, Daemon, append, durations, lines, stored


def asides(db: Path) -> list[Path]:
    return sorted(path for path in db.parent.glob(f"{db.name}.corrupt-*") if not path.name.endswith(("-wal", "-shm")))


def test_a_store_that_is_damaged_at_the_start_is_set_aside_and_the_logs_are_read_again(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy.log", tmp_path / "store.db"
    append(log, lines(range(100)))
    with Daemon(tmp_path, db, log, "--from-start") as daemon:
        daemon.reads(range(100))
        log.rename(tmp_path / "proxy.log.1")
        append(log, lines(range(100, 200)))
        daemon.reads(range(200))
        assert daemon.stop() == 0
    damaged = os.urandom(len(db.read_bytes()))
    db.write_bytes(damaged)
    append(log, lines(range(200, 250)))
    with Daemon(tmp_path, db, log) as daemon:  # not told to read from the start
        daemon.reads(range(250))
        (aside,) = asides(db)
        assert aside.read_bytes() == damaged
        assert daemon.said.count(f"error: {db} is damaged: set aside as {aside}") == 1
        assert daemon.ask("status")["sources"][0]["samples"] == 250
        append(log, lines([250]))
        daemon.reads(range(251))
        assert daemon.stop() == 0


def test_damage_that_is_met_while_running_ends_the_daemon_and_the_next_start_heals_it(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy.log", tmp_path / "store.db"
    append(log, lines(range(5000)))
    with Daemon(tmp_path, db, log, "--from-start", "--otlp-endpoint", NOBODY) as daemon:
        daemon.reads(range(5000))
        with closing(sqlite3.connect(db)) as conn:
            assert conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        with db.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(db.stat().st_size - 4096))
        append(log, lines(range(5000, 6000)))  # a commit, and the exporter looks
        assert daemon.ends() == 1
        assert "damaged" in daemon.said
        assert "Traceback" not in daemon.said
        daemon.start()
        daemon.reads(range(6000))
        assert len(asides(db)) == 1
        assert daemon.stop() == 0


def test_pruning_a_damaged_store_loses_nothing_that_the_logs_hold(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy.log", tmp_path / "store.db"
    append(log, lines(range(100)))
    with Daemon(tmp_path, db, log, "--from-start") as daemon:
        daemon.reads(range(100))
        assert daemon.stop() == 0
        db.write_bytes(b"letter\n" * 1000)
        pruned = daemon.run("prune", "--db", db)
        assert pruned.returncode == 0
        assert "is damaged: set aside as" in pruned.stderr
        assert stored(db) == []
        daemon.start()
        daemon.wait_for(lambda: stored(db) == durations(range(100)))
        assert daemon.stop() == 0
