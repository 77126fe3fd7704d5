"""``doctor`` on real logs, stores, receivers and daemons: what is well, what is not, and that it disturbs nothing."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest

from otel_logtail.doctor.destinations import check_deliveries
from otel_logtail.doctor.machine import check_machine
from tests.support.collector import CONFIGS, Collector, find_collector
from tests.support.daemon import Daemon
from tests.support.disk import fill, small_disk
from tests.support.doctor import Found, doctor
from tests.support.forked import run
from tests.support.hex_engine import Engine
from tests.support.lines import SLOW_MS, durations, line, lines
from tests.support.places import CAPTURES
from tests.support.ports import free_port
from tests.support.prometheus import Prometheus, find_prometheus
from tests.support.receiver import Fail, flags, receiving
from tests.support.waiting import bound_s


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file of a folder: when it was changed, and what is in it."""
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_all_checks_pass_beside_a_running_daemon_which_continues(tmp_path: Path) -> None:
    with (
        receiving("http") as receiver,
        Daemon(tmp_path, *flags("http"), "--from-start", endpoint=receiver.endpoint) as daemon,
    ):
        daemon.write(lines(0, 100))
        daemon.start()
        daemon.wait_for(durations(0, 100))
        daemon.wait_until(lambda: receiver.counted() == 100)
        for number in range(5):
            daemon.write(lines(100 + number, 101 + number))
            found = doctor(daemon)
            assert found.bad() == []
            assert found.code == 0
            daemon.wait_for(durations(0, 101 + number))
        assert {check["area"] for check in found.checks} == {
            *("store", "daemon", "disk", "source headroom-proxy", "logs of headroom-proxy", "events"),
            *("exporter otlp", "clock", "versions"),
        }
        assert found.only("daemon") == ("ok", f"running as pid {daemon.pid}", "")
        marks, taken, delivered = found.of("exporter otlp")
        assert marks[:2] == ("note", f"the receiver at {receiver.endpoint}/v1/logs accepts no logs: it gets no marks")
        assert marks[2].endswith("run the daemon with OTEL_LOGS_EXPORTER=none")
        assert taken[1].startswith(f"takes metrics at {receiver.endpoint}/v1/metrics, traces at ")
        assert delivered[1].endswith("; 0 pending")
        daemon.wait_until(lambda: receiver.counted() == 105)
        daemon.stop()


