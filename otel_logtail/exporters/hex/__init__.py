"""hex: its event bus, and its own telemetry table."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.check import Check
from otel_logtail.exporter import Exporter, ExporterContext, ExporterPlugin
from otel_logtail.exporters.hex.options import DB, MAX_AGE, URL


def make_bus(context: ExporterContext) -> Exporter:
    """Create the exporter for the event bus."""
    from otel_logtail.exporters.hex.bus import make

    return make(context)


def make_telemetry(context: ExporterContext) -> Exporter:
    """Create the exporter for the telemetry table."""
    from otel_logtail.exporters.hex.telemetry import make

    return make(context)


def probe_bus(context: ExporterContext, is_running: bool) -> Iterator[Check]:
    """Connect to hex's engine."""
    from otel_logtail.exporters.hex.probe import probe_bus

    return probe_bus(context)


def probe_telemetry(context: ExporterContext, is_running: bool) -> Iterator[Check]:
    """Check that the telemetry database exists and can be written."""
    from otel_logtail.exporters.hex.probe import probe_telemetry

    return probe_telemetry(context)


HEX = ExporterPlugin(
    summary="The hex bus: each breach and each episode as an event (--hex-url).",
    make=make_bus,
    options=(URL, MAX_AGE),
    probe=probe_bus,
)
HEX_TELEMETRY = ExporterPlugin(
    summary="hex's own telemetry table: a row for each breach and each episode (--hex-db).",
    make=make_telemetry,
    options=(DB,),
    probe=probe_telemetry,
)
