"""How long things take from a line's write: until it is committed, until a collector has its breach.

Committed: a reader polls the store (``PRAGMA data_version`` changes with each visible commit) and notes the number of
samples. Its delay counts as our latency, so its resolution is shown next to the figure. The floor is a bare loop in the
same run, under the same reader: on a busy machine its p99 is that of the scheduler.

At the collector: a real one, whose file is polled; its own flush (5 ms) and the poll (1 ms) are part of the figure.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.daemon import Following, writing
from benchmarks.figures import Bar, Figure, at_most
from benchmarks.ingest import FLOORS, ROOT
from tests.support.collector import Collector, find_collector

GROUP = "latency"
HERE = Path(__file__).parent
_POLL_S = 0.0001


class Size(msgspec.Struct, frozen=True):
    """How long each is measured."""

    runs: int = 6
    slow_s: float = 6.0
    fast_s: float = 2.0
    breaches: int = 25


TINY = Size(runs=1, slow_s=0.5, fast_s=0.2, breaches=2)


class Seen(msgspec.Struct, frozen=True):
    """Latencies of one run, and how closely it was looked."""

    ms: list[float]
    gap_ms: float

    def at(self, share: float) -> float:
        """The latency which so many have not more than."""
        ordered = sorted(self.ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(folder: Path, size: Size) -> Iterator[Figure]:
    """Every figure of this group."""
    for a_second, seconds in ((10.0, size.slow_s), (2000.0, size.fast_s)):
        runs, floors = [], []
        for number in range(size.runs):
            place = folder / f"commit-{a_second:.0f}-{number}"
            runs.append(committed(place, a_second, seconds))
            floors.append(floor(place, a_second, seconds))
        name = f"append to committed, {a_second:,.0f} lines/s"
        for share, most in ((0.5, 1.0), (0.99, 3.0)):
            percentile = f"{name}: p{share * 100:.0f}"
            yield _figure(percentile, runs, share, at_most(most))
            yield _figure(f"{percentile} of the floor", floors, share, None)
            ratio = statistics.median(a.at(share) / b.at(share) for a, b in zip(runs, floors, strict=True))
            note = "median of the pairs of runs"
            yield Figure(GROUP, f"{percentile}, relative to the floor", ratio, "times", at_most(2.5), note)
    binary = find_collector()
    for name, arguments, counted, bar in (
        ("its log record", ("--events", "log"), _records, at_most(1500)),
        (
            "its log record, --export-interval 0.05s",
            ("--events", "log", "--export-interval", "0.05s"),
            _records,
            at_most(100),
        ),
        ("its count, by default", (), _breaches, at_most(1500)),
        ("its count, --export-interval 0.05s", ("--export-interval", "0.05s"), _breaches, at_most(100)),
    ):
        seen = received(folder / name.replace(" ", "-"), binary, arguments, counted, size.breaches)
        yield _figure(f"breach to collector, {name}: p50", [seen], 0.5, None)
        yield _figure(f"breach to collector, {name}: p99", [seen], 0.99, bar)


def _figure(name: str, runs: Sequence[Seen], share: float, bar: Bar | None) -> Figure:
    values = sorted(run.at(share) for run in runs)
    note = f"{len(runs[0].ms)} lines per run, polled every {max(run.gap_ms for run in runs):.2f} ms (median)"
    if len(values) > 1:
        note += f"; best of {', '.join(f'{value:.2f}' for value in values)} ms"
    return Figure(GROUP, name, values[0], "ms", bar, note)


def committed(folder: Path, a_second: float, seconds: float) -> Seen:
    """Latencies from just before a line's write until a reader sees its commit."""
    folder.mkdir()
    lines = max(2, round(a_second * seconds))
    stamps = folder / "stamps"
    with Following(folder) as daemon:
        _warm_up(daemon)
        with closing(sqlite3.connect(f"file:{daemon.db}?mode=ro", uri=True, isolation_level=None)) as store:
            writer = writing(daemon.log, a_second, lines, stamps)
            seen, gap_ms = _watch(store, "SELECT samples FROM source", writer, lines + 1, seconds + 30)
    return _latencies(stamps, seen, gap_ms)


