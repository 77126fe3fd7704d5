"""What is old leaves the store of a running daemon, and what has still to be delivered does not."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from tests.support.keeping import NOBODY, Daemon, append, line, stored

HOUR = 3600


def holds(db: Path, number: int) -> bool:
    return len(stored(db)) == number


def test_what_is_older_than_the_retention_leaves_and_what_waits_stays(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy.log", tmp_path / "store.db"
    with Daemon(tmp_path, db, log, "--otlp-endpoint", NOBODY, "--retention", "12h") as daemon:
        daemon.wait_for(lambda: "waiting" in daemon.said)
        for hour in range(48):
            append(log, line(hour, after_s=hour * HOUR, ms=600))
            daemon.wait_for(partial(holds, db, hour + 1))
        append(log, line(48, after_s=47 * HOUR, ms=600))  # one line alone ages nothing
        daemon.wait_for(partial(holds, db, 49))
        assert daemon.stop() == 0
        daemon.start()
        daemon.wait_for(lambda: len(stored(db)) == 14)  # counted from the newest samples, not from the clock
        told = daemon.ask("status")
        assert told["db"]["dropped"] == 0
        (exporter,) = told["exporters"]
        assert exporter["pending"] > 0
        assert len(daemon.ask("query", "episodes", "--limit", 0)) == 48  # they wait
        assert daemon.ask("query", "summary")["count"] == 49
        assert daemon.stop() == 0


def test_a_store_beyond_its_size_lets_the_oldest_go_and_says_so_once(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy.log", tmp_path / "store.db"
    with Daemon(tmp_path, db, log, "--from-start", "--otlp-endpoint", NOBODY, "--max-db-size", "1MiB") as daemon:
        append(log, b"".join(line(n, after_s=n * 10, ms=600) for n in range(8000)))
        daemon.wait_for(lambda: daemon.said.count("left the store undelivered") >= 2)
        daemon.wait_for(lambda: db.stat().st_size <= 1 << 20)
        told = daemon.ask("status")
        assert told["sources"][0]["samples"] == 8000
        (exporter,) = told["exporters"]
        by_stream = {drop["stream"]: drop["count"] for drop in exporter["dropped"]}
        assert by_stream.keys() >= {"intervals"}
        assert told["db"]["dropped"] == sum(by_stream.values())
        for stream in by_stream:
            assert len(re.findall(rf"error: otlp: \d+ {stream} of .* left the store undelivered", daemon.said)) == 1
        assert daemon.stop() == 0
