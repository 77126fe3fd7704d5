"""A real OpenTelemetry Collector for tests: started with this project's own configuration, read back from its file.

``find_collector()`` gives the binary, or skips the test with a word on how to get one (``REQUIRE_COLLECTOR=1`` makes
that a failure, so that a build machine can't skip by accident).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.support.places import ROOT
from tests.support.ports import free_ports
from tests.support.waiting import CALM_S, bound_s, wait_until

CONFIGS = ROOT / "collector-config"
FINDER = ROOT / "scripts" / "collector"


def find_collector() -> Path:
    """The collector's binary; skips the test (or fails it, with REQUIRE_COLLECTOR=1) if there is none."""
    # a build, where there is Go and no collector yet, takes minutes, and is kept for the next time
    found = subprocess.run([sys.executable, str(FINDER)], capture_output=True, text=True, check=False, timeout=1200)
    if found.returncode == 0:
        return Path(found.stdout.strip())
    message = found.stderr.strip() or f"{FINDER} ended with {found.returncode}"
    if os.environ.get("REQUIRE_COLLECTOR") == "1":
        pytest.fail(message)
    pytest.skip(message)


@dataclass(frozen=True)
class ReceivedPoint:
    """One data point as the collector wrote it; ``value`` is the count of a histogram or the value of a sum."""

    resource: Mapping[str, Any]
    scope: tuple[str, str]
    name: str
    unit: str
    kind: str
    temporality: int
    monotonic: bool
    attributes: Mapping[str, Any]
    start_ns: int
    time_ns: int
    value: int
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def sum(self) -> float:
        """The sum of a histogram."""
        return float(self.raw.get("sum", 0))  # JSON leaves out what is 0

    @property
    def bounds(self) -> list[float]:
        """The bounds of an explicit histogram."""
        return [float(bound) for bound in self.raw.get("explicitBounds", [])]

    @property
    def buckets(self) -> list[int]:
        """The counts of an explicit histogram."""
        return [int(count) for count in self.raw.get("bucketCounts", [])]


@dataclass(frozen=True)
class ReceivedEvent:
    """One span event."""

    name: str
    time_ns: int
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class ReceivedSpan:
    """One span as the collector wrote it. ``status`` is the code: 0 unset, 1 ok, 2 error."""

    resource: Mapping[str, Any]
    scope: tuple[str, str]
    name: str
    kind: int
    trace_id: str
    span_id: str
    start_ns: int
    end_ns: int
    status: int
    attributes: Mapping[str, Any]
    events: tuple[ReceivedEvent, ...]
    dropped_events: int


