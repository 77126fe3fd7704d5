"""The log is cut off while nothing can go out: the store is locked, or the collector hangs (scenario 22)."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.following import Following
from tests.support.tailing import copytruncate


def test_nothing_is_lost_while_the_store_is_locked(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with closing(sqlite3.connect(following.db, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(3):
                following.write(5)
                copytruncate(following.log, following.log.with_name(f"{following.log.name}-202601{number + 1:02}"))
                following.write(2)
            other.execute("ROLLBACK")
        following.finish()


def test_nothing_is_lost_while_the_collector_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # it takes connections, and never answers
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with Following(tmp_path, "--otlp-endpoint", endpoint, "--export-interval", "100ms") as following:
            following.write(200)
            following.start().caught_up()
            deaf.settimeout(20)
            deaf.accept()[0].close()  # an exporter is at it
            for _ in range(3):
                following.write(5)
                copytruncate(following.log)
                following.write(2)
                following.caught_up()
            following.kill()
