"""Stalls in a CSV file: span id, start and end (seconds since the epoch), breaches, peak in ms, severity, cause.

It keeps nothing in memory: the store knows what the file has. A row may be written twice (a crash at the wrong moment),
always with the same span id.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from otel_logtail import (
    Delivered,
    Delivery,
    EpisodeRecord,
    ExportBatch,
    Exporter,
    ExporterContext,
    Retry,
    Stream,
    UsageError,
)


class CsvExporter(Exporter):
    """One file, appended to."""

    name = "csv"
    wants = frozenset({Stream.EPISODES})

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, batch: ExportBatch) -> Delivery:
        """All rows, or none: then they come again."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerows(row(item) for item in batch.items if isinstance(item, EpisodeRecord))
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text.getvalue())
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            return Retry(f"{self._path}: {problem.strerror}")
        return Delivered()

    def close(self) -> None:
        """Nothing is open between batches."""


def row(record: EpisodeRecord) -> list[str]:
    """An episode as a row."""
    episode = record.episode
    return [
        episode.span_id.hex(),
        f"{episode.start_ns / 1e9:.3f}",
        f"{episode.end_ns / 1e9:.3f}",
        str(episode.count),
        f"{episode.peak_ns / 1e6:.1f}",
        episode.severity.label,
        episode.cause,
    ]


def make(context: ExporterContext) -> CsvExporter:
    """A CSV file (ACME_CSV) with a row for each stall.

    Raises:
        UsageError: the variable is not set.
    """
    name = context.options.get("file") or context.environ.get("ACME_CSV", "")
    if not name:
        raise UsageError("the exporter csv needs a file", hint="set ACME_CSV to its path")
    return CsvExporter(Path(name))
