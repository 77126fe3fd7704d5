"""The samples of a captured log: a row of ``FILE.expected.tsv`` for each one of 500 ms or more."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from otel_logtail.model import Sample

BREACH_NS = 500_000_000


class Row(NamedTuple):
    """One sample: the number of its line, its end, duration and cause, and its parts as the file writes them."""

    line: int
    end_ns: int
    duration_ns: int
    cause: str
    parts: str


def read_rows(log: Path) -> list[Row]:
    """Return the rows that belong to a captured log."""
    lines = log.with_name(f"{log.name}.expected.tsv").read_text().splitlines()
    names = lines[0].split("\t")
    cells = [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]
    return [
        Row(
            int(cell["line"]),
            int(Decimal(cell["end_unix_s"]) * 10**9),
            int(Decimal(cell["logged_ms"]) * 10**6),
            cell["cause"],
            cell["parts_ms"],
        )
        for cell in cells
    ]


def row_of(line: int, sample: Sample, parts: str) -> Row:
    """Return a sample as such a row."""
    return Row(line, sample.time_ns, sample.duration_ns, sample.cause, parts)
