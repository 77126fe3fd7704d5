"""The health port, asked in this process: when the daemon counts as hung and as not ready, and who may ask."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from otel_logtail.cli.follow import build_when_ready
from otel_logtail.cli.health import read_status
from otel_logtail.daemon.health import FRESH_S, LATE_S, MOST_REASONS, STUCK_S, HealthSite
from otel_logtail.daemon.settings import Settings
from otel_logtail.daemon.supervisor import STATUS_S, Supervisor
from otel_logtail.delivery.sender import Drain
from otel_logtail.errors import StoreError, StoreUnavailable
from otel_logtail.events import Reporter
from otel_logtail.model import ExportBatch, Stream
from otel_logtail.query import Reader, status
from otel_logtail.server import answer
from otel_logtail.store.health import BEHIND_BYTES
from otel_logtail.store.outbox import Outbox
from otel_logtail.tail.watch import TimedWatcher
from otel_logtail.testing import FakeExporter
from tests.support.moments import proxy_store
from tests.support.pieces import opened
from tests.support.said import Said
from tests.support.waiting import wait_until

HANGS = "\x1b[31mno\nanswer"


class Asked:
    """A site with a clock that a test sets, and a status that a test makes up."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.times_read = 0
        self.files = [{"path": "/a", "offset": 10, "size": 10}]
        self.quarantined = {"otlp": 0, "old": 7}
        self.broken: StoreError | None = None
        self.supervisor = Supervisor({}, is_probed=True)
        self.reporter = Reporter(io.StringIO(), clock_s=lambda: self.now_s)
        self.site = HealthSite(self.supervisor, self.reporter, self.read, lambda: self.now_s)

    def read(self) -> Mapping[str, Any]:
        self.times_read += 1
        if self.broken:
            raise self.broken
        return {
            "sources": [{"name": "proxy", "files": self.files}],
            "exporters": [{"name": name, "quarantined": count} for name, count in self.quarantined.items()],
        }

    def turn(self) -> None:
        self.supervisor.turned(self.now_s, str)

    def get(self, path: str, *fields: str, method: str = "GET") -> tuple[int, str]:
        request = "\r\n".join([f"{method} {path} HTTP/1.1", *(fields or ["Host: 127.0.0.1:13143"]), "", ""])
        head, _, body = answer(self.site, request.encode()).partition(b"\r\n\r\n")
        assert b"X-Content-Type-Options: nosniff" in head
        return int(head.split()[1]), body.decode()

    def reasons(self) -> list[str]:
        self.now_s += FRESH_S
        self.turn()
        status, body = self.get("/readyz")
        assert status == (200 if body == "ok\n" else 503)
        return [] if status == 200 else body.splitlines()


@pytest.fixture
def asked() -> Asked:
    made = Asked()
    made.supervisor.ready("")
    made.turn()
    return made


# --- alive ---


def test_it_is_alive_while_it_starts_and_while_the_main_loop_turns() -> None:
    asked = Asked()
    asked.now_s += 10_000  # a migration takes its time
    assert asked.get("/livez") == (200, "ok\n")
    assert asked.get("/readyz") == (503, "not reading: starting\n")
    asked.supervisor.ready("")
    asked.turn()
    asked.now_s += LATE_S
    assert asked.get("/livez") == (200, "ok\n")
    asked.now_s += 15
    hung = (503, "hung: the main loop has not turned for 75 s\n")
    assert (asked.get("/livez"), asked.get("/readyz")) == (hung, hung)
    asked.turn()
    assert asked.get("/livez") == (200, "ok\n")


def test_a_main_loop_with_nothing_to_do_turns_often_enough() -> None:
    supervisor = Supervisor({}, is_probed=True)
    assert supervisor.due_s(5.0) == STATUS_S < LATE_S
    assert Supervisor({}).due_s(5.0) == float("inf")


