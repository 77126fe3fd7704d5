"""The main job on every capture, with the real command line and a real collector.

Log, store, answers and the data at the collector agree to the last sample. The test reads the log by simple means that
share no code.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections import Counter
from pathlib import Path

import pytest

from otel_logtail.store.rows import STEP_NS
from tests.support.captures import EXPECTED, Truth, check_spans, read_episodes, read_log
from tests.support.collector import Collector, ReceivedPoint
from tests.support.forked import ask, run
from tests.support.places import CAPTURES


@pytest.mark.parametrize("capture", sorted(EXPECTED))
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_log_store_answers_and_collector_agree_to_the_last_sample(
    capture: str, protocol: str, tmp_path: Path, collector: Collector
) -> None:
    log, db = CAPTURES / f"{capture}.log", tmp_path / "store.db"
    samples = read_log(log)
    episodes = read_episodes(samples)
    number, breaches, stalls, websockets, broken = EXPECTED[capture]
    assert len(samples) == number
    assert sum(s.severity != "ok" for s in samples) == breaches
    assert sum(s.severity == "stall" for s in samples) == stalls

    endpoint = collector.http_endpoint if protocol == "http" else collector.grpc_endpoint
    chosen = [] if protocol == "http" else ["--otlp-protocol", "grpc"]
    command = ["--observer", "headroom", "--path", log, "--once", "--db", db, "--otlp-endpoint", endpoint, *chosen]
    assert run(*command, home=tmp_path).returncode == 0

    # the store's answers
    rows = ask(db, "query", "samples", "--limit", 0, home=tmp_path)
    told = {(r["offset"], r["time_unix_nano"], round(r["duration_ms"] * 1e6), r["severity"], r["cause"]) for r in rows}
    assert told == {(s.offset, s.time_ns, s.duration_ns, s.severity, s.cause) for s in samples}
    assert len(rows) == number
    by_offset = {s.offset: s for s in samples}
    for row in rows:
        assert {stage: round(ms * 1e6) for stage, ms in row["stages"].items()} == by_offset[row["offset"]].stages
        assert row["attributes"] == {"headroom.path": "anthropic_messages"}
    found = ask(db, "query", "episodes", home=tmp_path)
    assert [e["count"] for e in found] == [len(e) for e in episodes]
    assert [round(e["peak_ms"] * 1e6) for e in found] == [max(s.duration_ns for s in e) for e in episodes]
    summary = ask(db, "query", "summary", home=tmp_path)
    assert (summary["count"], summary["degraded"], summary["stall"]) == (number, breaches - stalls, stalls)
    assert summary["mean_ms"] == pytest.approx(sum(s.duration_ns for s in samples) / number / 1e6)
    ordered = sorted(s.duration_ns for s in samples)
    for key, quantile in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99)):
        assert summary[key] == pytest.approx(ordered[math.ceil(quantile * number) - 1] / 1e6, rel=0.01)
    (source,) = ask(db, "status", home=tmp_path)["sources"]
    assert (source["samples"], source["ignored"], source["rejected"], source["drift"]) == (
        number,
        websockets,
        broken,
        0,
    )
    assert source["bytes"] == log.stat().st_size

    # what the collector wrote
    collector.wait_until(lambda: len(collector.spans()) >= len(episodes))
    points = collector.metrics()
    check_metrics(points, samples, episodes)
    check_spans(collector, episodes)

    # once more: nothing new, nowhere
    assert run(*command, home=tmp_path).returncode == 0
    assert len(ask(db, "query", "samples", "--limit", 0, home=tmp_path)) == number
    collector.stop()
    assert collector.metrics() == points


def check_metrics(points: list[ReceivedPoint], samples: list[Truth], episodes: list[list[Truth]]) -> None:
    """Every point is the running total of its series at the end of an interval; the last ones hold the whole log."""
    series: dict[tuple[str, str], list[ReceivedPoint]] = {}
    for point in points:
        assert point.temporality == 2
        assert point.resource["service.name"] == "headroom-proxy"
        assert point.resource["service.instance.id"]
        assert point.scope[0] == "otel_logtail"
        series.setdefault((point.name, json.dumps(point.attributes, sort_keys=True)), []).append(point)

    def truths(point: ReceivedPoint) -> list[tuple[int, int]]:
        """(when, how long) of all that this point's series counts."""
        attributes = point.attributes
        if point.name == "log.overhead.duration":
            assert attributes == {"headroom.path": "anthropic_messages"}
            return [(s.time_ns, s.duration_ns) for s in samples]
        if point.name == "log.overhead.stage.duration":
            stage = attributes["stage"]
            return [(s.time_ns, s.stages[stage]) for s in samples if stage in s.stages]
        if point.name == "log.overhead.breaches":
            labels = (attributes["severity"], attributes["cause"])
            return [(s.time_ns, s.duration_ns) for s in samples if (s.severity, s.cause) == labels]
        found = []
        for episode in episodes:
            peak = max(episode, key=lambda s: s.duration_ns)
            worst = "stall" if any(s.severity == "stall" for s in episode) else "degraded"
            if (attributes["severity"], attributes["cause"]) == (worst, peak.cause):
                start = min(s.time_ns - s.duration_ns for s in episode)
                end = max(s.time_ns for s in episode)
                found.append((end, end - start))
        return found

    assert len({name for name, _ in series}) == (6 if episodes else 2)
    in_episodes = [received for (name, _), received in series.items() if name == "log.overhead.episode.time"]
    for received in in_episodes:
        at_least = {"degraded", "stall"} if received[-1].attributes["severity"] == "degraded" else {"stall"}
        of = [e for e in episodes if any(s.severity in at_least for s in e)]
        lengths_ns = [max(s.time_ns for s in e) - min(s.time_ns - s.duration_ns for s in e) for e in of]
        assert received[-1].raw["asDouble"] == pytest.approx(sum(lengths_ns) / 1e9, abs=1e-9)
        assert (received[-1].unit, received[-1].monotonic) == ("s", True)
    for received in series.values():
        if received in in_episodes:
            continue
        times = [point.time_ns for point in received]
        assert times == sorted(set(times)), "one timestamp a point, in order"
        assert len({point.start_ns for point in received}) == 1, "no reset"
        for point in received:
            length_ns = 10**9 if point.name.endswith("breaches") else 10**10
            assert point.start_ns % length_ns == 0
            if not point.value:
                continue  # the 0 of a new series has the time that its source had reached
            # a count behind such a 0 at the very end of its interval is a step later
            assert point.time_ns % length_ns in (0, STEP_NS)
            end_ns = point.time_ns // length_ns * length_ns
            counted = [ns for when, ns in truths(point) if when < end_ns]
            assert point.value == len(counted)
            if point.kind == "sum":
                assert point.monotonic
                assert point.unit == ("{sample}" if point.name.endswith("breaches") else "{episode}")
                continue
            assert point.unit == "s"
            assert {0.5, 2.0} <= set(point.bounds)
            assert point.sum == pytest.approx(sum(counted) / 1e9, abs=1e-9)
            expected = Counter(bisect_left(point.bounds, ns / 1e9) for ns in counted)
            assert point.buckets == [expected[i] for i in range(len(point.bounds) + 1)]
        assert received[-1].value == len(truths(received[-1])), "the last point holds all"


