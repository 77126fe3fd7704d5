"""Expired data of a running daemon is deleted, and undelivered data is not."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.support.daemon import NOBODY, Daemon
from tests.support.lines import durations, line
from tests.support.tailing import append_bytes

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
"""Far enough back that no line has a time to come."""


def test_what_is_older_than_the_retention_leaves_and_what_waits_stays(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy.log", tmp_path / "store.db"
    with Daemon(tmp_path, "--otlp-endpoint", NOBODY, "--retention", "12h", db=db, log=log).launch() as daemon:
        daemon.wait_until(lambda: "waiting" in daemon.said())
        for hour in range(48):
            append_bytes(log, line(hour, at=START + timedelta(hours=hour), ms=600))
            daemon.wait_for(durations(0, hour + 1, ms=600))
        append_bytes(log, line(48, at=START + timedelta(hours=47), ms=600))  # one line alone ages nothing
        daemon.wait_for(durations(0, 49, ms=600))
        daemon.stop()
        daemon.launch()
        daemon.wait_until(lambda: daemon.samples().total() == 14)  # counted from the newest samples, not from the clock
        told = daemon.ask("status")
        assert told["db"]["dropped"] == 0
        (exporter,) = told["exporters"]
        assert exporter["pending"] > 0
        assert len(daemon.ask("query", "episodes", "--limit", 0)) == 48  # they wait
        assert daemon.ask("query", "summary")["count"] == 49
        daemon.stop()


def test_a_store_beyond_its_size_deletes_the_oldest_data_and_logs_it_once(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy.log", tmp_path / "store.db"
    with Daemon(
        tmp_path, "--from-start", "--otlp-endpoint", NOBODY, "--max-db-size", "1MiB", db=db, log=log
    ).launch() as daemon:
        append_bytes(log, b"".join(line(n, at=START + timedelta(seconds=n * 10), ms=600) for n in range(8000)))
        daemon.wait_until(lambda: daemon.said().count("were deleted undelivered") >= 2)
        daemon.wait_until(lambda: db.stat().st_size <= 1 << 20)
        told = daemon.ask("status")
        assert told["sources"][0]["samples"] == 8000
        (exporter,) = told["exporters"]
        by_stream = {drop["stream"]: drop["count"] for drop in exporter["dropped"]}
        assert by_stream.keys() >= {"intervals"}
        assert told["db"]["dropped"] == sum(by_stream.values())
        for stream in by_stream:
            assert len(re.findall(rf"error: otlp: \d+ {stream} of .* were deleted undelivered", daemon.said())) == 1
        daemon.stop()
