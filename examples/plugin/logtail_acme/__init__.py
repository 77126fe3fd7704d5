"""A plug-in for otel-logtail: the log of the web server acme, and episodes in a CSV file."""

from __future__ import annotations

from otel_logtail import (
    Choice,
    Explanation,
    Exporter,
    ExporterContext,
    ExporterPlugin,
    File,
    Observer,
    ObserverContext,
    ObserverPlugin,
    Option,
)

PART = Option(
    "acme_part",
    Choice(("total", "db")),
    "Part of a request that a sample measures: all of it (total), or its queries (db).",
    default="total",
)


def make_observer(context: ObserverContext) -> Observer:
    """Create the observer."""
    from logtail_acme.observer import AcmeObserver

    return AcmeObserver(context.require(PART))


ACME = ObserverPlugin(
    summary="The web server acme: the duration of each request, caused by the database or by rendering.",
    make=make_observer,
    options=(PART,),
    configuration=lambda: "log requests to access.log with took, db\n",
    no_sample="acme logs no durations: add 'log requests to access.log with took, db' to acme.conf",
    threshold_ms="250",
    causes={
        "db": Explanation(
            "the database",
            "The queries of the request take more than half of its time.",
            "Search for slow queries at that time, and for an index that is missing.",
        ),
        "render": Explanation(
            "rendering", "Building the answer takes most of the time.", "Cache the page, or give acme more CPU."
        ),
    },
)

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
