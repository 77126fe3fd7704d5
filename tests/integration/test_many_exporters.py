"""Several destinations at once: they get the same, none waits for another, and the store is the same with any."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.captures import EXPECTED, read_episodes, read_log
from tests.support.collector import Collector
from tests.support.daemon import Daemon
from tests.support.hex_engine import Engine
from tests.support.lines import line
from tests.support.places import CAPTURES
from tests.support.ports import free_port
from tests.support.scraping import families
from tests.support.waiting import wait_until

CAPTURE = "0.42.0-stall"
LATENCIES = 8
"""How often each latency is measured; the median counts."""


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as running:
        yield running


class Everywhere:
    """A daemon with all of them, and the data that each one got."""

    def __init__(self, folder: Path, collector: Collector, engine: Engine, *arguments: object, **environ: str) -> None:
        self.collector, self.engine = collector, engine
        self.out = folder / "out"
        self.out.mkdir()
        self.file = self.out / "x.jsonl"
        self.port = free_port()
        names = [part for name in ("otlp", "hex", "prometheus", "jsonl") for part in ("--exporter", name)]
        self.daemon = Daemon(
            folder,
            *(*names, "--hex-url", engine.url, "--hex-max-age", "none", "--prometheus-port", self.port),
            *("--jsonl-file", self.file, *(() if "--export-interval" in arguments else ("--export-interval", "500ms"))),
            *arguments,
            endpoint=collector.http_endpoint,
            **environ,
        )

    def told(self) -> dict[str, dict[str, int]]:
        """Samples, breaches and episodes in the form of each destination, as far as it supports them."""
        return {
            "otlp": counts(self.collector.lines()),
            "jsonl": counts(self.jsonl()),
            "prometheus": self.scraped(),
            "hex": {
                "breaches": sum("value_ms" in value["data"] for value in self.engine.stored),
                "episodes": sum("peak_ms" in value["data"] for value in self.engine.stored),
            },
        }

    def jsonl(self) -> list[Mapping[str, Any]]:
        if not self.file.exists():
            return []
        whole, _, _ = self.file.read_bytes().rpartition(b"\n")
        return [json.loads(text) for text in whole.splitlines()]

    def scraped(self) -> dict[str, int]:
        found = families(self.port)
        sums = {}
        for key, name, suffix in (
            ("samples", "log_overhead_duration_seconds", "_count"),
            ("breaches", "log_overhead_breaches", "_total"),
            ("episodes", "log_overhead_episodes", "_total"),
        ):
            samples = found[name].samples if name in found else []
            sums[key] = round(sum(one.value for one in samples if one.name.endswith(suffix)))
        return sums


def counts(lines: list[Mapping[str, Any]]) -> dict[str, int]:
    """The last total of each series, and the spans."""
    latest: dict[tuple[str, str], tuple[int, int]] = {}
    spans = set()
    for message in lines:
        for resource in message.get("resourceMetrics", []):
            for metric in resource["scopeMetrics"][0]["metrics"]:
                for point in metric.get("histogram", metric.get("sum", {})).get("dataPoints", []):
                    key = (metric["name"], json.dumps(point.get("attributes", [])))
                    value = int(point.get("count", point.get("asInt", 0)))
                    latest[key] = max(latest.get(key, (0, 0)), (int(point["timeUnixNano"]), value))
        for resource in message.get("resourceSpans", []):
            spans |= {span["spanId"] for span in resource["scopeSpans"][0]["spans"]}

    def total(name: str) -> int:
        return sum(value for (metric, _), (_, value) in latest.items() if metric == f"log.overhead.{name}")

    return {"samples": total("duration"), "breaches": total("breaches"), "episodes": len(spans)}


def test_all_of_them_hold_the_same_counts_of_a_capture(tmp_path: Path, collector: Collector, engine: Engine) -> None:
    log = CAPTURES / f"{CAPTURE}.log"
    samples, breaches, *_ = EXPECTED[CAPTURE]
    episodes = len(read_episodes(read_log(log)))
    expected = {"samples": samples, "breaches": breaches, "episodes": episodes}
    everywhere = Everywhere(tmp_path, collector, engine, "--from-start")
    with everywhere.daemon as daemon:
        daemon.write(log.read_bytes())
        daemon.start()
        complete = {
            "otlp": expected,
            "jsonl": expected,
            "prometheus": expected,
            "hex": {"breaches": breaches, "episodes": episodes},
        }
        daemon.wait_until(lambda: everywhere.told() == complete)
        rows = daemon.rows("SELECT name, delivered > 0, last_error FROM exporter ORDER BY name")
        assert rows == [(name, 1, None) for name in ("hex", "jsonl", "otlp", "prometheus")]
        daemon.stop()


class Stopwatch:
    """How long a slow line takes from the moment it is written to each destination."""

    def __init__(self, everywhere: Everywhere) -> None:
        self._everywhere = everywhere
        self._written = 0

    def medians_s(self, *destinations: str) -> dict[str, float]:
        """The delays of some lines, one after the other: each is waited for at all of these destinations."""
        took: dict[str, list[float]] = {destination: [] for destination in destinations}
        daemon = self._everywhere.daemon
        for number in range(1, LATENCIES + 1):
            self._written += 1
            began_s = time.monotonic()
            daemon.write(line(self._written, ms=600, at=datetime.now(timezone.utc)))
            look = partial(self._look, took, number, began_s)
            wait_until(look, told=lambda: f"{took}\n{daemon.said()}", every_s=0.01)
        return {destination: statistics.median(values) for destination, values in took.items()}

    def _look(self, took: dict[str, list[float]], number: int, began_s: float) -> bool:
        """Note where the line has arrived now; returns whether it is everywhere."""
        for destination, values in took.items():
            if len(values) < number and self._arrived(destination):
                values.append(time.monotonic() - began_s)
        return all(len(values) == number for values in took.values())

    def catches_up(self, destination: str) -> None:
        """Wait until a destination that was away has the newest line too."""
        wait_until(lambda: self._arrived(destination), 60, told=self._everywhere.daemon.said)

    def _arrived(self, destination: str) -> bool:
        ms = 600 + self._written / 1000
        if destination == "hex":
            return any(value["data"].get("value_ms") == ms for value in reversed(self._everywhere.engine.stored))
        if destination == "prometheus":
            return self._everywhere.scraped()["breaches"] == self._written
        file = self._everywhere.file if destination == "jsonl" else self._everywhere.collector.file
        return file.exists() and f'"value_ms","value":{{"doubleValue":{ms}}}'.encode() in file.read_bytes()


def test_a_receiver_that_dies_leaves_the_latency_of_the_others_as_it_was(
    tmp_path: Path, collector: Collector, engine: Engine, record_property: Callable[[str, object], None]
) -> None:
    """Each receiver in turn, in the ways that it has: gone, and what is worse, there without ever answering."""
    fast = ("--events", "log", "--from-start", "--export-interval", "50ms", "--quiet-ms", "50")
    everywhere = Everywhere(tmp_path, collector, engine, *fast, OTEL_EXPORTER_OTLP_TIMEOUT="1500")
    away = tmp_path / "away"
    watch = Stopwatch(everywhere)
    after: dict[str, dict[str, float]] = {}
    with everywhere.daemon as daemon:
        daemon.write(b"")
        daemon.start()
        before = watch.medians_s("otlp", "hex", "jsonl", "prometheus")

        collector.pause()
        after["the collector hangs"] = watch.medians_s("hex", "jsonl", "prometheus")
        collector.kill()
        after["the collector is killed"] = watch.medians_s("hex", "jsonl", "prometheus")
        collector.start()
        watch.catches_up("otlp")

        engine.script = itertools.repeat("mute")
        after["hex hangs"] = watch.medians_s("otlp", "jsonl", "prometheus")
        engine.stop()
        after["hex is killed"] = watch.medians_s("otlp", "jsonl", "prometheus")
        engine.script = iter(())
        engine.start()
        watch.catches_up("hex")

        everywhere.out.rename(away)
        after["the file's folder is away"] = watch.medians_s("otlp", "hex", "prometheus")
        assert "x.jsonl can't be written" in daemon.said()
        away.rename(everywhere.out)
        watch.catches_up("jsonl")

        with ExitStack() as hanging:
            for _ in range(8):  # scrapers that ask, and never end their question
                scraper = hanging.enter_context(socket.create_connection(("127.0.0.1", everywhere.port)))
                scraper.sendall(b"GET /metrics HTTP/1.1\r\n")
            after["scrapers hang"] = watch.medians_s("otlp", "hex", "jsonl", "prometheus")
        daemon.signal(signal.SIGTERM)
        daemon.ends()
    for victim, medians in {"before": before, **after}.items():
        for destination, value in medians.items():
            record_property(f"{victim}: {destination}", value)
            print(f"{victim}: {destination} {value * 1000:.1f} ms")
    for medians in after.values():
        for destination, value in medians.items():
            # timeouts and backoffs are half a second or longer, so a wait for one would show
            assert value < before[destination] + 0.3, (before, after)


def test_exemplars_lead_to_the_episodes_of_the_store_wherever_they_are(
    tmp_path: Path, collector: Collector, engine: Engine
) -> None:
    everywhere = Everywhere(tmp_path, collector, engine, "--from-start")
    with everywhere.daemon as daemon:
        daemon.write((CAPTURES / f"{CAPTURE}.log").read_bytes())
        daemon.start()
        daemon.wait_until(lambda: everywhere.told()["prometheus"]["samples"] == EXPECTED[CAPTURE][0])
        daemon.wait_until(lambda: daemon.rows("SELECT count(*) FROM open_episode") == [(0,)])
        episodes = daemon.rows("SELECT lower(hex(trace_id)), lower(hex(span_id)) FROM episode")
        daemon.wait_until(lambda: len(collector.spans()) == len(episodes))
        daemon.wait_until(
            lambda: everywhere.told()["otlp"] == everywhere.told()["jsonl"] == everywhere.told()["prometheus"]
        )
        family = families(everywhere.port)["log_overhead_duration_seconds"]
        shown = {
            (one.exemplar.labels["trace_id"], one.exemplar.labels["span_id"], round(one.exemplar.value * 1e9))
            for one in family.samples
            if one.exemplar is not None
        }
        daemon.stop()
    breaches = {
        (trace_id, span_id, duration_ns): time_ns
        for trace_id, span_id, duration_ns, time_ns in daemon.rows(
            "SELECT lower(hex(trace_id)), lower(hex(span_id)), duration_ns, time_ns FROM breach"
        )
    }
    sent = exemplars(collector.lines())
    assert exemplars(everywhere.jsonl()) == sent
    assert {key: breaches[key] for key in sent} == sent  # each is a breach of the store, at its own time
    assert {key[:2] for key in sent} == set(episodes)  # and leads to a span that the store has, all of them
    assert {(span.trace_id, span.span_id) for span in collector.spans()} == set(episodes)
    assert shown
    assert shown <= set(sent)
    assert max(breaches, key=lambda key: key[2]) in shown  # the worst of all


def exemplars(lines: list[Mapping[str, Any]]) -> dict[tuple[str, str, int], int]:
    """All that points of durations carry: trace id, span id, and how long (ns), to when."""
    return {
        (one["traceId"], one["spanId"], round(one["asDouble"] * 1e9)): int(one["timeUnixNano"])
        for message in lines
        for resource in message.get("resourceMetrics", [])
        for metric in resource["scopeMetrics"][0]["metrics"]
        if metric["name"] == "log.overhead.duration"
        for point in metric["histogram"]["dataPoints"]
        for one in point.get("exemplars", [])
    }


@pytest.mark.parametrize("capture", ["0.42.0-stall", "0.42.0-burst"])
def test_the_store_is_the_same_for_any_destinations(
    tmp_path: Path, collector: Collector, engine: Engine, capture: str
) -> None:
    log = (CAPTURES / f"{capture}.log").read_bytes()
    stores = {}
    for name, arguments, code in (
        ("none", [], 0),
        ("otlp", ["--exporter", "otlp", "--otlp-endpoint", collector.http_endpoint], 0),
        ("otlp, nobody there", ["--exporter", "otlp", "--otlp-endpoint", f"http://127.0.0.1:{free_port()}"], 1),
        ("hex", ["--exporter", "hex", "--hex-url", engine.url, "--hex-max-age", "none"], 0),
        ("jsonl", ["--exporter", "jsonl", "--jsonl-file", tmp_path / "x.jsonl"], 0),
    ):
        folder = tmp_path / name
        folder.mkdir()
        with Daemon(folder, *arguments) as daemon:
            daemon.write(log)
            daemon.once(code=code)
            stores[name] = (
                daemon.rows("SELECT id, time_unix_nano, duration_ms, severity, cause, stage, stages FROM samples"),
                daemon.rows("SELECT span_id, start_ns, end_ns, count, peak_ns, severity, cause, stage FROM episode"),
                daemon.rows("SELECT time_ns, duration_ns, offset FROM breach ORDER BY id"),
            )
    assert len(stores["none"][0]) == EXPECTED[capture][0]
    assert all(store == stores["none"] for store in stores.values())
    assert len(engine.stored) == len(stores["none"][1]) + len(stores["none"][2])
    assert counts(collector.lines())["samples"] == EXPECTED[capture][0]
