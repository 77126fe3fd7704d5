"""Environments that record which of their variables are read."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

from otel_logtail import environment
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.detectors import detect
from otel_logtail.exporters.otlp.config import read_settings
from otel_logtail.exporters.prometheus import exporter as prometheus
from otel_logtail.option import Options
from tests.support.ports import free_port

E = "OTEL_EXPORTER_OTLP_"
SIGNALS = ("METRICS", "TRACES", "LOGS")


class Recorder(Mapping[str, str]):
    """An environment that records the requested names."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values_ = dict(values)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def asked() -> set[str]:
    """Every variable of OpenTelemetry that our code reads."""
    environ = Recorder({})
    for protocol in ("grpc", "http/protobuf"):  # a variable of one protocol is read for it only
        environ.values_[E + "PROTOCOL"] = protocol
        read_settings(Options(environ, {"events": "both"}))
    environment.unwanted(environ)
    environment.service_name(environ)
    environment.export_interval(environ)
    environment.asks_for_otlp(environ)
    detect(environ, Reporter(io.StringIO()))
    environ.values_["OTEL_EXPORTER_PROMETHEUS_PORT"] = str(free_port())
    prometheus.make(ExporterContext(environ)).close()
    return {name for name in environ.asked if name.startswith("OTEL_")}
