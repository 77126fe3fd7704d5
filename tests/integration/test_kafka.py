"""The fleet with Kafka between agent and gateway: programs killed at any time, rejected and large messages.

All tests share one broker, one fleet and its Prometheus; each has a source of its own.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import pytest

from tests.support.collector import CONFIGS, Collector, ReceivedSpan, find_collector
from tests.support.daemon import Daemon
from tests.support.kafka import Kafka, find_kafka
from tests.support.lines import SLOW_MS, line, lines
from tests.support.places import ROOT
from tests.support.prometheus import Prometheus, find_prometheus
from tests.support.waiting import bound_s, wait_until

TOPIC_CONFIG = re.compile(r"--config ([\w.]+=\d+)")
SKIPPED = "failed to consume message, skipping"  # docs/how-to/fleet.md names it
DAY_NS = 24 * 3600 * 10**9


class Fleet:
    """An agent, Kafka, two gateways, and what they write to; ``tempo`` is a collector that takes OTLP too."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        binary = find_collector()
        for name in ("kafka", "prometheus", "tempo", "gateway-1", "gateway-2", "agent"):
            (folder / name).mkdir()
        self.kafka = stack.enter_context(Kafka(find_kafka(), folder / "kafka"))
        # as the comment in the agent's configuration has it, but with one broker
        configs = TOPIC_CONFIG.findall((CONFIGS / "agent-kafka.yaml").read_text())
        assert len(configs) == 2
        options = ("--partitions", "2", *(f"--config={config}" for config in configs))
        for topic in ("otel-logtail-metrics", "otel-logtail-traces"):
            self.kafka.create_topic(topic, *options)
        self.prometheus = stack.enter_context(Prometheus(find_prometheus(), folder / "prometheus"))
        self.tempo = stack.enter_context(Collector(binary, folder / "tempo"))
        environ = {
            "KAFKA_BROKER": self.kafka.address,
            "PROMETHEUS_URL": self.prometheus.url,
            "TEMPO_ENDPOINT": self.tempo.grpc_endpoint.removeprefix("http://"),
            "DECISION_WAIT": "1s",
        }
        gateway, agent = ("gateway.yaml", "gateway-kafka.yaml"), ("agent.yaml", "agent-kafka.yaml")
        self.gateways = [
            stack.enter_context(Collector(binary, folder / name, *gateway, environ=environ))
            for name in ("gateway-1", "gateway-2")
        ]
        self.agent = stack.enter_context(Collector(binary, folder / "agent", *agent, environ=environ))

    def total(self, metric: str, source: str) -> float:
        """Return the sum of a metric's series of one source: their newest values."""
        query = f'last_over_time({metric}{{job="{source}"}}[2h])'
        return sum(self.prometheus.instant(query, time.time()).values())

    def counted(self, source: str) -> float:
        """Return the number of samples of one source in histograms of either kind."""
        return self._of_durations("count", source)

    def summed(self, source: str) -> float:
        """Return the sum of the durations of one source in seconds."""
        return self._of_durations("sum", source)

    def _of_durations(self, part: str, source: str) -> float:
        name, series = "log_overhead_duration_seconds", f'{{job="{source}"}}[2h]'
        query = f"last_over_time({name}_{part}{series}) or histogram_{part}(last_over_time({name}{series}))"
        return sum(self.prometheus.instant(query, time.time()).values())

    def spans(self, source: str) -> list[ReceivedSpan]:
        """Return the spans of one source, with repeats."""
        return [span for span in self.tempo.spans() if span.resource["service.name"] == source]

    def logs(self) -> str:
        """Return the end of the logs, for a test that fails."""
        return "\n".join(part.log.read_text()[-2000:] for part in (self.agent, *self.gateways, self.kafka))

    def logs_of_gateways(self) -> str:
        """Return the complete logs of the gateways."""
        return "\n".join(gateway.log.read_text() for gateway in self.gateways)

    def wait_until(self, holds: Any, within_s: float = 60) -> None:
        """Wait for something at the other end of the fleet."""
        wait_until(holds, within_s, told=self.logs, every_s=0.05)

    def send_gauge(self, source: str, name: str, at_ns: int, *labels: str) -> None:
        """Send the agent one gauge with a point for each value of its label."""
        points = [
            {
                "timeUnixNano": str(at_ns),
                "asDouble": 1,
                "attributes": [{"key": "label", "value": {"stringValue": label}}],
            }
            for label in labels or ("",)
        ]
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": source}}]}
        metrics = [{"name": name, "gauge": {"dataPoints": points}}]
        body = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}
        request = urllib.request.Request(  # noqa: S310 - http
            f"{self.agent.http_endpoint}/v1/metrics",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=bound_s(30)) as response:  # noqa: S310
            assert response.status == 200


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path_factory.mktemp("fleet"), stack)


