"""A plug-in for otel-logtail: the log of the web server acme, and episodes in a CSV file."""

from __future__ import annotations

from otel_logtail import Choice, Exporter, ExporterContext, ExporterPlugin, File, Option

FILE = Option("csv_file", File(), "CSV file that episodes are appended to.")
SEPARATOR = Option("csv_separator", Choice((",", ";")), "Separator of the columns.", default=",")


def make(context: ExporterContext) -> Exporter:
    """Create the exporter."""
    from logtail_acme.exporter import CsvExporter

    return CsvExporter(context.require(FILE), context.require(SEPARATOR))


CSV = ExporterPlugin(
    summary="A CSV file (--csv-file) with a row for each episode.",
    make=make,
    options=(FILE, SEPARATOR),
)
