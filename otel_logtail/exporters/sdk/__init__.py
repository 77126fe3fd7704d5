"""Any exporter that is installed for OpenTelemetry's Python SDK."""

from __future__ import annotations

from otel_logtail.exporter import EVENTS, HISTOGRAM, MAX_BUCKETS, Exporter, ExporterContext, ExporterPlugin
from otel_logtail.exporters.sdk.options import EXPORTER


def make(context: ExporterContext) -> Exporter:
    """Create the exporter."""
    from otel_logtail.exporters.sdk.exporter import make

    return make(context)


SDK = ExporterPlugin(
    summary="An exporter of OpenTelemetry's Python SDK (--sdk-exporter), from any installed package.",
    make=make,
    options=(EXPORTER, HISTOGRAM, MAX_BUCKETS, EVENTS),
)
