"""OTLP as JSON lines in a file, which the collector's otlpjsonfile receiver reads."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.check import Check, check_writable
from otel_logtail.exporter import EVENTS, HISTOGRAM, MAX_BUCKETS, Exporter, ExporterContext, ExporterPlugin
from otel_logtail.exporters.jsonl.options import FILE, KEEP, KIND, MAX_SIZE


def make(context: ExporterContext) -> Exporter:
    """Create the exporter."""
    from otel_logtail.exporters.jsonl.exporter import make

    return make(context)


def probe(context: ExporterContext, is_running: bool) -> Iterator[Check]:
    """Check that each file can be continued."""
    make(context).close()  # opens nothing, but refuses a file of another program
    for path in KIND.paths(context.require(FILE)).values():
        yield check_writable(path, f"fix its permissions, or name another file with {FILE.flag}")


JSONL = ExporterPlugin(
    summary="OTLP as JSON lines in a file (--jsonl-file), rotated by size.",
    make=make,
    options=(FILE, MAX_SIZE, KEEP, HISTOGRAM, MAX_BUCKETS, EVENTS),
    probe=probe,
)
