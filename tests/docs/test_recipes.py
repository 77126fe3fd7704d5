"""The recipes for backends: a stand-in for each gets what its backend requires."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_logtail.environment import problems
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp import OTLP
from otel_logtail.model import Delivered, ExportBatch, MarkRecord, Stream
from tests.support.otlp_items import SOURCE, T0, episode, episodes, intervals, point
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "how-to" / "backends.md").read_text()
KINDS: dict[str, Any] = {
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
}
CUMULATIVE, DELTA = 2, 1


class Expected(NamedTuple):
    """The requirements of a backend. ``headers`` are those of all signals, ``more`` those of one."""

    headers: Mapping[str, str]
    path: str = ""
    more: Mapping[tuple[str, str], str] = {}
    temporality: int = CUMULATIVE
    histogram: str = "histogram"
    is_compressed: bool = True


EXPECTED = {
    "Grafana Cloud": Expected({"authorization": "Basic BASE64"}, "/otlp"),
    "Self-hosted LGTM": Expected({}, histogram="exponential_histogram", is_compressed=False),
    "Datadog": Expected(
        {"dd-api-key": "API_KEY"}, more={("traces", "dd-otlp-source"): "datadoghq.com"}, temporality=DELTA
    ),
    "Dynatrace": Expected({"authorization": "Api-Token TOKEN"}, "/api/v2/otlp", temporality=DELTA),
    "New Relic": Expected({"api-key": "LICENSE_KEY"}, temporality=DELTA, histogram="exponential_histogram"),
    "Honeycomb": Expected({"x-honeycomb-team": "API_KEY"}, more={("metrics", "x-honeycomb-dataset"): "otel-logtail"}),
    "SigNoz": Expected({"signoz-ingestion-key": "INGESTION_KEY"}),
}


def recipes() -> dict[str, dict[str, str]]:
    """Return the variables of each recipe on the page."""
    section = PAGE.partition("## Recipes\n")[2].partition("\n## ")[0]
    found = re.findall(r"^### (.*?)\n(?:(?!^### ).*\n)*?```sh\n((?:.*\n)*?)```$", section, flags=re.MULTILINE)
    return {name: dict(line.split("=", 1) for line in text.splitlines()) for name, text in found}


class Got(NamedTuple):
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    message: Any


class StandIn(ThreadingHTTPServer):
    """The backend's address on this machine; it accepts everything."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[Got] = []


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        message = KINDS[self.path.rpartition("/")[2]].FromString(body)
        self.server.got.append(Got(self.path, headers, message))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def moved(variables: Mapping[str, str], server: StandIn) -> dict[str, str]:
    """Return the variables with the stand-in in place of scheme and host."""
    here = f"http://127.0.0.1:{server.server_address[1]}"
    return {
        name: f"{here}{urlsplit(value).path}" if name.endswith("ENDPOINT") else value
        for name, value in variables.items()
    }


def test_each_recipe_has_its_requirements() -> None:
    assert recipes().keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recipe_sends_what_its_backend_requires(name: str, stand_in: StandIn) -> None:
    expected, environ = EXPECTED[name], moved(recipes()[name], stand_in)
    assert not problems(environ)
    context = ExporterContext(environ, {}, host="box", version="1")
    assert OTLP.is_asked_for(context)
    exporter = OTLP.make(context)
    points = intervals(point([100, 600, 3000], delta_ms=[600, 3000]))
    marks = ExportBatch(Stream.MARKS, (MarkRecord(1, SOURCE, bytes(16), T0, "started"),))
    try:
        assert [exporter.export(batch) for batch in (points, episodes(episode([600])), marks)] == [Delivered()] * 3
    finally:
        exporter.close()
    assert [got.path for got in stand_in.got] == [f"{expected.path}/v1/{signal}" for signal in KINDS]
    for signal, got in zip(KINDS, stand_in.got, strict=True):
        more = {header: value for (of, header), value in expected.more.items() if of == signal}
        assert got.headers.items() >= {**expected.headers, **more}.items()
        assert not {header for of, header in expected.more if of != signal} & got.headers.keys()
        assert got.headers["content-type"] == "application/x-protobuf"
        assert (got.headers.get("content-encoding") == "gzip") == expected.is_compressed
    (resource,) = stand_in.got[0].message.resource_metrics
    metric = next(one for one in resource.scope_metrics[0].metrics if one.name == "log.overhead.duration")
    data = getattr(metric, metric.WhichOneof("data"))
    assert (metric.WhichOneof("data"), data.aggregation_temporality) == (expected.histogram, expected.temporality)
    assert data.data_points[0].count == (2 if expected.temporality == DELTA else 3)
