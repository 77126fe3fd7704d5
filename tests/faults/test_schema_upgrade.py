"""A store of an older version: the daemon continues at its position and delivers pending data."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.support.collector import Collector
from tests.support.daemon import Daemon
from tests.support.lines import line
from tests.support.places import CAPTURES, STORES
from tests.support.tailing import append_bytes

LATER = datetime(2026, 11, 23, 18, 20, tzinfo=timezone.utc)
"""Four minutes after the end of the capture."""


def old(folder: Path, schema: int, *arguments: object) -> Daemon:
    """On the store of an older schema and the log that it was made from, read to its end."""
    log = folder / "proxy-8787.log"
    shutil.copy(CAPTURES / "0.42.0-burst.log", log)
    db = Path(shutil.copy(STORES / f"{schema}.db", folder / "store.db"))
    with closing(sqlite3.connect(db)) as conn, conn:
        known = (str(log), str(log), log.stat().st_dev, log.stat().st_ino)
        conn.execute("UPDATE file SET live = ?, path = ?, device = ?, inode = ?", known)
    return Daemon(folder, *arguments, db=db, log=log)


@pytest.mark.parametrize("schema", [1, 2])
def test_an_older_store_continues_at_its_position_and_delivers_pending_data(
    tmp_path: Path, collector: Collector, schema: int
) -> None:
    daemon = old(tmp_path, schema, "--otlp-endpoint", collector.http_endpoint)
    refused = daemon.run("query", "summary", "--db", daemon.db)
    assert refused.returncode == 2
    assert "start the daemon, which migrates the store" in refused.stderr
    with daemon.launch():
        append_bytes(daemon.log, line(1, at=LATER))
        daemon.wait_until(lambda: daemon.samples().total() == 61)
        assert daemon.ask("query", "summary")["count"] == 61
        collector.wait_until(lambda: 60 in told(collector))  # what waited since then
        collector.wait_until(lambda: len(collector.spans()) == 1)
        assert len(collector.spans()[0].events) == 19
        daemon.stop()


def told(collector: Collector) -> list[int]:
    return [point.value for point in collector.metrics() if point.name == "log.overhead.duration"]


@pytest.mark.parametrize("schema", [1, 2])
def test_pruning_brings_an_older_store_up_to_date(tmp_path: Path, schema: int) -> None:
    daemon = old(tmp_path, schema)
    assert daemon.run("prune", "--db", daemon.db, "--retention", "none").returncode == 0
    assert daemon.ask("query", "summary")["count"] == 60
