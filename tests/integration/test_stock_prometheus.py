"""A Prometheus as it comes, without an ``out_of_order_time_window``: it takes every request, and its totals are right.

It rejects data that is older than the last sample of a series, and with it the whole request; also if that series is
``target_info``, which it creates from a request's resource. Within one request it silently drops such a sample.
"""

from __future__ import annotations

import io
import random
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from otel_logtail import counts
from otel_logtail.delivery.sender import Drain
from otel_logtail.engine.hits import Thresholds
from otel_logtail.environment import DETECTORS
from otel_logtail.events import Reporter
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.exporters.detectors import detect
from otel_logtail.exporters.otlp.exporter import make
from otel_logtail.model import Delivered, Retry, Stream
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from tests.support import pieces
from tests.support.pieces import INTERVAL, SECOND, THRESHOLDS, Piece, line
from tests.support.prometheus import Prometheus, find_prometheus
from tests.support.said import Said
from tests.support.waiting import bound_s

COUNT = "log_overhead_duration_seconds_count"
OUT_OF_ORDER = "prometheus_tsdb_out_of_order_samples_total"


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with Prometheus(find_prometheus(), folder, "--web.enable-otlp-receiver", config="") as running:
        yield running


@pytest.fixture
def now_ns(monkeypatch: pytest.MonkeyPatch) -> int:
    """The machine's clock; seconds of lines and seals are from an hour before it on."""
    now_ns = time.time_ns() // INTERVAL * INTERVAL
    monkeypatch.setattr(pieces, "NOON", now_ns - 3600 * SECOND)
    return now_ns


class Daemon:
    """A daemon's actions, step by step and without waiting: commits, closing, sending, and sometimes its health."""

    def __init__(
        self,
        folder: Path,
        prometheus: Prometheus,
        *,
        thresholds: Thresholds = THRESHOLDS,
        detected: Mapping[str, object] | None = None,
        **options: str,
    ) -> None:
        self.stack = ExitStack()
        self.store = Store.open(folder / "store.db")
        self.stack.callback(self.store.close)
        self.piece = Piece(self.store, thresholds=thresholds)
        environ = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{prometheus.url}/api/v1/otlp/v1/metrics",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
        }
        self.exporter: Exporter = make(
            ExporterContext(environ, options, host="box", version="1", detected=detected or {})
        )
        self.stack.callback(self.exporter.close)
        self.outbox = Outbox.open(self.store.path, self.exporter.name)
        self.stack.callback(self.outbox.close)
        self.outbox.register(self.exporter.wants, time.time_ns(), form=self.exporter.form)

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def send(self, limit: int = 100) -> None:
        """Send what waits: each batch is taken whole."""
        while (batch := self.outbox.read(Stream.INTERVALS, limit)) is not None:
            assert self.exporter.export(batch) == Delivered()
            self.outbox.advance(batch, len(batch.items), time.time_ns())

    def send_health(self, now_ns: int) -> None:
        assert self.exporter.export(self.outbox.health(now_ns)) == Delivered()


def write(daemon: Daemon, seconds: Sequence[float], rng: random.Random, late_s: Sequence[float]) -> int:
    """Lines at these seconds, of samples that ended up to so much earlier; returns how many breaches there are."""
    breaches = 0
    for second in seconds:
        duration_s = rng.choice([0.6, 0.9, 2.5]) if rng.random() < 0.12 else rng.choice([0.001, 0.003, 0.02])
        breaches += duration_s >= 0.5
        text = line(second - rng.choice(late_s), duration_s, logged=second, key=rng.choice(["", "a", "b"]))
        daemon.piece.commit(text, seal_s=second - 0.25)
        daemon.send()
    return breaches


def total(prometheus: Prometheus, query: str, at_ns: int) -> float:
    return sum(prometheus.instant(query, at_ns / SECOND).values())


def grown(prometheus: Prometheus, metric: str, now_ns: int) -> float:
    """Return the growth of a counter, from its raw samples; growth before a reset counts, too."""
    data = prometheus.get("query", query=f"{metric}[2h]", time=now_ns / SECOND)
    grown = 0.0
    for entry in data["result"]:
        values = [float(value) for _, value in entry["values"]]
        assert values[0] == 0
        grown += sum(new - old if new >= old else new for old, new in pairwise(values))
    return grown


def resets(prometheus: Prometheus, now_ns: int) -> set[float]:
    """Return how often the counts of each series were reset."""
    return set(prometheus.instant(f"resets({COUNT}[2h])", now_ns / SECOND).values())