class Growing:
    """A daemon on a log that grows with the clock, in a thread; ``slow`` adds a stall."""

    def __init__(self, folder: Path, source: str, endpoint: str) -> None:
        self.daemon = Daemon(
            folder, "--source", source, "--from-start", "--export-interval", "1s", "--quiet-ms", "200",
            endpoint=endpoint,
        )  # fmt: skip
        self.written_ms: list[float] = []
        self.stalls = 0
        self._end = Event()
        self._slow: Queue[int] = Queue()
        self._thread = Thread(target=self._write)

    def __enter__(self) -> Growing:
        self._thread.start()
        return self

    def __exit__(self, *problem: Any) -> None:
        self.end()
        self.daemon.__exit__(*problem)

    def _write(self) -> None:
        for number in count():
            try:
                ms = self._slow.get(timeout=0.05)
            except Empty:
                ms = 20
            self.daemon.write(line(number, ms=ms, at=datetime.now(timezone.utc)))
            self.written_ms.append(ms + number / 1000)
            if self._end.is_set():
                return

    def stall(self) -> None:
        """Write one slow line, which is an episode of its own, and wait until the store has closed it."""
        self.stalls += 1
        self._slow.put(2500)
        self.daemon.wait_until(lambda: self.daemon.rows("SELECT count(*) FROM episode") == [(self.stalls,)])

    def more(self, number: int) -> None:
        """Wait until so many more lines were stored."""
        goal = self.daemon.counter("samples") + number
        self.daemon.wait_until(lambda: self.daemon.counter("samples") >= goal)

    def end(self) -> None:
        """Write no more."""
        self._end.set()
        self._thread.join()


@pytest.mark.parametrize("histogram", ["explicit", "exponential"])
def test_everything_arrives(fleet: Fleet, tmp_path: Path, histogram: str) -> None:
    options = ("--source", histogram, "--histogram", histogram, "--from-start")
    with Daemon(tmp_path, *options, endpoint=fleet.agent.http_endpoint) as daemon:
        daemon.write(lines(0, 1000), lines(1000, 1100, ms=SLOW_MS))
        daemon.once()
    fleet.wait_until(lambda: fleet.counted(histogram) == 1100)
    fleet.wait_until(lambda: fleet.total("log_overhead_breaches_total", histogram) == 100)
    total_ms = sum(20 + n / 1000 for n in range(1000)) + sum(SLOW_MS + n / 1000 for n in range(1000, 1100))
    assert fleet.summed(histogram) == pytest.approx(total_ms / 1000)


def test_a_rejected_message_does_not_stop_its_partition(fleet: Fleet) -> None:
    source, now_ns = "rejected", time.time_ns()
    skipped = fleet.logs_of_gateways().count(SKIPPED)
    for number in range(10):
        fleet.send_gauge(source, "rejected", now_ns - 40 * DAY_NS + number)  # beyond the window of prometheus.yml
        fleet.send_gauge(source, "accepted", now_ns, str(number))
    fleet.wait_until(lambda: fleet.total("accepted", source) == 10)
    assert fleet.total("rejected", source) == 0
    assert fleet.logs_of_gateways().count(SKIPPED) >= skipped + 10


def waits(fleet: Fleet) -> list[float]:
    """Return the waits that the gateways' receivers have logged, in seconds, in order of size."""
    return sorted(float(delay) for delay in re.findall(r'"delay": ([0-9.]+)', fleet.logs_of_gateways()))