def test_waiting_for_the_store_counts_as_turns_and_building_may_take_its_time(asked: Asked, tmp_path: Path) -> None:
    tries = iter([StoreUnavailable("no room left"), StoreUnavailable("no room left"), None])
    parts: Any = object()

    def make() -> Any:
        asked.now_s += 10_000  # a migration, also after a wait or after the store was deleted
        alive.append(asked.get("/livez"))
        if (problem := next(tries)) is not None:
            raise problem
        return parts

    class Impatient(TimedWatcher):
        def wait(self, timeout_s: float) -> None:
            reasons.extend(asked.reporter.troubles("store"))
            turns.append(asked.supervisor.turned_s or 0.0)

    reasons: list[str] = []
    turns: list[float] = []
    alive: list[tuple[int, str]] = []
    before_s = time.monotonic()
    settings = Settings(db=tmp_path / "s.db", sources=())
    assert build_when_ready(make, Impatient(), asked.reporter, asked.supervisor, settings) is parts
    assert reasons == ["no room left; reading stops until it can be written"] * 2
    assert asked.reporter.troubles() == []
    assert alive == [(200, "ok\n")] * 3
    assert len(turns) == 2
    assert min(turns) >= before_s


def test_one_that_stops_is_not_ready_any_more(asked: Asked) -> None:
    assert asked.reasons() == []
    asked.supervisor.stopping()
    assert asked.reasons() == ["not reading: stopping"]


# --- ready ---


def test_a_store_or_a_log_that_fails_is_not_read(asked: Asked) -> None:
    asked.reporter.store_failed("no room left")
    asked.reporter.unreadable("/var/log/a\n.log", "permission denied")
    asked.reporter.nothing_to_follow("*.log")  # a node may have no log
    assert asked.reasons() == [
        "not reading: no room left; reading stops until it can be written",
        r"not reading: can't read /var/log/a\n.log: permission denied; waiting for it",
    ]
    asked.reporter.store_works()
    asked.reporter.readable("/var/log/a\n.log")
    assert asked.reasons() == []


def test_one_that_is_far_behind_is_not_ready(asked: Asked) -> None:
    asked.files = [{"path": "/a", "offset": 5, "size": 5 + BEHIND_BYTES}, {"path": "/b", "offset": 9, "size": 1}]
    assert asked.reasons() == []
    asked.files[1] = {"path": "/b", "offset": 0, "size": 1}
    assert asked.reasons() == ["proxy: 16.0 MiB still to be read"]


def test_a_stream_that_fails_is_a_reason_after_a_minute(asked: Asked) -> None:
    asked.reporter.exporter_failed("otlp", HANGS, "intervals")
    asked.reporter.exporter_failed("otlp", HANGS, "episodes")
    assert asked.reasons() == []
    asked.now_s += STUCK_S - 2 * FRESH_S
    assert asked.reasons() == [r"otlp: no delivery of intervals, episodes for 60 s: \x1b[31mno\nanswer"]
    asked.reporter.exporter_works("otlp", "intervals")
    asked.reporter.exporter_works("otlp", "episodes")
    assert asked.reasons() == []


def test_a_receiver_that_refuses_everything_is_a_reason_at_once(asked: Asked) -> None:
    asked.reporter.refuses_everything("otlp", "no such tenant")
    (reason,) = asked.reasons()
    assert reason.startswith("otlp: everything is refused: no such tenant")
    asked.reporter.exporter_takes_again("otlp")
    assert asked.reasons() == []


def test_quarantined_items_do_not_make_it_unready(asked: Asked) -> None:
    asked.quarantined["otlp"] = 1
    assert asked.reasons() == []


def test_a_store_that_cannot_be_read_is_a_reason(asked: Asked) -> None:
    asked.broken = StoreError("no store at /x")
    assert asked.reasons() == ["no store at /x"]
    assert asked.get("/status") == (503, "no store at /x\n")


def test_many_reasons_are_cut(asked: Asked) -> None:
    for number in range(MOST_REASONS + 3):
        asked.reporter.unreadable(f"/{number}", "permission denied")
    *shown, last = asked.reasons()
    assert (len(shown), last) == (MOST_REASONS, "and 3 more")


def test_an_export_that_does_not_return_is_a_reason(asked: Asked, tmp_path: Path) -> None:
    taken, returns = threading.Event(), threading.Event()

    class Hanging(FakeExporter):
        def export(self, batch: Any) -> Any:
            taken.set()
            returns.wait()
            return super().export(batch)

    with opened(tmp_path / "store.db") as store:
        exporter = Hanging(wants=frozenset({Stream.BREACHES}))
        drain = Drain(exporter, Outbox.open(store.path, exporter.name), asked.reporter)
        asked.site.drains = [drain]
        export = threading.Thread(target=drain.export, args=(ExportBatch(Stream.BREACHES, ()),))
        export.start()
        wait_until(taken.is_set)
        asked.now_s = time.monotonic()
        assert asked.reasons() == []
        asked.now_s += STUCK_S
        (reason,) = asked.reasons()
        assert reason.startswith(f"{exporter.name}: no answer for ")
        returns.set()
        export.join()
        assert asked.reasons() == []
        drain.join()


