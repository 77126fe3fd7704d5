"""A store that nobody may write: the daemon says so and ends, and questions are answered."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.keeping import Daemon, append, lines, small_disk


def test_on_a_read_only_file_system_the_daemon_says_so_and_questions_are_answered(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    append(log, lines(range(100)))
    with (
        small_disk(tmp_path / "disk", 4096) as disk,
        Daemon(tmp_path, disk / "store.db", log, "--from-start") as daemon,
    ):
        daemon.reads(range(100))
        assert daemon.stop() == 0
        before = daemon.db.read_bytes()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        daemon.start()
        assert daemon.ends() == 2
        assert "Read-only file system" in daemon.said
        assert str(daemon.db) in daemon.said
        assert "Traceback" not in daemon.said
        assert daemon.ask("query", "summary")["count"] == 100
        assert daemon.ask("status")["sources"][0]["samples"] == 100
        pruned = daemon.run("prune", "--db", daemon.db)
        assert pruned.returncode == 2
        assert "Read-only file system" in pruned.stderr
        assert daemon.db.read_bytes() == before