def test_a_collector_that_is_down_gets_everything_later(tmp_path: Path, collector: Collector) -> None:
    log, db = CAPTURES / "0.42.0-stall.log", tmp_path / "store.db"
    collector.stop()
    command = ["--observer", "headroom", "--path", log, "--once", "--db", db]
    endpoint = ["--otlp-endpoint", collector.http_endpoint]
    down = run(*command, *endpoint, home=tmp_path, check=False)
    assert down.returncode == 1
    assert down.stderr.count("warning:") == 2
    assert "in the store are not delivered yet" in down.stderr
    assert ask(db, "query", "summary", home=tmp_path)["count"] == 111
    (exporter,) = ask(db, "status", home=tmp_path)["exporters"]
    assert exporter["delivered"] == 0
    assert exporter["pending"] > 0
    assert exporter["last_error"]

    collector.start()
    assert run(*command, *endpoint, home=tmp_path).returncode == 0
    samples = read_log(log)
    check_metrics(collector.metrics(), samples, read_episodes(samples))
    collector.wait_until(lambda: len(collector.spans()) == 2)
    (exporter,) = ask(db, "status", home=tmp_path)["exporters"]
    assert (exporter["pending"], exporter["last_error"]) == (0, None)


def test_port_4317_means_grpc(tmp_path: Path) -> None:
    """No protocol is set; the port has no listener, and the error is gRPC's."""
    log = CAPTURES / "0.42.0-invalid.log"
    down = run(
        *("--observer", "headroom", "--path", log, "--once", "--db", tmp_path / "s.db"),
        *("--otlp-endpoint", "http://127.255.255.254:4317"),
        home=tmp_path,
        check=False,
    )
    assert down.returncode == 1
    assert "gRPC" in down.stderr or "UNAVAILABLE" in down.stderr
