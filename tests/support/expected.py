"""The samples of a captured log: a row of ``FILE.expected.tsv`` for each one of 500 ms or more."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from otel_logtail.engine.engine import Engine, Now
from otel_logtail.engine.framing import AUTO
from otel_logtail.model import Chunk, FileState, Sample, SourceInfo, Tally, Unfinished
from otel_logtail.observer import Observer
from tests.support.hits import sample_at

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


def feed(observer: Observer, data: bytes, framing: str = AUTO) -> tuple[list[Sample], Tally]:
    """Return what the engine finds in a whole log: its samples, and how many lines were counted as what."""
    info = SourceInfo(1, "source", observer.name, "event", "store", BREACH_NS, 4 * BREACH_NS, 6 * BREACH_NS)
    now = Now(0, 0)
    engine = Engine(info, observer, interval_ns=10**10, unfinished=Unfinished(), now=now, framing=framing)
    file = FileState(1, "/logs/a.log", "/logs/a.log", 1, 2, len(data))
    batch = engine.feed(Chunk(bytearray(data), 0, len(data), 0, file, len(data)), now)
    return [sample_at(batch.samples, index) for index in range(len(batch.samples.offsets))], batch.tally
