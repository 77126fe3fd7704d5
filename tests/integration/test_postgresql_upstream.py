"""A real PostgreSQL: its slow statements and lock waits, through new names and a copytruncate, into the store."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.support.postgres import Connection, PostgresServer, Took
from tests.support.tailing import copytruncate
from tests.support.upstreams import Follower
from tests.support.waiting import bound_s

MS = 10**6
SLACK_S = 0.1
"""The client reads its clock before and after the server. A busy machine stretches that."""
ZONE = "America/St_Johns"
OPTIONS = ["--timezone", ZONE, "--postgresql-checkpoints", "on", "--postgresql-databases", "postgres"]
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Logged(NamedTuple):
    """A duration in the log, as plain json reads it; ``number`` is that of the statement (0: none)."""

    end_ns: int
    duration_ns: int
    cause: str
    number: int


class Log:
    """The files of a server's log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self) -> list[Path]:
        """Return the JSON logs, and their copies."""
        return sorted(self._folder.glob("*.json*"))

    def durations(self) -> list[Logged]:
        """Return all durations of statements and lock waits that no user raised."""
        found = []
        for file in self.files():
            *lines, _ = file.read_text(errors="replace").split("\n")  # the last line may not be complete
            for line in lines:
                record = json.loads(line)
                match = re.match(
                    r"(duration): ([\d.]+) ms|(process) .* acquired .* ([\d.]+) ms|(checkpoint) .* sync=([\d.]+) s",
                    record["message"],
                )
                if match is None or "RAISE" in record.get("context", ""):
                    continue
                kind, value = filter(None, match.groups())
                stamp = datetime.strptime(record["timestamp"].rpartition(" ")[0], "%Y-%m-%d %H:%M:%S.%f")
                end_ns = round(stamp.replace(tzinfo=ZoneInfo(ZONE)).timestamp() * 1000) * MS
                number = re.search(r"/\*(\d+)\*/", record["message"])
                cause = {"duration": "statement", "process": "lock"}.get(kind, kind)
                duration_ns = round(float(value) * (1000 * MS if kind == "checkpoint" else MS))
                found.append(Logged(end_ns, duration_ns, cause, int(number[1]) if number else 0))
        return found

    def of(self, number: int) -> Logged | None:
        """Return the duration of a statement: the longest, if parts of it are logged too."""
        found = [one for one in self.durations() if one.number == number]
        return max(found, key=lambda one: one.duration_ns) if found else None


def wait_for_a_lock(first: Connection, second: Connection, watcher: Connection) -> dict[int, Took]:
    """Let one connection hold a lock for a while, and another one wait for it; return what each measured."""
    watcher.run("create table t (v int); insert into t values (1)")
    first.run("begin; update t set v = 2")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(second.run, "update t set v = 3 /*4*/")
        while watcher.run("select count(*) from pg_locks where not granted").value != b"1":
            assert not waiting.done()
        held = first.run("select pg_sleep(0.4) /*3*/")
        first.run("commit")
        return {3: held, 4: waiting.result()}


def raise_forged_durations(connection: Connection) -> None:
    """Write a duration and a lock wait into the log, as each user of a database can."""
    pid = connection.run("select pg_backend_pid()").value.decode()
    for text in (
        "duration: 77777.000 ms  statement: x",
        f"process {pid} acquired ShareLock on transaction 1 after 66666.000 ms",
    ):
        assert connection.run(f"do $$ begin raise log '{text}'; end $$").error == ""


def test_statements_and_lock_waits_of_a_real_server_arrive_once_through_its_rotation(tmp_path: Path) -> None:
    with PostgresServer(tmp_path, "deadlock_timeout = 100ms", f"log_timezone = '{ZONE}'") as server:
        log = Log(server.logs)
        slow: dict[int, Took] = {}
        with (
            Follower(tmp_path, "postgresql", server.logs / "*.json", more=OPTIONS) as daemon,
            Connection(server.port) as first,
            Connection(server.port) as second,
            Connection(server.port) as third,
        ):

            def has_all() -> bool:
                stored = daemon.rows("SELECT sum(count) FROM block")
                return all(log.of(number) for number in slow) and stored == [(len(log.durations()),)]

            daemon.start()
            slow[1] = first.run(b"select pg_sleep(0.3) /*1*/, '\xff\xe9', E'duration: 99999.000 ms\\nforged'")
            slow[2] = first.execute("select pg_sleep($1::float) /*2*/, $2::text", "0.3", "duration: 88888.000 ms")
            raise_forged_durations(first)
            assert first.run("set statement_timeout = 300; select pg_sleep(9)").error == "57014"
            assert first.run("set statement_timeout = 0").error == ""
            slow |= wait_for_a_lock(first, second, third)
            assert third.run("checkpoint").error == ""
            server.wait_until(lambda: "checkpoint" in {one.cause for one in log.durations()})
            daemon.wait_until(has_all)

            assert first.run("select pg_rotate_logfile()").error == ""
            server.wait_until(lambda: len(log.files()) == 2)
            slow[5] = first.run(f"select pg_sleep(0.3) /*5*/ /*traceparent='{PARENT}'*/")
            daemon.wait_until(has_all)

            live = log.files()[-1]
            copytruncate(live, live.with_name(f"{live.name}.1"))
            slow[6] = first.run("select pg_sleep(0.3) /*6*/")
            daemon.wait_until(has_all)

        samples = daemon.samples()
        found = [(sample["time_unix_nano"], round(sample["duration_ms"] * MS), sample["cause"]) for sample in samples]
        assert sorted(found) == sorted(one[:3] for one in log.durations())
        for number, took in slow.items():
            logged = log.of(number)
            assert logged is not None
            assert took.error == ""
            slack_ns = round(bound_s(SLACK_S) * 10**9)
            assert max(300 * MS, took.duration_ns - slack_ns) <= logged.duration_ns <= took.duration_ns
            assert took.end_ns - slack_ns <= logged.end_ns <= took.end_ns
        waits = [one.duration_ns for one in log.durations() if one.cause == "lock"]
        assert max(waits) >= 400 * MS
        assert daemon.rows("SELECT reason, count FROM rejected") == [("raised", 2)]
        assert daemon.rows("SELECT drift FROM source") == [(0,)]