def test_a_minute_with_late_lines_and_breaches_is_taken_whole(
    tmp_path: Path, prometheus: Prometheus, now_ns: int
) -> None:
    rng = random.Random(5)  # noqa: S311 - not for secrets
    seconds = [3450 + n / 10 for n in range(600)]
    breaches = 0
    with Daemon(tmp_path, prometheus) as daemon:
        for half in (seconds[:300], seconds[300:]):
            daemon.send_health(time.time_ns())
            breaches += write(daemon, half, rng, [0, 0, 0, 3, 12, 40])
        daemon.piece.seal(3530)
        daemon.send()
        daemon.send_health(time.time_ns())
    assert total(prometheus, COUNT, now_ns) == grown(prometheus, COUNT, now_ns) == 600
    assert total(prometheus, "log_overhead_breaches_total", now_ns) == breaches > 50
    assert prometheus.own(OUT_OF_ORDER) == 0
    exemplars = prometheus.get(
        "query_exemplars",
        query="log_overhead_duration_seconds_bucket",
        start=now_ns / SECOND - 3600,
        end=now_ns / SECOND,
    )
    assert sum(len(entry["exemplars"]) for entry in exemplars) > 10
    (info,) = [
        labels for labels in prometheus.instant("target_info", now_ns / SECOND) if ("job", "fake-source") in labels
    ]
    assert dict(info)["host_name"] == "box"
    assert dict(info)["deployment_environment"] == "test"


def test_with_detectors_a_restart_continues_the_series_and_an_upgrade_of_the_system_is_a_reset(
    tmp_path: Path, prometheus: Prometheus, now_ns: int
) -> None:
    rng = random.Random(10)  # noqa: S311 - not for secrets
    found = detect({DETECTORS: "host,os,process"}, Reporter(io.StringIO()))
    assert {"host.arch", "os.type", "process.pid"} <= found.keys()
    lives = [found, {**found, "process.pid": 2}, {**found, "process.pid": 3, "os.version": "newer"}]
    for life, detected in enumerate(lives):
        with Daemon(tmp_path, prometheus, detected=detected) as daemon:
            daemon.send_health(time.time_ns())
            write(daemon, [3400 + life * 30 + n / 4 for n in range(100)], rng, [0, 0, 8])
            if life < 2:
                assert resets(prometheus, now_ns) <= {0.0}, "another process id is not another series"
            daemon.send_health(time.time_ns())
    with Daemon(tmp_path, prometheus, detected=lives[-1]) as daemon:
        daemon.piece.seal(3540)
        daemon.send()
    assert grown(prometheus, COUNT, now_ns) == 300
    assert max(resets(prometheus, now_ns)) == 1
    assert prometheus.own(OUT_OF_ORDER) == 0
    infos = [dict(labels) for labels in prometheus.instant("target_info", time.time())]
    ours = {info["process_pid"]: info for info in infos if info["job"] == "otel-logtail"}
    assert ours.keys() == {str(found["process.pid"]), "2", "3"}
    assert ours["3"]["host_arch"] == found["host.arch"]
    of_the_program = [info for info in infos if info["job"] == "fake-source"]
    assert {info["os_version"] for info in of_the_program} <= {found["os.version"], "newer"}
    assert [name for info in of_the_program for name in info if name.startswith("process_")] == []
    assert {info["deployment_environment"] for info in infos} == {"test"}


def test_a_backlog_is_taken_whole(tmp_path: Path, prometheus: Prometheus, now_ns: int) -> None:
    rng = random.Random(6)  # noqa: S311 - not for secrets
    with Daemon(tmp_path, prometheus) as daemon:
        for n in range(900):
            second = 700 + 3 * n + rng.choice([0, 0, 200])
            duration_s = rng.choice([0.001, 0.02, 0.02, 0.7])
            text = line(second - rng.choice([0, 0, 250]), duration_s, logged=second, key=rng.choice(["", "a", "b"]))
            daemon.piece.commit(text, seal_s=400 + 3 * n)
            if n % 300 == 299:
                daemon.send(600)
        daemon.piece.seal(3600)
        daemon.send(600)
        daemon.send_health(time.time_ns())
    assert total(prometheus, COUNT, now_ns) == grown(prometheus, COUNT, now_ns) == 900
    assert prometheus.own(OUT_OF_ORDER) == 0


def test_a_batch_that_it_has_already_is_refused_and_nothing_waits_or_is_quarantined(
    tmp_path: Path, prometheus: Prometheus, now_ns: int
) -> None:
    """The process was killed before the cursor moved; now more intervals follow."""
    with Daemon(tmp_path, prometheus) as daemon:
        for life in range(2):
            daemon.piece.commit(
                b"".join(line(3000 + 10 * n + 300 * life, 0.02) for n in range(30)), seal_s=3300 + 300 * life
            )
            if not life:
                batch = daemon.outbox.read(Stream.INTERVALS, 300)
                assert batch is not None
                assert daemon.exporter.export(batch) == Delivered()
        outbox, said = Outbox.open(daemon.store.path, daemon.exporter.name), Said()
        outbox.register(daemon.exporter.wants, time.time_ns(), form=daemon.exporter.form)
        drain = Drain(daemon.exporter, outbox, Reporter(said, clock_s=lambda: 0.0))
        drain.start()
        drain.stop(bound_s(60))
        drain.join()
        assert (daemon.outbox.pending(), daemon.outbox.on_trial.any()) == (0, False)
    assert total(prometheus, COUNT, now_ns) == grown(prometheus, COUNT, now_ns) == 60
    assert "out of order sample" in said.getvalue()


