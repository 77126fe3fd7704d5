"""OTLP, OpenTelemetry's own protocol, over HTTP or gRPC: a collector, or any backend that accepts OTLP."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.check import Check
from otel_logtail.environment import asks_for_otlp
from otel_logtail.exporter import EVENTS, HISTOGRAM, MAX_BUCKETS, Exporter, ExporterContext, ExporterPlugin
from otel_logtail.exporters.otlp.options import ENDPOINT, PROTOCOL


def make(context: ExporterContext) -> Exporter:
    """Create the exporter."""
    from otel_logtail.exporters.otlp.exporter import make

    return make(context)


def probe(context: ExporterContext, is_running: bool) -> Iterator[Check]:
    """Send an empty request of each signal, and compare the clocks."""
    from otel_logtail.exporters.otlp.probe import probe

    return probe(context)


OTLP = ExporterPlugin(
    summary="OTLP over HTTP or gRPC, to a collector or any backend that accepts OTLP (--otlp-endpoint).",
    make=make,
    options=(ENDPOINT, PROTOCOL, HISTOGRAM, MAX_BUCKETS, EVENTS),
    probe=probe,
    is_asked_for=lambda context: context.get(ENDPOINT) is not None or asks_for_otlp(context.environ),
)
