"""Lines for people on standard output."""

from __future__ import annotations

from otel_logtail.exporter import Exporter, ExporterContext, ExporterPlugin


def make(context: ExporterContext) -> Exporter:
    """Create the exporter."""
    from otel_logtail.exporters.console.exporter import make

    return make(context)


CONSOLE = ExporterPlugin(summary="Lines for people on standard output: breaches, episodes, intervals.", make=make)