@pytest.mark.parametrize("size", [1, 100])
def test_other_thresholds_and_back_are_resets_that_count_once(
    tmp_path: Path, prometheus: Prometheus, now_ns: int, size: int
) -> None:
    rng = random.Random(7)  # noqa: S311 - not for secrets
    for life, of_life in enumerate([(500, 2000), (700, 3000), (500, 2000), (500, 2500), (500, 2000)]):
        thresholds = Thresholds(*(ms * 1_000_000 for ms in of_life))
        with Daemon(tmp_path, prometheus, thresholds=thresholds) as daemon:
            write(daemon, [3400 + life * 25 + n / 4 for n in range(100)], rng, [0, 0, 8, 35])
    with Daemon(tmp_path, prometheus) as daemon:
        daemon.piece.seal(3540)
        daemon.send(size)
    assert grown(prometheus, COUNT, now_ns) == 500
    assert min(resets(prometheus, now_ns)) >= 4
    assert grown(prometheus, "log_overhead_breaches_total", now_ns) > 30
    assert prometheus.own(OUT_OF_ORDER) == 0


def test_an_upgrade_to_finer_bounds_loses_and_doubles_nothing(
    tmp_path: Path, prometheus: Prometheus, now_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(9)  # noqa: S311 - not for secrets
    finer = counts._LADDER_NS
    earlier = frozenset(ms * 1_000_000 for ms in (1, 2, 5, 10, 20, 50, 100, 1000, 2000, 5000, 10_000, 30_000, 60_000))
    assert earlier < finer
    for life, ladder in enumerate([earlier, finer, finer]):
        monkeypatch.setattr(counts, "_LADDER_NS", ladder)
        # the intervals that are open at the end of a life have counts with both bounds
        with Daemon(tmp_path, prometheus) as daemon:
            write(daemon, [3400 + life * 33 + n / 4 for n in range(120)], rng, [0, 0, 8, 35])
    with Daemon(tmp_path, prometheus) as daemon:
        daemon.piece.seal(3560)
        daemon.send()
    assert grown(prometheus, COUNT, now_ns) == 360
    assert grown(prometheus, 'log_overhead_duration_seconds_bucket{le="+Inf"}', now_ns) == 360
    assert min(resets(prometheus, now_ns)) >= 1
    assert prometheus.own(OUT_OF_ORDER) == 0


def test_another_kind_of_histogram_begins_at_0(tmp_path: Path, prometheus: Prometheus, now_ns: int) -> None:
    rng = random.Random(8)  # noqa: S311 - not for secrets
    for life, kind in enumerate(["explicit", "exponential", "explicit"]):
        with Daemon(tmp_path, prometheus, histogram=kind) as daemon:
            write(daemon, [3450 + life * 30 + n / 4 for n in range(100)], rng, [0])
            daemon.piece.seal(3480 + life * 30)
            daemon.send()
    assert grown(prometheus, COUNT, now_ns) == 200
    assert total(prometheus, "histogram_count(log_overhead_duration_seconds)", now_ns) == 100
    assert prometheus.own(OUT_OF_ORDER) == 0


def test_deltas_are_a_setting_that_it_does_not_accept_and_nothing_is_quarantined(
    tmp_path: Path, prometheus: Prometheus, now_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{prometheus.url}/api/v1/otlp/v1/metrics",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        "OTEL_TRACES_EXPORTER": "none",
    }
    with pieces.opened(tmp_path / "store.db") as store:
        Piece(store).commit(line(1, 0.6) + line(2, 0.1), seal_s=10)
        exporter = make(ExporterContext(environ, {}, host="box", version="1"))
        outbox = Outbox.open(store.path, exporter.name)
        outbox.register(exporter.wants, time.time_ns(), form=exporter.form)
        batch = outbox.read(Stream.INTERVALS, 100)
        assert batch is not None
        answer = exporter.export(batch)
        outbox.close()
        exporter.close()
    assert isinstance(answer, Retry)
    assert not answer.isolate
    assert answer.why.endswith(": set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")


def test_its_success_is_an_empty_answer_without_a_content_type(prometheus: Prometheus) -> None:
    """Its answer counts as delivered: if a later version adds a body, less can be accepted."""
    url = f"{prometheus.url}/api/v1/otlp/v1/metrics"
    request = urllib.request.Request(url, b"", {"Content-Type": "application/x-protobuf"})  # noqa: S310 - http
    with urllib.request.urlopen(request, timeout=bound_s(10)) as response:  # noqa: S310
        assert (response.status, response.headers.get("Content-Type"), response.read()) == (200, None, b"")
