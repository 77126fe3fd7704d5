"""Exemplars on a real Prometheus, through a real collector: a slow bucket leads to the trace of the stall in it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.collector import Collector, find_collector
from tests.support.forked import ask, run
from tests.support.history import HOUR_S, deliver, write_history
from tests.support.prometheus import Prometheus, find_prometheus

SERIES = "log_overhead_duration_seconds_bucket"


class Exemplar(NamedTuple):
    """As Prometheus returns it."""

    trace_id: str
    span_id: str
    seconds: float
    at_s: float
    le: float


def exemplars(prometheus: Prometheus, start_s: float, end_s: float) -> list[Exemplar]:
    """All of the duration's buckets, once each."""
    found = set()
    for series in prometheus.get("query_exemplars", query=SERIES, start=start_s, end=end_s):
        for one in series["exemplars"]:
            labels = one["labels"]
            assert set(labels) >= {"trace_id", "span_id"}, labels
            found.add(
                Exemplar(
                    labels["trace_id"],
                    labels["span_id"],
                    float(one["value"]),
                    float(one["timestamp"]),
                    float(series["seriesLabels"]["le"]),
                )
            )
    return sorted(found, key=lambda one: one.at_s)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def check(prometheus: Prometheus, db: Path, home: Path, start_s: float, end_s: float) -> None:
    """Each exemplar is a breach of the store's, with the ids of its episode, in the bucket where it counts."""
    shown = exemplars(prometheus, start_s, end_s)
    episodes: dict[str, Any] = {
        one["trace_id"]: one for one in ask(db, "query", "episodes", "--limit", "100000", home=home)
    }
    breaches = {
        (round(one["time_unix_nano"] / 1e6), round(one["duration_ms"], 3))
        for severity in ("degraded", "stall")
        for one in ask(db, "query", "samples", "--severity", severity, "--limit", "100000", home=home)
    }
    assert len(episodes) > 2
    assert len(shown) >= len(episodes)
    for one in shown:
        episode = episodes[one.trace_id]
        assert one.span_id == episode["span_id"]
        assert seconds(episode["start"]) - 0.001 <= one.at_s <= seconds(episode["end"]) + 0.001
        assert one.seconds * 1000 <= episode["peak_ms"] + 0.001
        assert (round(one.at_s * 1000), round(one.seconds * 1000, 3)) in breaches
        assert one.seconds <= one.le
    assert {one.trace_id for one in shown} == set(episodes), "every stall can be got at"


def follow(log: Path, db: Path, home: Path, environ: Mapping[str, str], *to: object) -> None:
    options = ("--observer", "headroom", "--path", log, "--from-start", "--once", "--db", db)
    deliver(lambda: run(*options, *to, home=home, check=False, environ=dict(environ)))


@pytest.mark.parametrize("way", ["remote write", "otlp"])
def test_a_slow_bucket_leads_to_the_trace_of_its_stall(tmp_path: Path, way: str) -> None:
    binary = find_prometheus()
    version = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)", version)
    if way == "otlp" and (found is None or int(found[1]) < 3):
        pytest.skip(f"{binary} is older than 3 and has no OTLP endpoint")
    end_s = int(time.time()) // HOUR_S * HOUR_S
    log, db = tmp_path / "proxy-8787.log", tmp_path / "store.db"
    write_history(log, end_s)
    for name in ("prometheus", "collector"):
        (tmp_path / name).mkdir()
    receiver = ["--web.enable-otlp-receiver"] if way == "otlp" else []
    configs = ["collector.yaml", *([] if way == "otlp" else ["to-prometheus.yaml"])]
    with (
        Prometheus(binary, tmp_path / "prometheus", *receiver) as prometheus,
        Collector(
            find_collector(), tmp_path / "collector", *configs, environ={"PROMETHEUS_URL": prometheus.url}
        ) as collector,
    ):
        environ = {}
        if way == "otlp":
            environ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] = f"{prometheus.url}/api/v1/otlp/v1/metrics"
            environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{collector.http_endpoint}/v1/traces"
            follow(log, db, tmp_path, environ)
        else:
            follow(log, db, tmp_path, environ, "--otlp-endpoint", collector.http_endpoint)
        check(prometheus, db, tmp_path, end_s - 13 * HOUR_S, end_s)
