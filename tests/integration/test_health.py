"""The daemon's own numbers: true, and as such at a real collector."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.model import HealthValue, Stream
from otel_logtail.store.health import health, size_on_disk
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from tests.support import lines as headroom
from tests.support.collector import Collector, ReceivedPoint, find_collector
from tests.support.daemon import Daemon
from tests.support.pieces import NOON, Piece, line, opened
from tests.support.tailing import append_bytes


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store.db") as store:
        yield store


def numbers(path: Path) -> dict[tuple[str, str, str], HealthValue]:
    """By name, source, and the values of the attributes."""
    with closing(sqlite3.connect(path)) as conn:
        record = health(conn, path, NOON)
    found = {
        (v.name.removeprefix("otel_logtail."), v.source, ",".join(str(value) for _, value in v.attributes)): v
        for v in record.values
    }
    assert len(found) == len(record.values)
    return found


def test_the_numbers_are_those_of_the_store(store: Store, tmp_path: Path) -> None:
    piece = Piece(store)
    data = line(0, 0.1) + line(1, 1.0) + b"fake: ignore\nfake: what\nfake: reject=absurd\nfake: reject=absurd\n"
    piece.commit(data, seal_s=20)
    found = {key: value.value for key, value in numbers(store.path).items()}
    source = "fake-source"
    size = found.pop(("store.size", "", ""))
    assert size == size_on_disk(store.path) > 4096
    assert found == {
        ("bytes", source, ""): len(data),
        ("samples", source, ""): 2,
        ("ignored", source, ""): 1,
        ("drift", source, ""): 1,
        ("oversized", source, ""): 0,
        ("rejected", source, "absurd"): 2,
        ("behind", source, ""): 0,
        ("threshold", source, "degraded"): 0.5,
        ("threshold", source, "stall"): 2.0,
    }


def test_what_is_still_to_be_read_is_what_the_file_has_grown_by(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "fake.log"
    log.write_bytes(b"x" * 1000)
    Piece(store, live=str(log))
    with closing(sqlite3.connect(store.path)) as conn, conn:
        stat = log.stat()
        conn.execute("UPDATE file SET device = ?, inode = ?, offset = 300, size = 700", (stat.st_dev, stat.st_ino))
    assert numbers(store.path)["behind", "fake-source", ""].value == 700
    log.rename(tmp_path / "elsewhere")
    assert numbers(store.path)["behind", "fake-source", ""].value == 400  # as at the last check
    log.write_bytes(b"another file")
    assert numbers(store.path)["behind", "fake-source", ""].value == 400


def test_exporters_are_told_apart_and_what_they_lack_is_counted(store: Store) -> None:
    piece = Piece(store)
    piece.commit(line(0, 1.0), seal_s=20)
    one, other = Outbox.open(store.path, "one"), Outbox.open(store.path, "other")
    for outbox in (one, other):
        outbox.register(Stream, NOON)
    intervals = one.read(Stream.INTERVALS, 100)
    assert intervals is not None
    everything = len(intervals.items)
    one.advance(intervals, everything, NOON)
    number = sum(item.id > 0 for item in intervals.items)  # zero points and repeats are not items
    breaches = one.read(Stream.BREACHES, 100)
    assert breaches is not None
    one.set_aside(breaches, "never", NOON, held=True)
    other.failed("down", NOON)
    other.failed("down", NOON)
    other.advance(breaches, 1, NOON, skipped=1)  # too old for it
    one.close()
    other.close()

    def told() -> dict[tuple[str, str], float]:
        return {
            (name, whose): value.value
            for (name, source, whose), value in numbers(store.path).items()
            if whose and not source and value.kind != "histogram"
        }

    assert told() == {
        ("exporter.pending", "one"): 0,
        ("otel.sdk.exporter.metric_data_point.exported", "one"): everything,
        ("otel.sdk.exporter.log.exported", "refused,one"): 1,
        ("exporter.failures", "one"): 0,
        ("exporter.quarantined", "one"): 1,
        ("exporter.skipped", "one"): 0,
        ("exporter.pending", "other"): number,
        ("exporter.failures", "other"): 2,
        ("exporter.quarantined", "other"): 0,
        ("exporter.skipped", "other"): 1,
    }
    store.maintenance(Limits(max_bytes=1), ["one", "other"]).run()
    assert told()["exporter.pending", "other"] == 0
    dropped = {whose: value for (name, whose), value in told().items() if name == "dropped"}
    assert dropped == {"other,intervals": number}


def test_counters_and_current_values_are_sent_as_such(store: Store) -> None:
    piece = Piece(store)
    piece.commit(line(0, 1.0) + b"fake: reject=absurd\n", seal_s=20)
    kinds = {name: value.kind for (name, _, _), value in numbers(store.path).items() if value.kind != "counter"}
    assert kinds == {"behind": "gauge", "threshold": "gauge", "store.size": "updowncounter"}


def test_at_a_real_collector_the_numbers_are_those_of_the_store(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy-8787.log", tmp_path / "store.db"
    append_bytes(log, headroom.lines(0, 50) + headroom.lines(50, 60, ms=600) + b"x" * 100)
    (tmp_path / "collector").mkdir()
    with Collector(find_collector(), tmp_path / "collector") as collector:
        with Daemon(
            tmp_path, "--from-start", "--otlp-endpoint", collector.http_endpoint, db=db, log=log
        ).launch() as daemon:
            daemon.wait_until(lambda: daemon.run("status", "--db", db).returncode == 0)
            daemon.wait_until(lambda: collector.spans())
            daemon.stop()  # the last values are sent at the exit
        status = daemon.ask("status")
        collector.stop()
        last: dict[str, ReceivedPoint] = {}
        for point in collector.health():
            last[point.name.removeprefix("otel_logtail.")] = point
    (source,), (exporter,) = status["sources"], status["exporters"]
    assert source["samples"] == 60
    told = {name: point.value for name, point in last.items()}
    assert {name: told[name] for name in ("bytes", "samples", "ignored", "drift", "oversized")} == {
        name: source[name] for name in ("bytes", "samples", "ignored", "drift", "oversized")
    }
    assert told["behind"] == 100
    assert told["exporter.pending"] == exporter["pending"] == 0
    points = len(collector.metrics()) + len(collector.maxima())
    assert told["otel.sdk.exporter.metric_data_point.exported"] == points > 0
    assert told["otel.sdk.exporter.span.exported"] == len(collector.spans()) == 1
    assert last["otel.sdk.exporter.span.exported"].attributes == {
        "otel.component.name": "otlp",
        "otel.component.type": "otlp_http_span_exporter",
        "server.address": "127.0.0.1",
        "server.port": int(collector.http_endpoint.rpartition(":")[2]),
    }
    assert 1 <= told["otel.sdk.exporter.operation.duration"] < 100
    assert told["store.size"] > 4096
    assert (last["threshold"].attributes, last["threshold"].raw["asDouble"]) == ({"severity": "stall"}, 2.0)
    for name, point in last.items():
        gauge = name in ("threshold", "behind")
        falls = name in ("store.size", "exporter.pending", "exporter.quarantined")
        kind = "gauge" if gauge else "histogram" if name.endswith("operation.duration") else "sum"
        sums = not falls and kind == "sum"
        assert (point.kind, point.monotonic, point.temporality) == (kind, sums, 0 if gauge else 2)
        own = name.startswith(("exporter", "store", "otel.sdk"))
        assert point.resource["service.name"] == ("otel-logtail" if own else "headroom-proxy")
        assert point.resource["service.instance.id"]
        # of a source it is of now, and its intervals are of the log's time: no attribute that makes a target_info
        assert ("host.name" in point.resource, len(point.resource)) == ((True, 4) if own else (False, 2))
        assert (point.start_ns > 0) is not gauge
    assert last["exporter.pending"].attributes == {"otel.component.name": "otlp"}
    assert "dropped" not in told
    assert "rejected" not in told
