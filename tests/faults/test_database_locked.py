"""Another process locks the store: logged, and continued automatically when it is released (scenario 39)."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import durations, lines


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 5))
        daemon.start()
        daemon.wait_for(durations(0, 5))
        said = daemon.once(code=2)
        assert f"in use by another otel-logtail (pid {daemon.pid})" in said
        assert "hint: " in said
        daemon.write(lines(5, 10))
        daemon.wait_for(durations(0, 10))
        daemon.kill()
        daemon.once()  # a lock dies with its holder


def test_a_transaction_of_another_program_is_reported_and_waited_for(tmp_path: Path) -> None:
    """A daemon that runs waits for its end; a run that is not to stay gives up, with a hint."""
    (tmp_path / "other").mkdir()
    with (
        Daemon(tmp_path, "--from-start") as daemon,
        Daemon(tmp_path / "other") as other,
        ThreadPoolExecutor() as pool,
    ):
        other.write(lines(0, 5))
        other.once()
        daemon.write(lines(0, 5))
        daemon.start()
        daemon.wait_for(durations(0, 5))
        with (
            closing(sqlite3.connect(daemon.db, isolation_level=None)) as browser,
            closing(sqlite3.connect(other.db, isolation_level=None)) as second,
        ):
            browser.execute("BEGIN IMMEDIATE")
            second.execute("BEGIN EXCLUSIVE")
            late = pool.submit(other.once, code=1)
            daemon.write(lines(5, 10))
            daemon.wait_until(lambda: "5 s; reading stops until it can be written" in daemon.said())
            assert daemon.samples() == durations(0, 5)
            said = late.result(60)
            assert "is held by another program" in said
            assert "hint: look for a program with an open transaction on it" in said
            browser.execute("ROLLBACK")
        daemon.wait_for(durations(0, 10))
        daemon.wait_until(lambda: "can be written again" in daemon.said())
        daemon.stop()
