"""Every configuration in collector-config with the real collector: validated, and the fleet run with data."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.captures import check_spans, read_episodes, read_log
from tests.support.collector import CONFIGS, Collector, find_collector
from tests.support.forked import ask, run
from tests.support.places import CAPTURES
from tests.support.prometheus import Prometheus, find_prometheus
from tests.support.waiting import bound_s
from tools import replay

LAID_OVER = [
    ("collector.yaml",),
    ("collector.yaml", "to-prometheus.yaml"),
    ("collector.yaml", "to-tempo.yaml"),
    ("collector.yaml", "to-prometheus.yaml", "to-tempo.yaml", "compose-listen.yaml"),
    ("agent.yaml",),
    ("agent.yaml", "agent-kafka.yaml"),
    ("gateway.yaml",),
    ("gateway.yaml", "gateway-kafka.yaml"),
]
NOT_A_COLLECTORS = {"builder.yaml", "compose.yaml", "tempo.yaml"}


@pytest.mark.parametrize("names", LAID_OVER, ids="+".join)
def test_the_collector_finds_nothing_wrong(names: tuple[str, ...], tmp_path: Path) -> None:
    command = [str(find_collector()), "validate", *(f"--config={CONFIGS / name}" for name in names)]
    environ = {**os.environ, "QUEUE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=bound_s(60))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wrong_setting_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "collector.yaml"
    wrong.write_text((CONFIGS / "collector.yaml").read_text().replace("limit_mib", "limit_mb", 1))
    command = [str(find_collector()), "validate", f"--config={wrong}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=bound_s(60))
    assert done.returncode != 0
    assert "limit_mb" in done.stderr


def test_no_configuration_is_left_out() -> None:
    there = {path.name for path in CONFIGS.glob("*.yaml")} - NOT_A_COLLECTORS
    assert {name for names in LAID_OVER for name in names} == there


def test_prometheus_finds_nothing_wrong() -> None:
    promtool = find_prometheus().with_name("promtool")
    command = [str(promtool), "check", "config", "prometheus.yml"]
    done = subprocess.run(command, cwd=CONFIGS, capture_output=True, text=True, check=False, timeout=bound_s(60))
    assert done.returncode == 0, done.stdout + done.stderr


class Fleet:
    """An agent, two gateways behind it, and what they write to; ``tempo`` is a collector that takes OTLP too."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        binary = find_collector()
        parts = ("prometheus", "tempo", "gateway-1", "gateway-2", "agent")
        for name in parts:
            (folder / name).mkdir()
        self.prometheus = stack.enter_context(Prometheus(find_prometheus(), folder / "prometheus"))
        self.tempo = stack.enter_context(Collector(binary, folder / "tempo"))
        environ = {
            "PROMETHEUS_URL": self.prometheus.url,
            "TEMPO_ENDPOINT": self.tempo.grpc_endpoint.removeprefix("http://"),
            "DECISION_WAIT": "1s",
            "DEGRADED_PERCENT": "0",
        }
        self.gateways = [
            stack.enter_context(Collector(binary, folder / name, "gateway.yaml", environ=environ))
            for name in ("gateway-1", "gateway-2")
        ]
        places = {
            f"GATEWAY_{number}": gateway.grpc_endpoint.removeprefix("http://")
            for number, gateway in enumerate(self.gateways, 1)
        }
        self.agent = stack.enter_context(Collector(binary, folder / "agent", "agent.yaml", environ=places))

    def count(self, at_s: float) -> float:
        """Return the number of samples in Prometheus."""
        return sum(self.prometheus.instant("log_overhead_duration_seconds_count", at_s).values())


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path, stack)


def test_the_fleet_hands_on_every_point_and_every_stall(fleet: Fleet, tmp_path: Path) -> None:
    """Data accepted while all gateways were down is on the agent's disk: it outlives the agent's kill."""
    log, db = tmp_path / "proxy-8787.log", tmp_path / "store.db"
    capture = (CAPTURES / "0.42.0-stall.log").read_bytes()
    # Prometheus takes nothing that is older than its window, and nothing from the future
    log.write_bytes(replay.moved(capture, int(time.time()) - 120 - replay.span(capture)[1]))
    samples = read_log(log)
    episodes = read_episodes(samples)
    stalls = [episode for episode in episodes if any(s.severity == "stall" for s in episode)]
    for gateway in fleet.gateways:
        gateway.stop()
    follow = ("--observer", "headroom", "--path", log, "--from-start", "--once", "--db", db)
    assert run(*follow, "--otlp-endpoint", fleet.agent.http_endpoint, home=tmp_path).returncode == 0
    (exporter,) = ask(db, "status", home=tmp_path)["exporters"]
    assert exporter["pending"] == 0
    fleet.agent.kill()
    for server in (*fleet.gateways, fleet.agent):
        server.start()

    last_s = samples[-1].time_ns // 10**10 * 10 + 10
    fleet.agent.wait_until(lambda: fleet.count(last_s) == len(samples), timeout=60)
    fleet.tempo.wait_until(lambda: len(fleet.tempo.spans()) >= len(stalls), timeout=60)
    check_spans(fleet.tempo, stalls)
