"""Captured logs of programs whose logs are read, and the breaches in them as ``FILE.expected.tsv`` has them.

A row was made from the line by other means than the observer, and ``client_ms`` was measured by the client.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from otel_logtail.errors import Drift
from otel_logtail.model import Observed, Rejected, Sample
from otel_logtail.observer import Observer
from tests.support.places import CAPTURES

MS = 10**6
SECOND = 10**9


class Expected(NamedTuple):
    """One breach. ``line`` counts from 1; ``client_ns`` is None if no client measured it."""

    line: int
    end_ns: int
    duration_ns: int
    cause: str
    parts_ms: dict[str, float]
    client_ns: int | None
    what: str


def read_lines(program: str, name: str) -> list[bytes]:
    """Return the lines of a captured log."""
    return (CAPTURES / program / name).read_bytes().split(b"\n")[:-1]


def read_expected(program: str, name: str) -> list[Expected]:
    """Return the breaches of a captured log."""
    path = Path(CAPTURES / program / f"{name}.expected.tsv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        Expected(
            line=int(row["line"]),
            end_ns=round(float(row["end_unix_s"]) * 1000) * MS,
            duration_ns=round(float(row["logged_ms"]) * MS),
            cause=row["cause"],
            parts_ms={name: float(ms) for name, ms in (part.split("=") for part in row["parts_ms"].split())},
            client_ns=round(float(row["client_ms"]) * MS) if row["client_ms"] else None,
            what=row["what"],
        )
        for row in rows
    ]


def answers(observer: Observer, lines: Iterable[bytes]) -> list[Observed | Drift]:
    """Return the answer to each line; one that drifts has its error."""
    found: list[Observed | Drift] = []
    for line in lines:
        try:
            found.append(observer.observe(line))
        except Drift as problem:
            found.append(problem)
    return found


def kinds(found: Iterable[Observed | Drift]) -> Counter[str]:
    """Count answers: ``sample``, ``ignored``, ``drift``, and the words of rejected lines."""
    return Counter(answer.why if isinstance(answer, Rejected) else type(answer).__name__.lower() for answer in found)


def check_breaches(found: list[Observed | Drift], expected: list[Expected], at_least_ns: int = 500 * MS) -> None:
    """Check that the breaches among the answers are exactly the expected ones, to the digits that are known."""
    breaches = {
        number: answer
        for number, answer in enumerate(found, 1)
        if isinstance(answer, Sample) and answer.duration_ns >= at_least_ns
    }
    assert list(breaches) == [row.line for row in expected]
    for row in expected:
        sample = breaches[row.line]
        assert abs(sample.time_ns - row.end_ns) <= MS // 2 + 1000, row  # the table has whole milliseconds
        assert abs(sample.duration_ns - row.duration_ns) <= 500, row  # and durations in microseconds
        assert sample.cause == row.cause, row
        stages = zip(sample.shape.stages, sample.stage_ns, strict=True)
        parts = {name: ns for name, ns in stages if ns is not None}
        assert set(parts) == set(row.parts_ms), row
        for name, ms in row.parts_ms.items():
            assert abs(parts[name] - ms * MS) <= max(500, 0.00001 * ms * MS), (row, name)  # six digits