def test_a_gateway_without_prometheus_waits_between_attempts(fleet: Fleet) -> None:
    source = "waits"
    fleet.prometheus.stop()
    try:
        before = len(waits(fleet))
        fleet.send_gauge(source, "kept", time.time_ns())
        fleet.wait_until(lambda: len(waits(fleet)) >= before + 3)
    finally:
        fleet.prometheus.start()
    assert waits(fleet)[0] > 0.4
    fleet.wait_until(lambda: fleet.total("kept", source) == 1)


def test_a_prometheus_that_hangs_and_is_killed_loses_nothing(fleet: Fleet) -> None:
    source = "hangs"
    fleet.prometheus.pause()
    try:
        for number in range(5):
            fleet.send_gauge(source, "held", time.time_ns(), str(number))
        # a client that waits for longer than 5 s, the default limit of the gateway's exporter, has no answer
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(f"{fleet.prometheus.url}/-/ready", timeout=7)  # noqa: S310 - http
    finally:
        fleet.prometheus.kill()
        fleet.prometheus.start()
    fleet.wait_until(lambda: fleet.total("held", source) == 5)


def test_a_large_message_arrives_and_a_larger_one_is_logged(fleet: Fleet) -> None:
    source, now_ns = "large", time.time_ns()
    labels = [secrets.token_hex(1500) for _ in range(1200)]  # 3.6 MB, half of it after compression
    fleet.send_gauge(source, "large", now_ns, *labels)
    fleet.wait_until(lambda: fleet.total("large", source) == len(labels))
    fleet.send_gauge(source, "larger", now_ns, *labels, *(label[::-1] for label in labels))
    fleet.wait_until(lambda: "kafka record exceeds max message size" in fleet.agent.log.read_text())
    fleet.send_gauge(source, "small", now_ns)
    fleet.wait_until(lambda: fleet.total("small", source) == 1)
    assert fleet.total("larger", source) == 0


def test_programs_are_killed_while_the_log_grows_and_all_totals_are_right(fleet: Fleet, tmp_path: Path) -> None:
    source = "kills"

    def counted() -> float:
        return fleet.counted(source)

    def caught_up() -> None:
        stored = growing.daemon.counter("samples")
        fleet.wait_until(lambda: counted() >= stored)

    def stalls_arrived() -> None:
        fleet.wait_until(lambda: len({span.span_id for span in fleet.spans(source)}) == growing.stalls)

    with Growing(tmp_path, source, fleet.agent.http_endpoint) as growing:
        growing.daemon.start()
        growing.stall()
        fleet.wait_until(counted)

        growing.stall()
        fleet.agent.kill()
        growing.stall()
        growing.daemon.wait_for_words("will retry")
        fleet.agent.start()
        caught_up()

        growing.stall()
        fleet.kafka.kill()
        growing.stall()
        growing.more(60)
        fleet.kafka.start(90)
        caught_up()

        for gateway in fleet.gateways:
            # docs/how-to/fleet.md: spans that wait in a gateway's tail sampling are lost if it is killed
            stalls_arrived()
            gateway.kill()
            growing.stall()
            growing.more(60)
            caught_up()  # the other one reads its partitions
            gateway.start()

        growing.end()
        written = len(growing.written_ms)
        growing.daemon.wait_until(lambda: growing.daemon.counter("samples") == written)
        fleet.wait_until(lambda: counted() == written)
        growing.daemon.stop()
        assert fleet.summed(source) == pytest.approx(sum(growing.written_ms) / 1000)
        fleet.wait_until(lambda: fleet.total("log_overhead_breaches_total", source) == growing.stalls)
        fleet.wait_until(lambda: fleet.total("log_overhead_episodes_total", source) == growing.stalls)
        stalls_arrived()
    # a repeat after a kill is an exact one
    found = fleet.spans(source)
    of_id = {span.span_id: span for span in found}
    assert all(span == of_id[span.span_id] for span in found)


@pytest.mark.parametrize(("programs", "why"), [((), "no java here"), (("java",), "no mvn here")], ids=["java", "mvn"])
def test_without_java_or_maven_the_script_prints_how_to_get_them(
    tmp_path: Path, programs: tuple[str, ...], why: str
) -> None:
    for name in programs:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    command = [sys.executable, str(ROOT / "scripts" / "kafka")]
    environ = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=bound_s(30))
    assert (done.returncode, done.stdout) == (3, "")
    assert why in done.stderr
    assert "How to get a Kafka" in done.stderr
