"""The options of the scrape endpoint. Pure."""

from __future__ import annotations

from otel_logtail.option import Integer, Option, Text

PORT = Option(
    "prometheus_port",
    Integer(1, 65535, metavar="PORT"),
    "Port of the scrape endpoint. Default: OTEL_EXPORTER_PROMETHEUS_PORT, else 9464.",
)
HOST = Option(
    "prometheus_host",
    Text(metavar="ADDRESS"),
    "Address that the scrape endpoint listens on. Default: OTEL_EXPORTER_PROMETHEUS_HOST, else 127.0.0.1.",
)
