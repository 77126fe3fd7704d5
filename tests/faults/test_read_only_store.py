"""A read-only store: the daemon reports it and exits, and queries are answered."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.disk import small_disk
from tests.support.lines import lines
from tests.support.tailing import append_bytes


def test_on_a_read_only_file_system_the_daemon_reports_it_and_queries_are_answered(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    append_bytes(log, lines(0, 100))
    with (
        small_disk(tmp_path / "disk", 4096) as disk,
        Daemon(tmp_path, "--from-start", db=disk / "store.db", log=log).launch() as daemon,
    ):
        daemon.reads(0, 100)
        daemon.stop()
        before = daemon.db.read_bytes()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        daemon.launch()
        assert daemon.ends() == 2
        assert "Read-only file system" in daemon.said()
        assert str(daemon.db) in daemon.said()
        assert "Traceback" not in daemon.said()
        assert daemon.ask("query", "summary")["count"] == 100
        assert daemon.ask("status")["sources"][0]["samples"] == 100
        pruned = daemon.run("prune", "--db", daemon.db)
        assert pruned.returncode == 2
        assert "Read-only file system" in pruned.stderr
        assert daemon.db.read_bytes() == before