def floor(folder: Path, a_second: float, seconds: float) -> Seen:
    """The same of a bare loop that asks the file again and again and commits a row a line: what the machine allows."""
    lines = max(2, round(a_second * seconds))
    stamps, log, db = folder / "floor-stamps", folder / "floor.log", folder / "floor.db"
    writing(log, 10, 1, stamps).wait()
    loop = subprocess.Popen([*FLOORS, "tail", str(log), str(db)], cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 30
        while not _has_a_row(db) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True, isolation_level=None)) as store:
            writer = writing(log, a_second, lines, stamps)
            seen, gap_ms = _watch(store, "SELECT max(id) FROM sample", writer, lines + 1, seconds + 30)
    finally:
        loop.terminate()
        loop.wait()
    return _latencies(stamps, seen, gap_ms)


def _has_a_row(db: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as store:
            return bool(store.execute("SELECT max(id) FROM sample").fetchone()[0])
    except sqlite3.Error:
        return False  # it is being made


def _latencies(stamps: Path, seen: Sequence[tuple[int, int]], gap_ms: float) -> Seen:
    written = [int(text) for text in stamps.read_text().split()]
    arrived = iter(seen)
    at_ns, count = next(arrived)
    ms = []
    for number, stamp in enumerate(written):
        while count < number + 2:  # the first line was there before
            at_ns, count = next(arrived)
        ms.append((at_ns - stamp) / 1e6)
    return Seen(ms, gap_ms)


def _warm_up(daemon: Following) -> None:
    """Its first line is in: all that is made or imported at the first one is there."""
    writing(daemon.log, 10, 1, daemon.folder / "first").wait()
    daemon.wait_until(lambda: daemon.samples() >= 1)


def _watch(
    store: sqlite3.Connection, count: str, writer: subprocess.Popen[bytes], samples: int, timeout_s: float
) -> tuple[list[tuple[int, int]], float]:
    """When which number of samples was there, and the usual gap between two looks."""
    look = "PRAGMA data_version"
    version = store.execute(look).fetchone()
    seen, gaps = [], []
    deadline_ns = time.monotonic_ns() + round(timeout_s * 1e9)
    before_ns, found = time.monotonic_ns(), 0
    while found < samples:
        time.sleep(_POLL_S)
        newest = store.execute(look).fetchone()
        now_ns = time.monotonic_ns()
        gaps.append(now_ns - before_ns)
        before_ns = now_ns
        if newest != version:
            version = newest
            found = store.execute(count).fetchone()[0]
            seen.append((now_ns, found))
        elif now_ns > deadline_ns:
            writer.kill()
            raise RuntimeError(f"{found} of {samples} samples were committed in {timeout_s:.0f} s")
    writer.wait()
    return seen, sorted(gaps)[len(gaps) // 2] / 1e6


def received(
    folder: Path, binary: Path, arguments: Sequence[str], counted: Callable[[Any], int], breaches: int
) -> Seen:
    """Latencies from just before a breach's write until the collector's file holds it."""
    folder.mkdir()
    stamps = folder / "stamps"
    with (
        Collector(binary, folder, "collector.yaml", str(HERE / "flush.yaml")) as collector,
        Following(folder, "--otlp-endpoint", collector.http_endpoint, *arguments) as daemon,
    ):
        _warm_up(daemon)
        writer = writing(daemon.log, 1.9, breaches, stamps, total_ms=600.0)
        arrived: list[int] = []
        position = found = 0
        deadline_s = time.monotonic() + breaches + 60
        while found < breaches:
            time.sleep(0.001)
            if time.monotonic() > deadline_s:
                writer.kill()
                raise RuntimeError(f"the collector has {found} of {breaches} breaches")
            if not collector.file.exists() or collector.file.stat().st_size == position:
                continue
            now_ns = time.monotonic_ns()
            with collector.file.open("rb") as file:
                file.seek(position)
                for text in file:
                    if not text.endswith(b"\n"):
                        break
                    position += len(text)
                    more = counted(json.loads(text))
                    found = max(found, more) if counted is _breaches else found + more
            arrived += [now_ns] * (found - len(arrived))
        writer.wait()
    written = [int(text) for text in stamps.read_text().split()]
    return Seen([(at - stamp) / 1e6 for at, stamp in zip(arrived, written, strict=True)], 1.0)


def _records(message: Any) -> int:
    """How many log records a request held."""
    return sum(
        len(scope["logRecords"]) for resource in message.get("resourceLogs", []) for scope in resource["scopeLogs"]
    )


def _breaches(message: Any) -> int:
    """The total of breaches that a request told of."""
    return max(
        (
            int(point["asInt"])
            for resource in message.get("resourceMetrics", [])
            for scope in resource["scopeMetrics"]
            for metric in scope["metrics"]
            if metric["name"] == "log.overhead.breaches"
            for point in metric["sum"]["dataPoints"]
        ),
        default=0,
    )
