"""The options of OTLP. Pure."""

from __future__ import annotations

from otel_logtail.option import Choice, Option, Text

ENDPOINT = Option(
    "otlp_endpoint",
    Text(metavar="URL"),
    "URL of the collector, e.g. http://localhost:4318 (HTTP) or http://localhost:4317 (gRPC)."
    " Default: OTEL_EXPORTER_OTLP_ENDPOINT.",
)
PROTOCOL = Option(
    "otlp_protocol",
    Choice(("http/protobuf", "grpc")),
    "Protocol. Default: OTEL_EXPORTER_OTLP_PROTOCOL, else grpc for port 4317.",
)
