"""Several destinations at once: they are told the same, none waits for another, and the store is the same with any."""

from __future__ import annotations

import json
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.collector import Collector, find_collector
from tests.faults.receiving import Daemon, free_port, line, wait_until
from tests.hex_engine import Engine
from tests.test_main_job import CAPTURES, EXPECTED, read_episodes, read_log
from tests.test_prometheus import families

CAPTURE = "0.42.0-stall"
LATENCIES = 8
"""How often each latency is measured; the median counts."""


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    folder = tmp_path / "collector"
    folder.mkdir()
    with Collector(find_collector(), folder) as running:
        yield running


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as running:
        yield running


class Everywhere:
    """A daemon with all of them, and what each was told."""

    def __init__(self, folder: Path, collector: Collector, engine: Engine, *arguments: object) -> None:
        self.collector, self.engine = collector, engine
        self.out = folder / "out"
        self.out.mkdir()
        self.file = self.out / "x.jsonl"
        self.port = free_port()
        names = [part for name in ("otlp", "hex", "prometheus", "jsonl") for part in ("--exporter", name)]
        self.daemon = Daemon(
            folder,
            *(*names, "--hex-url", engine.url, "--hex-max-age", "none", "--prometheus-port", self.port),
            *("--jsonl-file", self.file, "--export-interval", "500ms", *arguments),
            endpoint=collector.http_endpoint,
        )

    def told(self) -> dict[str, dict[str, int]]:
        """Samples, breaches and episodes as each destination has them; a destination says what it can."""
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


def test_a_receiver_that_dies_leaves_the_latency_of_the_others_as_it_was(
    tmp_path: Path, collector: Collector, engine: Engine, record_property: Callable[[str, object], None]
) -> None:
    everywhere = Everywhere(tmp_path, collector, engine, "--events", "log", "--from-start")
    away = tmp_path / "away"
    numbers = iter(range(1, 1000))

    def at_hex(ms: float) -> bool:
        return any(value["data"].get("value_ms") == ms for value in engine.stored)

    def at_jsonl(ms: float) -> bool:
        return everywhere.file.exists() and f'"value_ms","value":{{"doubleValue":{ms}}}'.encode() in (
            everywhere.file.read_bytes()
        )

    def latency_s(arrived: Callable[[float], bool]) -> float:
        """From the moment a slow line was written until the destination has its breach; the median."""
        took = []
        for _ in range(LATENCIES):
            number = next(numbers)
            began = time.monotonic()
            daemon.write(line(number, ms=600, at=datetime.now(timezone.utc)))
            wait_until(lambda number=number: arrived(600 + number / 1000), told=daemon.said)  # type: ignore[misc]
            took.append(time.monotonic() - began)
        return statistics.median(took)

    with everywhere.daemon as daemon:
        daemon.write(b"")
        daemon.start()
        before = {"hex": latency_s(at_hex), "jsonl": latency_s(at_jsonl)}
        after = {}

        collector.pause()  # the worst kind of dead: it takes connections, and never answers
        after["hex, collector hangs"] = latency_s(at_hex)
        after["jsonl, collector hangs"] = latency_s(at_jsonl)
        collector.kill()
        after["hex, collector killed"] = latency_s(at_hex)
        engine.stop()
        after["jsonl, hex and collector dead"] = latency_s(at_jsonl)
        engine.start()
        everywhere.out.rename(away)
        after["hex, file away"] = latency_s(at_hex)
        assert "x.jsonl can't be written" in daemon.said()
        away.rename(everywhere.out)
        daemon.signal(signal.SIGTERM)
        daemon.ends()
    for name, value in {**before, **after}.items():
        record_property(name, value)
        print(f"{name}: {value * 1000:.1f} ms")
    for name, value in after.items():
        # time-outs and back-offs are seconds: what is waited for would show
        assert value < before[name.partition(",")[0]] + 0.25, (before, after)


@pytest.mark.parametrize("capture", ["0.42.0-stall", "0.42.0-burst"])
def test_the_store_is_the_same_whatever_it_is_sent_to(tmp_path: Path, engine: Engine, capture: str) -> None:
    log = (CAPTURES / f"{capture}.log").read_bytes()
    stores = {}
    for name, arguments, code in (
        ("none", [], 0),
        ("otlp", ["--exporter", "otlp", "--otlp-endpoint", f"http://127.0.0.1:{free_port()}"], 1),  # nobody is there
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
