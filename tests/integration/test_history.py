"""After an outage the history is sent: a real Prometheus then shows the log's content, minute by minute."""

from __future__ import annotations

import re
import subprocess
import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.captures import Truth, read_episodes, read_log
from tests.support.collector import Collector, find_collector
from tests.support.forked import ask, run
from tests.support.history import HOUR_S, deliver, write_history
from tests.support.prometheus import Labels, Prometheus, find_prometheus

INTERVAL_NS = 10 * 10**9


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with Prometheus(find_prometheus(), folder) as running:
        yield running


def ended_before(samples: list[Truth], at_s: float) -> list[Truth]:
    """The samples that a point at this time counts: those of the intervals that ended by then."""
    return [s for s in samples if (s.time_ns // INTERVAL_NS + 1) * INTERVAL_NS <= at_s * 1e9]


def check_each_minute(prometheus: Prometheus, log: Path, start_s: int, end_s: int) -> None:
    """Every series at every minute against the log, read here by plain means."""
    samples = read_log(log)
    episodes = read_episodes(samples)
    ends = [(max(s.time_ns for s in e) // INTERVAL_NS + 1) * INTERVAL_NS for e in episodes]
    first_s = samples[0].time_ns // INTERVAL_NS * INTERVAL_NS / 1e9

    def shown(query: str) -> dict[Labels, dict[float, float]]:
        # half a second later: a series that is new among others of one time has its 0 then, and its count just after
        found = prometheus.over(query, start_s + 0.5, end_s + 0.5, 60)
        return {labels: {at - 0.5: value for at, value in values.items()} for labels, values in found.items()}

    assert len(episodes) > 1
    minutes = [float(at) for at in range(start_s, end_s + 1, 60) if at >= first_s]
    assert len(minutes) > 60
    counted = {at: ended_before(samples, at) for at in minutes}

    (count,) = shown("sum(log_overhead_duration_seconds_count)").values()
    assert count == {at: len(found) for at, found in counted.items()}
    (total,) = shown("sum(log_overhead_duration_seconds_sum)").values()
    assert total == pytest.approx({at: sum(s.duration_ns for s in found) / 1e9 for at, found in counted.items()})
    buckets = shown("sum by (le) (log_overhead_duration_seconds_bucket)")
    bounds = sorted(float(dict(labels)["le"]) for labels in buckets)
    for labels, values in buckets.items():
        index = bounds.index(float(dict(labels)["le"]))
        expected = {
            at: sum(bisect_left(bounds, s.duration_ns / 1e9) <= index for s in found) for at, found in counted.items()
        }
        assert values == expected, dict(labels)
    for stage in {stage for s in samples for stage in s.stages}:
        (values,) = shown(f'sum(log_overhead_stage_duration_seconds_count{{stage="{stage}"}})').values()
        truth = {at: sum(stage in s.stages for s in found) for at, found in counted.items()}
        assert values == {at: number for at, number in truth.items() if at in values}, stage
        assert all(number == 0 for at, number in truth.items() if at not in values), "nothing before it began"
    for severity in ("degraded", "stall"):
        found = shown(f'sum(log_overhead_breaches_total{{severity="{severity}"}})')
        truth = {at: sum(s.severity == severity for s in found_) for at, found_ in counted.items()}
        values = next(iter(found.values()), {})
        assert {at: values.get(at, 0) for at in minutes} == truth, severity
    (values,) = shown("sum(log_overhead_episodes_total)").values()
    assert {at: values.get(at, 0) for at in minutes} == {at: sum(end <= at * 1e9 for end in ends) for at in minutes}


def test_history_from_before_the_servers_were_there_is_filled_in(tmp_path: Path, prometheus: Prometheus) -> None:
    end_s = int(time.time()) // HOUR_S * HOUR_S
    log, db, folder = tmp_path / "proxy-8787.log", tmp_path / "store.db", tmp_path / "collector"
    folder.mkdir()
    write_history(log, end_s)
    environ = {"PROMETHEUS_URL": prometheus.url}
    configs = ("collector.yaml", "to-prometheus.yaml")
    with Collector(find_collector(), folder, *configs, environ=environ) as collector:
        follow = ("--observer", "headroom", "--path", log, "--from-start", "--once", "--db", db)
        to = ("--otlp-endpoint", collector.http_endpoint)

        # at first Prometheus is away: the collector doesn't take what it can't hand on, and nothing counts as delivered
        prometheus.stop()
        assert run(*follow, *to, home=tmp_path, check=False).returncode == 1
        (exporter,) = ask(db, "status", home=tmp_path)["exporters"]
        assert exporter["pending"] > 1000
        assert exporter["refused"] == 0

        prometheus.start()
        deliver(lambda: run(*follow, *to, home=tmp_path, check=False))
    (exporter,) = ask(db, "status", home=tmp_path)["exporters"]
    assert (exporter["pending"], exporter["refused"]) == (0, 0)
    check_each_minute(prometheus, log, end_s - 12 * HOUR_S, end_s - HOUR_S // 6)


def test_what_is_sent_again_after_an_unclear_failure_does_no_harm(tmp_path: Path, prometheus: Prometheus) -> None:
    """The same points twice, from the start: a store that was restored from a backup, and has lost what shows it."""
    end_s = int(time.time()) // HOUR_S * HOUR_S
    log, db, folder = tmp_path / "proxy-8787.log", tmp_path / "store.db", tmp_path / "collector"
    folder.mkdir()
    write_history(log, end_s)
    environ = {"PROMETHEUS_URL": prometheus.url}
    configs = ("collector.yaml", "to-prometheus.yaml")
    follow = ("--observer", "headroom", "--path", log, "--from-start", "--once", "--db")
    with Collector(find_collector(), folder, *configs, environ=environ) as collector:
        # the store alone, with counts as a collector gets them
        assert run(*follow, db, "--export-interval", "10s", home=tmp_path).returncode == 0
        before = db.read_bytes()
        to = ("--otlp-endpoint", collector.http_endpoint)
        for _ in range(2):
            for path in (*tmp_path.glob("store.db*"), *tmp_path.glob(".store.db.*.sent")):
                path.unlink()
            db.write_bytes(before)
            deliver(lambda: run(*follow, db, *to, home=tmp_path, check=False))
            (exporter,) = ask(db, "status", home=tmp_path)["exporters"]
            assert (exporter["pending"], exporter["refused"]) == (0, 0)
    check_each_minute(prometheus, log, end_s - 12 * HOUR_S, end_s - HOUR_S // 6)


def test_prometheus_takes_the_history_by_its_own_otlp_endpoint(tmp_path: Path) -> None:
    binary = find_prometheus()
    version = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)", version)
    if found is None or int(found[1]) < 3:
        pytest.skip(f"{binary} is older than 3 and has no OTLP endpoint")
    end_s = int(time.time()) // HOUR_S * HOUR_S
    log, db = tmp_path / "proxy-8787.log", tmp_path / "store.db"
    write_history(log, end_s)
    for name in ("prometheus", "collector"):
        (tmp_path / name).mkdir()
    with (
        Prometheus(binary, tmp_path / "prometheus", "--web.enable-otlp-receiver") as prometheus,
        Collector(find_collector(), tmp_path / "collector") as collector,
    ):
        # metrics go to Prometheus itself, episodes to the collector
        environ = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{prometheus.url}/api/v1/otlp/v1/metrics",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.http_endpoint}/v1/traces",
        }
        follow = ("--observer", "headroom", "--path", log, "--from-start", "--once", "--db", db)
        deliver(lambda: run(*follow, home=tmp_path, check=False, environ=environ))
        (exporter,) = ask(db, "status", home=tmp_path)["exporters"]
        assert (exporter["pending"], exporter["refused"]) == (0, 0)
        check_each_minute(prometheus, log, end_s - 12 * HOUR_S, end_s - HOUR_S // 6)