def test_nothing_is_written_and_no_file_is_made(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(lines(0, 100))
    daemon.once()
    for end in ("-wal", "-shm"):
        assert not Path(f"{daemon.db}{end}").exists(), "the daemon has left none, or the test says nothing"
    before = contents(tmp_path)
    found = doctor(daemon)
    assert contents(tmp_path) == before
    assert [check["area"] for check in found.bad()] == ["daemon"]
    assert found.only("daemon") == ("warn", "no daemon has this store: nothing is followed now", START)
    assert found.code == 0


def test_the_first_line_has_the_versions_that_a_report_of_a_fault_needs(tmp_path: Path) -> None:
    first = doctor(Daemon(tmp_path)).checks[0]
    python, sqlite = platform.python_version(), sqlite3.sqlite_version
    own = f"otel-logtail {version('otel-logtail')}, Python {python}, SQLite {sqlite}, {platform.system()} "
    assert (first["level"], first["area"], first["what"].startswith(own)) == ("ok", "versions", True)


def test_without_the_daemons_options_it_checks_the_sources_in_the_store(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(lines(0, 100))
    daemon.once()
    command = [*daemon.command()[:3], "doctor", "--db", str(daemon.db)]
    done = subprocess.run(
        command, env=daemon.environ(), capture_output=True, text=True, timeout=bound_s(60), check=True
    )
    rows = done.stdout.splitlines()
    assert f"ok    logs of headroom-proxy: {daemon.log}: 100 samples in the last" in done.stdout
    told = " ".join(done.stdout.split())
    assert f"warn daemon: no daemon has this store: nothing is followed now – {START}" in told
    assert all(row.startswith(("ok    ", "warn  ", "FAIL  ")) for row in rows)


def test_a_configuration_is_checked_source_by_source(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(lines(0, 100))
    file = tmp_path / "x.toml"
    file.write_text(
        'db = "store.db"\n[source.a]\nobserver = "headroom"\npaths = ["logs/*.log"]\n'
        '[source.b]\nobserver = "headroom"\npaths = ["nowhere/*.log"]\n[exporter.jsonl]\nfile = "out.jsonl"\n'
    )
    command = [*daemon.command()[:3], "doctor", "--config", str(file), "--format", "json"]
    done = subprocess.run(
        command, env=daemon.environ(), capture_output=True, text=True, timeout=bound_s(60), check=False
    )
    found = Found(done.returncode, json.loads(done.stdout))
    assert found.only("logs of a")[0] == "ok"
    assert found.only("logs of b")[:2] == ("FAIL", f"no file matches {tmp_path}/nowhere/*.log")
    assert found.only("exporter jsonl") == ("ok", f"{tmp_path}/out.jsonl can be written", "")
    assert found.only("store")[:2] == ("warn", f"no store at {tmp_path}/store.db yet")
    assert found.code == 1


# --- logs -------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_missing_and_one_that_may_not_be_read(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    assert doctor(daemon).only("logs of headroom-proxy")[:2] == ("FAIL", f"no file matches {daemon.log}")
    daemon.write(lines(0, 1))
    daemon.log.chmod(0)
    assert doctor(daemon, as_a_user=True).only("logs of headroom-proxy")[:2] == (
        "FAIL",
        f"{daemon.log} can't be read: Permission denied",
    )


START = "sudo systemctl start otel-logtail, or run otel-logtail with its options"


def make_older(daemon: Daemon, *, days: int) -> None:
    """Let the problems of lines have happened earlier."""
    with closing(sqlite3.connect(daemon.db)) as connection, connection:
        changed = connection.execute(
            "UPDATE meta SET value = value - ? WHERE key GLOB 'problem *'", (days * 86_400 * 10**9,)
        )
        assert changed.rowcount


def test_the_sources_in_the_store_are_read_with_their_options(tmp_path: Path) -> None:
    log, db = tmp_path / "gc.log", tmp_path / "s.db"
    lines_ = (CAPTURES / "jvm" / "g1-utctime.log").read_text().splitlines(keepends=True)
    log.write_text("".join(text for text in lines_ if "Safepoint" not in text))
    words = ("--observer", "jvm", "--jvm-measure", "pauses", "--path", log, "--db", db, "--framing", "none")
    told = run(*words, "--once", home=tmp_path).stderr
    assert (samples := re.search(r"read (\d+) new samples", told)) and int(samples[1]) > 0, told
    done = run("doctor", "--db", db, "--format", "json", home=tmp_path)
    (found,) = [check for check in json.loads(done.stdout) if check["area"].startswith("logs of ")]
    assert (found["level"], found["what"].split(" in the last")[0]) == ("ok", f"{log}: {samples[1]} samples")


def test_drift_fails_with_the_lines_offset_and_the_reason(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(lines(0, 50))
    offset = daemon.log.stat().st_size
    daemon.write(lines(50, 53).replace(b'"stages": {', b'"stages": [').replace(b"}}", b"]}"), lines(53, 60))
    found = doctor(daemon)
    level, what, todo = found.only("logs of headroom-proxy")
    assert level == "FAIL"
    assert what.startswith(f"{daemon.log} at byte {offset}: ")
    assert "(3 such lines in " in what
    assert "look for a newer otel-logtail" in todo
    daemon.once()
    level, what, _ = doctor(daemon).of("source headroom-proxy")[0]
    assert level == "warn"
    assert re.fullmatch(r"3 lines could not be read since the store was created, the last one \d+ (s|min) ago", what)
    make_older(daemon, days=6)
    assert doctor(daemon).of("source headroom-proxy")[0][0] == "warn"
    make_older(daemon, days=2)
    level, what, _ = doctor(daemon).of("source headroom-proxy")[0]
    assert (level, what) == ("note", "3 lines could not be read since the store was created, the last one 8 d ago")


def test_rejected_lines_are_listed_by_reason_and_unknown_stages_too(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    shutil.copy(CAPTURES / "0.42.0-invalid.log", daemon.log)
    daemon.once()
    found = doctor(daemon)
    reasons = dict(daemon.rejected())
    expected = ", ".join(f"{count} as {reason}" for reason, count in sorted(reasons.items()))
    assert reasons
    assert found.only("logs of headroom-proxy")[0] == "warn"
    assert found.only("logs of headroom-proxy")[1].endswith(f"; rejected: {expected}")
    level, what, _ = found.only("source headroom-proxy")
    assert (level, what.rpartition(" the last one ")[0]) == (
        "warn",
        f"rejected {expected} since the store was created,",
    )

    shutil.rmtree(daemon.log.parent)
    daemon.log.parent.mkdir()
    strange = line(1).replace(b'"read_request_json": null', b'"brand_new_stage": 1.5')
    daemon.write(strange)
    level, what, _ = doctor(daemon).only("logs of headroom-proxy")
    assert (level, what.rpartition("; ")[2]) == ("warn", "1 have stages that have no name here")
    daemon.once()
    assert "1 samples have stages that have no name here" in [
        w for _, w, _ in doctor(daemon).of("source headroom-proxy")
    ]


def test_a_log_of_another_program_and_one_that_is_ahead_of_the_clock(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(b"GET / 200\n" * 100)
    level, what, _ = doctor(daemon).only("logs of headroom-proxy")
    assert (level, what.partition(" in ")[0]) == ("warn", f"{daemon.log}: no sample")
    daemon.write(line(1, at=datetime.now(timezone.utc) + timedelta(hours=1)))
    level, what, todo = doctor(daemon).only("logs of headroom-proxy")
    assert level == "warn"
    assert "min ahead of this machine's clock" in what
    assert "--timezone" in todo


def test_of_a_large_file_the_end_is_read(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(lines(0, 1).replace(b'"stages": {', b'"stages": [').replace(b"}}", b"]}"))
    daemon.write(lines(1, 40_000))
    assert daemon.log.stat().st_size > 9 << 20
    level, what, _ = doctor(daemon).only("logs of headroom-proxy")
    assert level == "ok"
    assert " in the last 8.0 MiB, " in what


# --- store and machine ------------------------------------------------------------------------------------------------


def test_a_damaged_store_one_that_is_open_to_others_and_one_of_a_newer_program(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(lines(0, 5000))
    daemon.once()
    daemon.db.chmod(0o644)
    assert ("warn", f"{daemon.db} is open to others (mode 644)", f"chmod 600 {daemon.db}") in doctor(daemon).of("store")
    daemon.db.chmod(0o600)
    good = daemon.db.read_bytes()
    with daemon.db.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 40_000)
    level, what, todo = doctor(daemon).only("store")
    assert level == "FAIL"
    assert "damage" in what
    assert todo
    daemon.db.write_bytes(good)
    with closing(sqlite3.connect(daemon.db)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("PRAGMA journal_mode = DELETE")
    level, what, todo = doctor(daemon).only("store")
    assert level == "FAIL"
    assert "schema version 99" in what


def test_a_disk_without_room_fails(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4096) as disk:
        daemon = Daemon(tmp_path)
        daemon.db = disk / "store.db"
        daemon.write(lines(0, 1))
        daemon.once()
        fill(disk)
        level, what, todo = doctor(daemon).only("disk")
        assert (level, what) == ("FAIL", f"0 B free in {disk}")
        assert "free some space" in todo


def test_machine_without_watches_is_reported(tmp_path: Path) -> None:
    alone = ("unshare", "--user", "--map-root-user")
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace here, in which watches could be used up for one process alone")
    none_left = 'echo 0 >/proc/sys/user/max_inotify_instances && exec "$@"'
    daemon = Daemon(tmp_path)
    daemon.write(lines(0, 1))
    level, what, todo = doctor(daemon, runner=(*alone, "sh", "-c", none_left, "sh")).only("events")
    assert level == "warn"
    assert what.startswith("no file system events: ")
    assert "max_user_instances" in what
    assert "every second instead" in todo


def test_a_file_that_is_mounted_alone_is_reported(tmp_path: Path) -> None:
    alone = ("unshare", "--user", "--map-root-user", "--mount")
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace here, in which a file could be mounted")
    daemon = Daemon(tmp_path)
    daemon.write(lines(0, 1))
    mounting = f'mount --bind "{daemon.log}" "{daemon.log}" && exec "$@"'
    found = doctor(daemon, runner=(*alone, "sh", "-c", mounting, "sh")).of("logs of headroom-proxy")
    assert found[1] == (
        "warn",
        f"{daemon.log} is mounted alone: after a rotation by rename, the new file is not seen",
        f"mount its directory: docker run -v {daemon.log.parent}:{daemon.log.parent}:ro",
    )
    assert len(doctor(daemon).of("logs of headroom-proxy")) == 1


# --- exporters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_missing_receiver_and_one_that_requires_credentials(tmp_path: Path, protocol: str) -> None:
    port = free_port()
    daemon = Daemon(tmp_path, *flags(protocol), endpoint=f"http://127.0.0.1:{port}")
    daemon.write(lines(0, 10, ms=SLOW_MS))
    metrics, traces = doctor(daemon).of("exporter otlp")
    assert metrics[0] == traces[0] == "FAIL"
    assert str(port) in metrics[1]
    daemon.once(code=1)
    *_, kept = doctor(daemon).of("exporter otlp")
    assert kept[0] == "warn"
    assert kept[1].startswith("0 delivered, last never; ")
    assert "last error: " in kept[1]
    assert kept[2] == "everything is kept and tried again once a daemon runs"
    with receiving(protocol) as receiver:
        daemon = Daemon(tmp_path, *flags(protocol), endpoint=receiver.endpoint)
        receiver.judge = lambda request: Fail(401, "UNAUTHENTICATED")
        # the receiver takes the empty request of metrics for one of health, and judges it not
        traces, marks, metrics, _ = doctor(daemon).of("exporter otlp")
        assert marks[0] == "note"
        assert (traces[0], metrics[0]) == ("FAIL", "ok")
        assert "set OTEL_EXPORTER_OTLP_HEADERS" in traces[1]


@pytest.mark.parametrize(
    ("said", "what", "todo"),
    [
        ({"pending": 3, "last_error": "down"}, "3 pending; last error: down", "everything is kept and tried again"),
        ({"refused": 1, "quarantined": 1, "last_error": "no"}, "; 1 quarantined; last error: no", "otel-logtail r"),
        (
            {"refused": 2, "last_error": "rejected 2 spans"},
            "last error: rejected 2 spans",
            "nothing is pending",
        ),
        ({"refused": 2}, "; 2 refused since the store was created", ""),
    ],
)
def test_data_that_is_not_sent_again_is_not_called_kept(said: dict[str, object], what: str, todo: str) -> None:
    nothing = {"name": "x", "delivered": 5, "pending": 0, "refused": 0, "quarantined": 0, "dropped": []}
    check = check_deliveries({**nothing, "last_success": None, "last_error": None, **said}, 0, running=True)
    assert check.what.endswith(what)
    assert check.todo.startswith(todo)
    assert bool(check.todo) == bool(todo)


def test_the_real_collector_accepts_the_empty_request_without_data(tmp_path: Path) -> None:
    folder = tmp_path / "collector"
    folder.mkdir()
    with Collector(find_collector(), folder) as collector:
        for endpoint, protocol in ((collector.http_endpoint, "http"), (collector.grpc_endpoint, "grpc")):
            daemon = Daemon(tmp_path, *flags(protocol), "--events", "both", endpoint=endpoint)
            daemon.write(lines(0, 1))
            level, what, _ = doctor(daemon).only("exporter otlp")
            assert level == "ok", what
            assert all(signal in what for signal in ("metrics", "traces", "logs"))
        collector.stop()
        assert collector.lines() == []


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_collector_without_a_pipeline_for_a_signal(tmp_path: Path, protocol: str) -> None:
    folder = tmp_path / "collector"
    folder.mkdir()
    pipeline = "    traces:\n      receivers: [otlp]\n      processors: [memory_limiter]\n      exporters: [file]\n"
    text = (CONFIGS / "collector.yaml").read_text()
    assert pipeline in text
    config = tmp_path / "without-traces.yaml"
    config.write_text(text.replace(pipeline, ""))
    with Collector(find_collector(), folder, str(config)) as collector:
        endpoint = collector.http_endpoint if protocol == "http" else collector.grpc_endpoint
        daemon = Daemon(tmp_path, *flags(protocol), endpoint=endpoint)
        daemon.write(lines(0, 1))
        found = doctor(daemon).of("exporter otlp")
    (traces,) = [each for each in found if "accepts no traces" in each[1]]
    assert traces[0] == "FAIL"
    assert "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}" in traces[2]
    assert traces[2].endswith("run the daemon with OTEL_TRACES_EXPORTER=none")
    (taken,) = [each[1] for each in found if each[0] == "ok"]
    assert taken.startswith("takes metrics")


@pytest.mark.parametrize("window", ["", "30m"])
def test_a_prometheus_without_an_out_of_order_window(tmp_path: Path, window: str) -> None:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    config = f"storage: {{tsdb: {{out_of_order_time_window: {window}}}}}\n" if window else ""
    with Prometheus(find_prometheus(), folder, "--web.enable-otlp-receiver", config=config) as prometheus:
        daemon = Daemon(tmp_path, endpoint=f"{prometheus.url}/api/v1/otlp", OTEL_TRACES_EXPORTER="none")
        daemon.write(lines(0, 1))
        found = [each for each in doctor(daemon).of("exporter otlp") if "Prometheus" in each[1]]
    if window:
        assert found == [("ok", "Prometheus accepts data that is up to 30 min late", "")]
    else:
        ((level, what, todo),) = found
        assert (level, what.split(":")[0]) == ("warn", "Prometheus has no out-of-order window")
        assert todo.endswith("storage: {tsdb: {out_of_order_time_window: 1d}}")


def test_a_disabled_signal_is_not_checked(tmp_path: Path) -> None:
    with receiving("http") as receiver:
        without = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
        daemon = Daemon(tmp_path, endpoint=receiver.endpoint, **without)
        daemon.write(lines(0, 1))
        assert doctor(daemon).only("exporter otlp") == ("ok", f"takes metrics at {receiver.endpoint}/v1/metrics", "")


@contextmanager
def server_whose_clock_is(ahead: timedelta) -> Iterator[str]:
    """A receiver that takes everything, with another time of day."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((datetime.now(timezone.utc) + ahead).timestamp())

        def log_message(self, *_: object) -> None:
            """Nothing: pytest's output is for failures."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_clock_that_differs_from_the_receivers_is_reported(tmp_path: Path) -> None:
    with server_whose_clock_is(timedelta(minutes=10)) as endpoint:
        daemon = Daemon(tmp_path, endpoint=endpoint)
        daemon.write(lines(0, 1))
        found = doctor(daemon).only("clock")
    assert found == ("warn", "this machine's clock is 10 min behind the receiver's", "let both keep the time (NTP)")


def test_each_other_exporter_checks_its_destination(tmp_path: Path) -> None:
    port, gone = free_port(), tmp_path / "gone" / "out.jsonl"
    names = [part for name in ("hex", "hex-telemetry", "prometheus", "jsonl") for part in ("--exporter", name)]
    with Engine() as engine:
        well = Daemon(
            tmp_path,
            *(*names, "--hex-url", engine.url, "--hex-db", tmp_path / "hex.db"),
            *("--prometheus-port", port, "--jsonl-file", tmp_path / "out.jsonl"),
        )
        (tmp_path / "hex.db").touch()
        well.write(lines(0, 1))
        found = doctor(well)
        assert {n: found.only(f"exporter {n}")[0] for n in names[1::2]} == dict.fromkeys(names[1::2], "ok")
    ill = Daemon(
        tmp_path,
        *(*names, "--hex-url", f"ws://127.0.0.1:{free_port()}", "--hex-db", tmp_path / "no.db"),
        *("--prometheus-port", "no port", "--jsonl-file", gone),
    )
    found = doctor(ill)
    assert {n: found.only(f"exporter {n}")[0] for n in names[1::2]} == dict.fromkeys(names[1::2], "FAIL")
    assert (
        found.only("exporter prometheus")[1] == "invalid --prometheus-port 'no port': expected a number from 1 to 65535"
    )


def test_a_scrape_endpoint_of_a_running_daemon_is_scraped(tmp_path: Path) -> None:
    port = free_port()
    with Daemon(tmp_path, "--exporter", "prometheus", "--prometheus-port", port) as daemon:
        daemon.write(lines(0, 1))
        daemon.start()
        scraped, _ = doctor(daemon).of("exporter prometheus")
        assert scraped == ("ok", f"http://127.0.0.1:{port}/metrics can be scraped", "")
        daemon.stop()


def test_too_few_descriptors_have_a_fix_for_the_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (64, 1024))
    (found,) = [check for check in check_machine((), 1000) if check.area == "descriptors"]
    assert (found.level, found.what) == ("warn", "1000 files are to be followed, and a process may open 1024")
    assert found.todo == "LimitNOFILE=1100 in the systemd unit, or docker run --ulimit nofile=1100"
