"""A real OpenTelemetry Collector for tests: started with this project's own configuration, read back from its file.

``find_collector()`` gives the binary, or skips the test with a word on how to get one (``REQUIRE_COLLECTOR=1`` makes
that a failure, so that a build machine can't skip by accident).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from otel_logtail.model import HEALTH_NAMES
from tests.support.places import ROOT
from tests.support.ports import free_ports
from tests.support.real_programs import RealProgram, find_program
from tests.support.waiting import bound_s

CONFIGS = ROOT / "collector-config"
FINDER = ROOT / "scripts" / "collector"


def find_collector() -> Path:
    """The collector's binary; skips or fails the test if there is none."""
    return find_program("collector")


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
    parent_id: str = ""


class Collector(RealProgram):
    """One collector on ports of its own, with its file in ``folder``."""

    name = "the collector"

    def __init__(self, binary: Path, folder: Path, *configs: str, environ: Mapping[str, str] | None = None) -> None:
        """``configs`` are files of collector-config, merged in order; ``environ`` has the variables that they need."""
        super().__init__(folder)
        self._binary = binary
        self._configs = configs or ("collector.yaml",)
        self._environ = dict(environ or {})
        self._grpc, self._http, self._prometheus, self._health = free_ports(4)
        self.file = folder / "otel-logtail.jsonl"
        self.grpc_endpoint = f"http://127.0.0.1:{self._grpc}"
        self.http_endpoint = f"http://127.0.0.1:{self._http}"
        self.prometheus_url = f"http://127.0.0.1:{self._prometheus}/metrics"

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        environ = {
            "OTLP_GRPC_PORT": str(self._grpc),
            "OTLP_HTTP_PORT": str(self._http),
            "PROMETHEUS_PORT": str(self._prometheus),
            "HEALTH_PORT": str(self._health),
            "OTLP_FILE": str(self.file),
            "GATEWAY_LISTEN": f"127.0.0.1:{self._grpc}",
            "HEALTH_LISTEN": f"127.0.0.1:{self._health}",
            "QUEUE_DIR": str(self._folder / "queue"),
            **self._environ,
        }
        return [str(self._binary), *(f"--config={CONFIGS / name}" for name in self._configs)], environ

    def lines(self) -> list[Mapping[str, Any]]:
        """Return the messages written so far, in order of arrival, without an incomplete last line."""
        if not self.file.exists():
            return []
        whole, _, _ = self.file.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines() if line.strip(b"\0")]

    def metrics(self) -> list[ReceivedPoint]:
        """Every total of the logs written so far, in the order of arrival."""
        return [point for point in self._of_logs() if point.kind != "gauge"]

    def maxima(self) -> list[ReceivedPoint]:
        """Every maximum of an interval written so far, in the order of arrival."""
        return [point for point in self._of_logs() if point.kind == "gauge"]

    def _of_logs(self) -> list[ReceivedPoint]:
        return [point for point in self._all_points() if not point.name.startswith(HEALTH_NAMES)]

    def health(self) -> list[ReceivedPoint]:
        """Every point of the daemon's own health."""
        return [point for point in self._all_points() if point.name.startswith(HEALTH_NAMES)]

    def _all_points(self) -> list[ReceivedPoint]:
        return [point for line in self.lines() for point in _points(line)]

    def spans(self) -> list[ReceivedSpan]:
        """Every span written so far, in the order of arrival."""
        return [span for line in self.lines() for span in _spans(line)]

    def scrape(self) -> str:
        """Return the metrics that a Prometheus would scrape now."""
        return _get(self._prometheus, "/metrics")

    def is_ready(self) -> bool:
        try:
            _get(self._health, "/")
        except OSError:
            return False
        return True


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
            parent_id=raw.get("parentSpanId", ""),
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
