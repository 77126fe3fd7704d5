"""The store is damaged, at the start or while running: it is moved away, and the remaining logs are read again."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.daemon import NOBODY, Daemon
from tests.support.lines import durations, line, lines
from tests.support.tailing import append_bytes


def asides(db: Path) -> list[Path]:
    return sorted(path for path in db.parent.glob(f"{db.name}.corrupt-*") if not path.name.endswith(("-wal", "-shm")))


def test_a_store_damaged_at_the_start_is_moved_away_and_the_logs_are_read_again(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy.log", tmp_path / "store.db"
    append_bytes(log, lines(0, 100))
    with Daemon(tmp_path, "--from-start", db=db, log=log).launch() as daemon:
        daemon.reads(0, 100)
        log.rename(tmp_path / "proxy.log.1")
        append_bytes(log, lines(100, 200))
        daemon.reads(0, 200)
        daemon.stop()
    damaged = os.urandom(len(db.read_bytes()))
    db.write_bytes(damaged)
    append_bytes(log, lines(200, 250))
    with Daemon(tmp_path, db=db, log=log).launch() as daemon:  # not told to read from the start
        daemon.reads(0, 250)
        (aside,) = asides(db)
        assert aside.read_bytes() == damaged
        assert daemon.said().count(f"error: {db} is corrupt, moved to {aside}") == 1
        assert daemon.ask("status")["sources"][0]["samples"] == 250
        append_bytes(log, line(250))
        daemon.reads(0, 251)
        daemon.stop()


def test_damage_that_is_met_while_running_ends_the_daemon_and_the_next_start_heals_it(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy.log", tmp_path / "store.db"
    append_bytes(log, lines(0, 5000))
    with Daemon(tmp_path, "--from-start", "--otlp-endpoint", NOBODY, db=db, log=log).launch() as daemon:
        daemon.reads(0, 5000)
        with closing(sqlite3.connect(db)) as conn:
            assert conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        with db.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(db.stat().st_size - 4096))
        append_bytes(log, lines(5000, 6000))  # a commit, and the exporter looks
        assert daemon.ends() == 1
        assert "damaged" in daemon.said()
        assert "Traceback" not in daemon.said()
        daemon.launch()
        daemon.reads(0, 6000)
        assert len(asides(db)) == 1
        daemon.stop()


def test_pruning_a_damaged_store_loses_nothing_that_the_logs_hold(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy.log", tmp_path / "store.db"
    append_bytes(log, lines(0, 100))
    with Daemon(tmp_path, "--from-start", db=db, log=log).launch() as daemon:
        daemon.reads(0, 100)
        daemon.stop()
        db.write_bytes(b"letter\n" * 1000)
        pruned = daemon.run("prune", "--db", db)
        assert pruned.returncode == 0
        assert "is corrupt, moved to" in pruned.stderr
        assert not daemon.samples()
        daemon.launch()
        daemon.wait_until(lambda: daemon.samples() == durations(0, 100))
        daemon.stop()
