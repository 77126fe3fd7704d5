"""A real Jaeger shows an episode that lasts as one trace with all its breaches; exemplars in Prometheus lead to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.forked import run
from tests.support.history import deliver
from tests.support.jaeger import Jaeger, values
from tests.support.lines import T0, line
from tests.support.prometheus import Prometheus, find_prometheus

STEP = timedelta(milliseconds=250)
NUMBER = 5 * 240
"""The breaches of five minutes."""
SERIES = "log_overhead_duration_seconds_bucket"


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    with Jaeger(tmp_path_factory.mktemp("jaeger")) as running:
        yield running


def deliver_storm(folder: Path, *options: str, **environ: str) -> Daemon:
    """Send five minutes of breaches, one of them a stall, and two later lines that close the episode."""
    daemon = Daemon(folder, "--from-start", *options, **environ)
    late = T0 + NUMBER * STEP + timedelta(minutes=1)
    daemon.write(
        b"".join(line(n, ms=2500 if n == 700 else 600, at=T0 + n * STEP) for n in range(NUMBER)),
        *(line(n, at=late) for n in (NUMBER, NUMBER + 1)),
    )
    arguments = daemon.command("--once")[3:]
    deliver(lambda: run(*arguments, home=folder, check=False, environ=environ))
    return daemon


def check_trace(spans: list[Any], daemon: Daemon) -> None:
    """One trace has a root and its parts, and each breach of the store once as a log."""
    ((trace_id, root_id),) = daemon.rows("SELECT lower(hex(trace_id)), lower(hex(span_id)) FROM episode")
    breaches = daemon.rows("SELECT lower(hex(uid)), time_ns / 1000, duration_ns / 1e6 FROM breach ORDER BY 1")
    assert len(breaches) == NUMBER
    assert {span["traceID"] for span in spans} == {trace_id}
    (root,) = (span for span in spans if not span["references"])
    parts = [span for span in spans if span["references"]]
    assert root["spanID"] == root_id
    assert root["operationName"] == "log.overhead.episode"
    assert {span["operationName"] for span in parts} == {"log.overhead.episode.part"}
    assert [(of["refType"], of["spanID"]) for span in parts for of in span["references"]] == [
        ("CHILD_OF", root_id)
    ] * len(parts)
    logs = [(log["timestamp"], values(log["fields"])) for span in parts for log in span["logs"]]
    assert sorted((own["log.record.uid"], at_us, own["value_ms"]) for at_us, own in logs) == breaches
    assert not root["logs"]
    tags = values(root["tags"])
    assert (tags["count"], tags["parts"]) == (NUMBER, len(parts))
    assert (tags["error"], tags["otel.status_code"], tags["severity"]) == (True, "ERROR", "stall")
    assert min(span["startTime"] for span in parts) == root["startTime"]
    ends = {span["startTime"] + span["duration"] for span in parts}
    assert max(ends) == pytest.approx(root["startTime"] + root["duration"], abs=1)  # each in whole microseconds


def trace_of(jaeger: Jaeger, daemon: Daemon) -> list[Any]:
    """Wait for all spans of the only episode."""
    ((trace_id, parts),) = daemon.rows("SELECT lower(hex(trace_id)), parts FROM episode")
    jaeger.wait_until(lambda: len(jaeger.trace(trace_id)) == parts + 1)
    return jaeger.trace(trace_id)


def test_over_grpc_all_breaches_of_an_episode_are_logs_of_one_trace(tmp_path: Path, jaeger: Jaeger) -> None:
    environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": jaeger.endpoints["grpc"]}
    environ |= {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_METRICS_EXPORTER": "none"}
    daemon = deliver_storm(tmp_path, "--source", "over-grpc", OTEL_LOGS_EXPORTER="none", **environ)
    check_trace(trace_of(jaeger, daemon), daemon)


def test_an_exemplar_in_prometheus_leads_to_the_trace_with_all_breaches(tmp_path: Path, jaeger: Jaeger) -> None:
    (tmp_path / "prometheus").mkdir()
    with Prometheus(find_prometheus(), tmp_path / "prometheus", "--web.enable-otlp-receiver") as prometheus:
        daemon = deliver_storm(
            tmp_path,
            *("--source", "over-http"),
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{prometheus.url}/api/v1/otlp/v1/metrics",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{jaeger.endpoints['http']}/v1/traces",
            OTEL_LOGS_EXPORTER="none",
        )
        start_s, end_s = T0.timestamp() - 60, T0.timestamp() + 600
        found = prometheus.get("query_exemplars", query=SERIES, start=start_s, end=end_s)
    check_trace(trace_of(jaeger, daemon), daemon)
    exemplars = [one["labels"] for series in found for one in series["exemplars"]]
    assert exemplars
    for one in exemplars:
        assert one["span_id"] in {span["spanID"] for span in jaeger.trace(one["trace_id"])}
