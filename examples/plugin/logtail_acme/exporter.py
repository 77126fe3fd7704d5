"""Episodes in a CSV file: span id, start and end (seconds since the epoch), breaches, peak in ms, severity, cause.

The exporter keeps nothing in memory, since the store keeps its position. After a crash a row may be written twice, with
the same span id.
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
    Retry,
    Stream,
)


class CsvExporter(Exporter):
    """One file that rows are appended to."""

    name = "csv"
    wants = frozenset({Stream.EPISODES})

    def __init__(self, path: Path, separator: str) -> None:
        self._path = path
        self._separator = separator

    def export(self, batch: ExportBatch) -> Delivery:
        """Append all rows, or none."""
        text = io.StringIO()
        rows = csv.writer(text, delimiter=self._separator, lineterminator="\n")
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
    """Return an episode as a row."""
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
