"""A process that holds a snapshot of the store keeps its log of changes from being used again (docs/decisions/0082).

Our own queries hold no snapshot while their reader is slow. If another program holds one, it is named; less is written,
and with a size limit nothing beyond it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from otel_logtail.store.place import readers
from tests.support.daemon import Daemon
from tests.support.doctor import doctor
from tests.support.lines import durations, lines

MIB = 1 << 20
MAX = 10 * MIB


def wal_bytes(daemon: Daemon) -> int:
    return Path(f"{daemon.db}-wal").stat().st_size


def status(daemon: Daemon) -> Any:
    command = [*daemon.command()[:3], "status", "--db", str(daemon.db), "--format", "json"]
    return json.loads(subprocess.run(command, env=daemon.environ(), stdout=subprocess.PIPE, check=True).stdout)


QUESTIONS = {
    "samples": ("samples", "--format", "jsonl"),
    "newest samples": ("samples", "--format", "jsonl", "--limit", "100000"),
    "condition": ("samples", "--format", "jsonl", "--where", "duration_ms > 0"),
    "breaches": ("samples", "--format", "jsonl", "--severity", "degraded"),
    "SQL": ("sql", "SELECT id, time, duration_ms, attributes FROM samples", "--format", "jsonl"),
}


@contextmanager
def pager(daemon: Daemon, *question: str) -> Iterator[None]:
    """A query whose answer is read slowly, only its first lines for now."""
    command = [*daemon.command()[:3], "query", *question, "--db", str(daemon.db)]
    process = subprocess.Popen(command, env=daemon.environ(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        assert len(process.stdout.read(1000)) == 1000
        yield
        assert process.poll() is None, "it has more to say than what was read"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_pager_that_is_left_open_holds_nothing_up(tmp_path: Path, question: tuple[str, ...]) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 20_000, ms=600))
        daemon.start()
        daemon.wait_for(durations(0, 20_000, ms=600))
        with pager(daemon, *question), closing(sqlite3.connect(daemon.db)) as writer:
            writer.execute("INSERT INTO meta VALUES ('odd', '1')")
            writer.commit()
            assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        daemon.stop()


def test_conditions_are_answered_while_the_daemon_has_much_to_read(tmp_path: Path) -> None:
    each, rounds = 2000, 4
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, each, ms=600))
        daemon.start()
        daemon.wait_for_more_than(0)
        for number in range(1, rounds):
            daemon.write(lines(number * each, (number + 1) * each, ms=600))
            for question in ("samples", "slowest", "episodes"):
                assert daemon.ask("query", question, "--where", "duration_ms < 0") == []  # all rows are read for it
        assert len(daemon.ask("query", "samples", "--where", "duration_ms > 0", "--limit", "3")) == 3
        daemon.wait_until(lambda: daemon.counter("samples") == rounds * each)
        assert not re.search("snapshot|held by another program", daemon.said())
        daemon.stop()


def test_another_programs_snapshot_is_logged_shown_and_bounded(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start", "--max-db-size", str(MAX)) as daemon:
        daemon.write(lines(0, 20_000))
        daemon.start()
        daemon.wait_for(durations(0, 20_000))
        with closing(sqlite3.connect(daemon.db, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM block").fetchall()
            number = 20_000
            while wal_bytes(daemon) < MAX // 4:
                daemon.write(lines(number, number + 2000))
                number += 2000
                daemon.wait_until(lambda: daemon.counter("samples") == number, 40)  # noqa: B023 - waited for here
            daemon.wait_until(lambda: "can't shrink" in daemon.said())
            assert f"(pid {os.getpid()}) holds a snapshot; committing less often" in daemon.said()
            found = [what for _, what, _ in doctor(daemon).of("store") if "-wal has" in what]
            assert len(found) == 1
            assert f"(pid {os.getpid()}) holds a snapshot" in found[0]
            assert status(daemon)["db"]["wal_bytes"] == wal_bytes(daemon)
            daemon.write(lines(number, number + 200_000))
            daemon.wait_until(lambda: "which --max-db-size has no room for" in daemon.said(), 40)
            assert daemon.db.stat().st_size + wal_bytes(daemon) < MAX + 4 * MIB  # by one commit
            assert daemon.counter("samples") < number + 200_000
            reader.execute("ROLLBACK")
        daemon.wait_until(lambda: "can shrink again" in daemon.said(), 40)
        daemon.wait_until(lambda: daemon.counter("samples") == number + 200_000, 60)
        daemon.wait_until(lambda: wal_bytes(daemon) <= MAX // 4)
        daemon.stop()


def test_a_reader_that_is_stopped_is_named_by_status_and_doctor_wherever_it_is(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 100))
        daemon.start()
        daemon.wait_for(durations(0, 100))
        script = (
            "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN');"
            "c.execute('SELECT * FROM meta').fetchall(); print('reads', flush=True); time.sleep(600)"
        )
        command = [*daemon.command()[:1], "-c", script, str(daemon.db)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"reads\n"
            reader.send_signal(signal.SIGSTOP)
            try:
                (name,) = readers(daemon.db)
                assert name.endswith(f" (pid {reader.pid})")
                assert status(daemon)["db"]["wal_readers"] == [name]
            finally:
                reader.kill()
        daemon.stop()
