"""Ingest of each observer without C, on lines that its program wrote, relative to headroom's lines.

An observer is measured with each log in ``tests/captures/NAME`` that holds enough samples, or with the one that holds
the most. The lines of its samples are repeated in their order, and none is slow: in a capture a third can be, in
production one of some hundreds. A new observer needs nothing here.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import msgspec

from benchmarks import data
from benchmarks.data import CAPTURES
from benchmarks.figures import Figure, at_least
from benchmarks.ingest import CLEAN, PROGRAM
from benchmarks.process import Cost, in_turn, run
from otel_logtail.plugins import OBSERVERS, names

GROUP = "observers"
BASE = "headroom"
LEAST_RATE = 60_000
"""Samples per CPU second, without the start of Python."""


_NONE_IS_SLOW = ("--threshold-ms", "10000000", "--stall-ms", "20000000")


class Size(msgspec.Struct, frozen=True):
    """How many samples, how often each log is measured, and how many lines make a log worth it."""

    samples: int = 100_000
    runs: int = 3
    least: int = 20


TINY = Size(samples=500, runs=1)


def measure(folder: Path, size: Size, observers: Sequence[str] = ()) -> Iterator[Figure]:
    """Yield a figure for each log of each observer (empty: of all observers)."""
    base = data.made(folder, BASE, 0, data.Shape(), size.samples).files[0]
    start = _copy(base, folder / "start", 1)
    logs = {(BASE, base.name): base, **_logs(folder, size, observers or names(OBSERVERS))}
    measures: dict[str, Callable[[], Cost]] = {"start": lambda: _read(BASE, start, folder, 1)}
    for key, log in logs.items():
        measures[_name(*key)] = lambda key=key, log=log: _read(key[0], log, folder, size.samples)  # type: ignore[misc]
    found = {name: [cost.cpu_s for cost in costs] for name, costs in in_turn(size.runs, measures).items()}
    start_s = min(found.pop("start"))
    bases_s = found[_name(BASE, base.name)]
    for key, log in logs.items():
        costs_s = found[_name(*key)]
        cpu_s = max(min(costs_s) - start_s, _SHORTEST_S)
        pairs = (
            (mine - start_s) / max(of_base - start_s, _SHORTEST_S)
            for mine, of_base in zip(costs_s, bases_s, strict=True)
        )
        note = (
            f"{statistics.median(pairs):.2f} times the CPU time of {BASE}; {cpu_s / size.samples * 1e6:.2f} us"
            f" and {log.stat().st_size / size.samples:.0f} bytes per sample"
        )
        yield Figure(GROUP, _name(*key), size.samples / cpu_s, "samples/CPU s", at_least(LEAST_RATE), note)


_SHORTEST_S = 0.001  # of a tiny run


def _name(observer: str, log: str) -> str:
    return f"{observer}: {log}"


def _copy(log: Path, folder: Path, lines: int) -> Path:
    """Copy the first lines of a log."""
    folder.mkdir()
    path = folder / log.name
    with log.open("rb") as source:
        path.write_bytes(b"".join(islice(source, lines)))
    return path


def _logs(folder: Path, size: Size, observers: Sequence[str]) -> dict[tuple[str, str], Path]:
    """Write a log of so many samples for each captured one that has enough; return them by observer and name."""
    found = {}
    for observer in observers:
        captured = {
            path.name: lines_of_samples(observer, path, folder)
            for path in sorted((CAPTURES / observer).glob("*"))
            if path.is_file() and path.suffix not in (".md", ".tsv")
        }
        most = max(map(len, captured.values()), default=0)
        for name, lines in captured.items():
            if lines and len(lines) >= min(size.least, most):
                path = folder / f"{observer}-{name}" / name
                path.parent.mkdir()
                path.write_bytes(b"".join(islice(cycle(lines), size.samples)))
                found[observer, name] = path
    return found


def lines_of_samples(observer: str, captured: Path, folder: Path) -> Sequence[bytes]:
    """Return the lines of a log that are samples, as the program finds them."""
    place = folder / "captured"
    place.mkdir()
    shutil.copy(captured, place)
    db = place / "store.db"
    _run(observer, place / captured.name, db)
    asked = run([*PROGRAM, "query", "samples", "--db", str(db), "--format", "json"], environ=CLEAN)
    shutil.rmtree(place)
    starts = sorted(sample["offset"] for sample in json.loads(asked.output))
    text = captured.read_bytes()
    return [text[start : text.index(b"\n", start) + 1] for start in starts]


def _read(observer: str, log: Path, folder: Path, samples: int) -> Cost:
    """Read a log into an empty store without C.

    Raises:
        RuntimeError: a line is missing in the store.
    """
    db = folder / "store.db"
    for path in folder.glob("store.db*"):
        path.unlink()
    cost = _run(observer, log, db)
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as store:
        found = store.execute("SELECT sum(samples), sum(drift) FROM source").fetchone()
    if found != (samples, 0):
        raise RuntimeError(f"{log}: the store has (samples, drift) {found}, the log {samples}")
    return cost


def _run(observer: str, log: Path, db: Path) -> Cost:
    command = [*PROGRAM, "--observer", observer, "--path", str(log), "--db", str(db), "--once", *_NONE_IS_SLOW]
    return run(command, environ={**CLEAN, "OTEL_LOGTAIL_PURE_PYTHON": "1"})
