"""A scrape endpoint for Prometheus, as text or as OpenMetrics with exemplars."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.check import Check
from otel_logtail.exporter import HISTOGRAM, Exporter, ExporterContext, ExporterPlugin
from otel_logtail.exporters.prometheus.options import HOST, PORT


def make(context: ExporterContext) -> Exporter:
    """Create the exporter."""
    from otel_logtail.exporters.prometheus.exporter import make

    return make(context)


def probe(context: ExporterContext, is_running: bool) -> Iterator[Check]:
    """Scrape the running daemon."""
    from otel_logtail.exporters.prometheus.probe import probe

    return probe(context, is_running)


PROMETHEUS = ExporterPlugin(
    summary="A scrape endpoint for Prometheus (--prometheus-port), with OpenMetrics and exemplars.",
    make=make,
    options=(PORT, HOST, HISTOGRAM),
    probe=probe,
)