class Collector:
    """One collector on ports of its own, with its file in ``folder``; a context manager. It can be started again."""

    def __init__(self, binary: Path, folder: Path, *configs: str, environ: Mapping[str, str] | None = None) -> None:
        """``configs`` are files of collector-config, merged in order; ``environ`` has the variables that they need."""
        self._binary = binary
        self._folder = folder
        self._configs = configs or ("collector.yaml",)
        self._environ = dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._grpc, self._http, self._prometheus, self._health = free_ports(4)
        self.file = folder / "otel-logtail.jsonl"
        self.log = folder / "collector.log"
        self.grpc_endpoint = f"http://127.0.0.1:{self._grpc}"
        self.http_endpoint = f"http://127.0.0.1:{self._http}"
        self.prometheus_url = f"http://127.0.0.1:{self._prometheus}/metrics"

    def __enter__(self) -> Collector:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, timeout: float = CALM_S) -> None:
        """Start it, on the same ports and file as before, and wait until it is ready."""
        if self._process is not None:
            raise RuntimeError("it is running")
        environ = {
            **os.environ,
            "OTLP_GRPC_PORT": str(self._grpc),
            "OTLP_HTTP_PORT": str(self._http),
            "PROMETHEUS_PORT": str(self._prometheus),
            "HEALTH_PORT": str(self._health),
            "OTLP_FILE": str(self.file),
            "GATEWAY_LISTEN": f"127.0.0.1:{self._grpc}",
            "HEALTH_LISTEN": f"127.0.0.1:{self._health}",
            "QUEUE_DIR": str(self._folder / "queue"),
            "GOGC": "800",  # short runs: memory for processor time
            **self._environ,
        }
        chosen = [f"--config={CONFIGS / name}" for name in self._configs]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binary), *chosen],
                env=environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.wait_until(self._ready, timeout)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float = CALM_S) -> None:
        """End it in order (SIGTERM): what it took is in its file afterwards."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(bound_s(timeout))
            self._process = None

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Make it hang (SIGSTOP): it takes connections, and never answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def wait_until(self, predicate: Callable[[], object], timeout: float = CALM_S) -> None:
        """Wait until ``predicate()`` is true; fail if the process ends instead."""

        def holds_while_running() -> object:
            ended = None if self._process is None else self._process.poll()
            holds = predicate()
            if not holds and ended is not None:
                pytest.fail(f"the collector ended with {ended}:\n{self._log_tail()}")
            return holds

        wait_until(holds_while_running, timeout, told=self._log_tail, every_s=0.02)

    def lines(self) -> list[Mapping[str, Any]]:
        """Return the messages written so far, in order of arrival, without an incomplete last line."""
        if not self.file.exists():
            return []
        whole, _, _ = self.file.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines() if line.strip(b"\0")]

    def metrics(self) -> list[ReceivedPoint]:
        """Every metric point of the logs written so far, in the order of arrival."""
        return [point for point in self._all_points() if not point.name.startswith("otel_logtail.")]

    def health(self) -> list[ReceivedPoint]:
        """Every point of the daemon's own health."""
        return [point for point in self._all_points() if point.name.startswith("otel_logtail.")]

    def _all_points(self) -> list[ReceivedPoint]:
        return [point for line in self.lines() for point in _points(line)]

    def spans(self) -> list[ReceivedSpan]:
        """Every span written so far, in the order of arrival."""
        return [span for line in self.lines() for span in _spans(line)]

    def scrape(self) -> str:
        """Return the metrics that a Prometheus would scrape now."""
        return _get(self._prometheus, "/metrics")

    def _ready(self) -> bool:
        try:
            _get(self._health, "/")
        except OSError:
            return False
        return True

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def _get(port: int, path: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=bound_s(5))
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            raise ConnectionError(f"{path} answered {response.status}")
        return response.read().decode()
    finally:
        connection.close()


def _points(line: Mapping[str, Any]) -> list[ReceivedPoint]:
    return [
        ReceivedPoint(
            resource=_attributes(resource["resource"]),
            scope=(scope["scope"].get("name", ""), scope["scope"].get("version", "")),
            name=metric["name"],
            unit=metric.get("unit", ""),
            kind=kind,
            temporality=metric[kind].get("aggregationTemporality", 0),
            monotonic=metric[kind].get("isMonotonic", False),
            attributes=_attributes(raw),
            start_ns=int(raw.get("startTimeUnixNano", 0)),  # a gauge has none
            time_ns=int(raw["timeUnixNano"]),
            value=int(raw.get("asInt" if kind in ("sum", "gauge") else "count", 0)),
            raw=raw,
        )
        for resource in line.get("resourceMetrics", [])
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
        for kind in ("sum", "histogram", "exponentialHistogram", "gauge")
        if kind in metric
        for raw in metric[kind]["dataPoints"]
    ]


def _spans(line: Mapping[str, Any]) -> list[ReceivedSpan]:
    return [
        ReceivedSpan(
            resource=_attributes(resource["resource"]),
            scope=(scope["scope"].get("name", ""), scope["scope"].get("version", "")),
            name=raw["name"],
            kind=raw["kind"],
            trace_id=raw["traceId"],
            span_id=raw["spanId"],
            start_ns=int(raw["startTimeUnixNano"]),
            end_ns=int(raw["endTimeUnixNano"]),
            status=raw.get("status", {}).get("code", 0),
            attributes=_attributes(raw),
            events=tuple(
                ReceivedEvent(event["name"], int(event["timeUnixNano"]), _attributes(event))
                for event in raw.get("events", [])
            ),
            dropped_events=raw.get("droppedEventsCount", 0),
        )
        for resource in line.get("resourceSpans", [])
        for scope in resource["scopeSpans"]
        for raw in scope["spans"]
    ]


def _attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["key"]: _value(entry["value"]) for entry in holder.get("attributes", [])}


def _value(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    return int(content) if kind == "intValue" else content