def test_a_delivery_worker_that_has_ended_is_a_reason(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "store.db") as store:
        exporter, said = FakeExporter(wants=frozenset({Stream.BREACHES})), Said()
        stopped, dead = (Drain(exporter, Outbox.open(store.path, exporter.name), Reporter(said)) for _ in range(2))
        asked.site.drains = [stopped, dead]
        assert asked.reasons() == []  # not started yet
        stopped.start()
        assert asked.reasons() == []
        stopped.stop(10.0)
        stopped.join()
        assert asked.reasons() == []
        monkeypatch.setattr(dead, "_pause_s", lambda: sys.exit(1))
        dead.start()
        wait_until(lambda: dead.has_ended)
        assert asked.reasons() == ["fake: the delivery worker has ended"]
        assert said.lines() == ["error: fake: internal error: SystemExit: 1"]
        dead.join()


# --- who may ask, and what ---


def test_the_status_is_that_of_the_command(tmp_path: Path, asked: Asked) -> None:
    store = proxy_store(tmp_path)
    with Reader.open(store) as reader:
        expected = msgspec.to_builtins(status(reader))
    asked.site = HealthSite(asked.supervisor, asked.reporter, lambda: read_status(store))
    code, body = asked.get("/status")
    assert (code, json.loads(body)) == (200, json.loads(msgspec.json.encode(expected)))
    assert not [*store.parent.glob("*-journal")]


def test_the_status_takes_no_lock_from_the_daemon(tmp_path: Path) -> None:
    """Closing any descriptor of a file would release all POSIX locks that this process has on it."""
    path = tmp_path / "store.db"
    with opened(path), closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM source").fetchone()
        before = held_locks(path)
        assert {kind for kind, _ in before} == {"POSIX", "FLOCK"}
        assert read_status(path)["sources"] == []
        assert held_locks(path) == before


def held_locks(path: Path) -> list[tuple[str, str]]:
    """Return the kind and the range of each lock of this process on the store and the files beside it."""
    inodes = {str(file.stat().st_ino) for file in path.parent.iterdir()}
    rows = (row.split() for row in Path("/proc/locks").read_text().splitlines())
    return sorted(
        (row[1], " ".join(row[3:]))
        for row in rows
        if row[4] == str(os.getpid()) and row[5].rpartition(":")[2] in inodes
    )


def test_checks_in_a_row_read_the_store_once(asked: Asked) -> None:
    for _ in range(5):
        assert asked.get("/readyz")[0] == asked.get("/status")[0] == 200
    assert asked.times_read == 1
    asked.now_s += FRESH_S
    asked.get("/livez")
    assert asked.times_read == 1, "a check of the main loop does not wait for the store"
    asked.get("/readyz")
    assert asked.times_read == 2


@pytest.mark.parametrize("host", ["10.1.2.3:13143", "localhost", "[::1]:13143", "127.0.0.1", "LOCALHOST:1"])
def test_it_answers_to_addresses(asked: Asked, host: str) -> None:
    assert asked.get("/livez", f"Host: {host}")[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:13143",
            "127.0.0.1.evil.example",
            "[evil]",
            "1.2.3",
            "127.0.0.1:1.evil.example",
        ),
        *("[::1].evil.example", "[::1].evil.example:1", "[::1]:1.evil.example", "[::1]]", "[::1", "[]", "::1"),
    ],
)
def test_it_does_not_answer_to_names_that_anyone_may_point_here(asked: Asked, host: str) -> None:
    for path in ("/readyz", "/status", "/"):
        assert asked.get(path, f"Host: {host}") == (403, "the Host header must be an IP address or localhost\n")


def test_liveness_is_answered_to_the_name_of_a_container(asked: Asked) -> None:
    assert asked.get("/livez", "Host: otel-logtail:13133") == (200, "ok\n")


def test_a_checker_without_a_host_is_answered(asked: Asked) -> None:
    assert asked.get("/livez", "User-Agent: check") == (200, "ok\n")


def test_other_paths_and_methods(asked: Asked) -> None:
    assert asked.get("/") == (404, "/livez\n/readyz\n/status\n")
    assert asked.get("/livez", method="POST") == (405, "only GET and HEAD\n")
    assert asked.get("/livez", method="HEAD") == (200, "")
