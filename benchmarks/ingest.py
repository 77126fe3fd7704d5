"""Logs into the store, as fast as it goes: against the floors, and against peers."""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from benchmarks import data, peers
from benchmarks.data import MB, Log, Shape
from benchmarks.figures import Bar, Figure, at_least, at_most
from benchmarks.process import Cost, in_turn, least_cpu_s, ratio, run

PROGRAM = (sys.executable, "-m", "otel_logtail")
FLOORS = (sys.executable, "-m", "benchmarks.floors")
ROOT = Path(__file__).parent.parent


Against = Callable[[Log, Path, int], Iterator[Figure]]


class Size(msgspec.Struct, frozen=True):
    """How much log, and how often each is measured."""

    hits: int = 500 * MB
    few: int = 2000 * MB
    captures: int = 200 * MB
    many: int = 100 * MB
    files: int = 200
    peers: int = 100 * MB
    peers_few: int = 500 * MB
    runs: int = 3


TINY = Size(hits=MB, few=2 * MB, captures=MB, many=MB, files=5, peers=MB // 2, peers_few=MB, runs=1)


def ours(log: Log, folder: Path, *arguments: str, pure: bool = False) -> Cost:
    """Read all of a log into an empty store, and see that all of it is there; ``pure``: without the helpers in C."""
    db = folder / "store.db"
    for path in folder.glob("store.db*"):
        path.unlink()
    paths = [part for path in log.files for part in ("--path", str(path))]
    if len(log.files) > 1:
        paths = ["--path", str(log.files[0].parent / "proxy*.log")]
    environ = {**CLEAN, "OTEL_LOGTAIL_PURE_PYTHON": "1" if pure else ""}
    cost = run([*PROGRAM, "--observer", "headroom", *paths, "--db", str(db), "--once", *arguments], environ=environ)
    check(db, log)
    return cost


CLEAN = {name: "" for name in os.environ if name.startswith("OTEL_")}
"""So that nothing of the caller's environment decides what is measured."""


def check(db: Path, log: Log) -> None:
    """All of a log is in a store.

    Raises:
        RuntimeError: something is missing.
    """
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as store:
        found = store.execute("SELECT sum(samples), sum(bytes), sum(drift) FROM source").fetchone()
        counted = store.execute("SELECT sum(count) FROM minutes").fetchone()
    if found != (log.samples, log.bytes, 0) or (counted[0] or 0) != log.samples:
        raise RuntimeError(f"{log.name}: the store has {found} and counts {counted}, the log {log.samples, log.bytes}")


def grep(log: Log) -> Cost:
    """Count the lines that hold the marker: reading and searching, and nothing else."""
    files = [str(path) for path in log.files]
    return run(["grep", "-c", "-F", data.MARKER.decode(), *files], environ={"LC_ALL": "C"}, codes=(0, 1))


def decode(log: Log) -> Cost:
    """The bare loop that finds and decodes."""
    return run([*FLOORS, "decode", str(log.files[0])], cwd=ROOT)


def store_cpu_s(log: Log, folder: Path) -> float:
    """CPU seconds of inserting a plain row for each sample."""
    for path in folder.glob("floor.db*"):
        path.unlink()
    _, seconds = run([*FLOORS, "store", str(log.files[0]), str(folder / "floor.db")], cwd=ROOT).output.split()
    return float(seconds)


def measure(folder: Path, size: Size) -> Iterator[Figure]:
    """Every figure of this group."""
    sets: tuple[tuple[Callable[[], Log], Against], ...] = (
        (lambda: data.made(folder, "all hits", size.hits, Shape()), _all_hits),
        (lambda: data.made(folder, "2 % hits", size.few, Shape(0.02)), _few_hits),
        (lambda: data.made(folder, "0 hits", size.few, Shape(0)), _no_hits),
        (lambda: data.captures(folder, "captures", size.captures), _captures),
        (lambda: data.many_files(folder, "many files", size.many, size.files, Shape(0.1)), _many_files),
    )
    for make, against in sets:
        log = make()
        yield from against(log, folder, size.runs)
        _remove(log)
    for log in (
        data.made(folder, "all hits, peers", size.peers, Shape()),
        data.made(folder, "2 % hits, peers", size.peers_few, Shape(0.02)),
    ):
        yield from against_peers(log, folder, size.runs)
        _remove(log)


def _all_hits(log: Log, folder: Path, runs: int) -> Iterator[Figure]:
    found = in_turn(
        runs,
        {
            "ours": lambda: ours(log, folder),
            "decode": lambda: decode(log),
            "told": lambda: ours(log, folder, *TOLD),
            "pure": lambda: ours(log, folder, pure=True),
        },
    )
    mine, floor = found["ours"], found["decode"]
    rows_s = min(store_cpu_s(log, folder) for _ in range(runs))
    yield _rate(log, mine, at_least(600_000))
    yield _finer(log, mine, found["told"])
    yield _times(log, "the decode floor", ratio(mine, floor), at_most(3.3), _each(log, floor, "decode"))
    yield _times(
        log,
        "executemany of plain rows",
        least_cpu_s(mine) / rows_s,
        None,
        f"inserting alone: {rows_s / log.samples * 1e6:.2f} us per sample",
    )
    yield _times(log, "pure Python", ratio(mine, found["pure"]), None, _each(log, found["pure"], "it"))
    pure = log.samples / least_cpu_s(found["pure"])
    yield Figure(GROUP, f"{log.name}: pure Python, into the store", pure, "samples/CPU s", at_least(90_000))
    yield _peak(log, mine)


def _few_hits(log: Log, folder: Path, runs: int) -> Iterator[Figure]:
    found = in_turn(
        runs,
        {
            "ours": lambda: ours(log, folder),
            "grep": lambda: grep(log),
            "decode": lambda: decode(log),
            "told": lambda: ours(log, folder, *TOLD),
        },
    )
    mine = found["ours"]
    yield _bytes(log, mine, at_least(2500))
    yield _finer(log, mine, found["told"])
    yield _times(log, "grep -c -F", ratio(mine, found["grep"]), at_most(5), _speed(log, found["grep"], "grep"))
    yield _times(log, "the decode floor", ratio(mine, found["decode"]), None, _speed(log, found["decode"], "decode"))
    yield _peak(log, mine)


def _no_hits(log: Log, folder: Path, runs: int) -> Iterator[Figure]:
    found = in_turn(runs, {"ours": lambda: ours(log, folder), "grep": lambda: grep(log)})
    yield _bytes(log, found["ours"], None)
    yield _times(log, "grep -c -F", ratio(found["ours"], found["grep"]), at_most(3), _speed(log, found["grep"], "grep"))


def _captures(log: Log, folder: Path, runs: int) -> Iterator[Figure]:
    found = in_turn(runs, {"ours": lambda: ours(log, folder), "grep": lambda: grep(log), "decode": lambda: decode(log)})
    mine = found["ours"]
    yield _bytes(log, mine, None)
    yield _times(log, "grep -c -F", ratio(mine, found["grep"]), None, _speed(log, found["grep"], "grep"))
    yield _times(log, "the decode floor", ratio(mine, found["decode"]), None, _speed(log, found["decode"], "decode"))


def _many_files(log: Log, folder: Path, runs: int) -> Iterator[Figure]:
    found = in_turn(runs, {"ours": lambda: ours(log, folder), "grep": lambda: grep(log)})
    mine = found["ours"]
    yield _rate(log, mine, None, f"{len(log.files)} files, 10 % hits")
    yield _times(log, "grep -c -F", ratio(mine, found["grep"]), None, _speed(log, found["grep"], "grep"))
    yield _peak(log, mine)


def against_peers(log: Log, folder: Path, runs: int) -> Iterator[Figure]:
    """Compare our program with each available peer on the same log, and name the peers that are missing."""
    measures: dict[str, Callable[[], Cost]] = {"ours": lambda: ours(log, folder)}
    missing = {}
    for peer in peers.PEERS:
        try:
            program = peer.find()
        except peers.Missing as why:
            missing[peer.name] = str(why)
            continue
        measures[peer.name] = lambda peer=peer, program=program: peer.read(program, log, folder)  # type: ignore[misc]
    found = in_turn(runs, measures)
    mine = found["ours"]
    for peer in peers.PEERS:
        name = f"{log.name}: CPU of {peer.name}, relative to ours"
        if peer.name in missing:
            yield Figure("peers", name, None, "", None, missing[peer.name])
            continue
        theirs = found[peer.name]
        each = f"{_each(log, theirs, 'it')}, {_speed(log, theirs, '')}, {max(c.peak_mib for c in theirs):.0f} MiB"
        yield Figure("peers", name, 1 / ratio(mine, theirs), "times", None, f"{each}; {peer.what}")
    yield Figure(
        "peers",
        f"{log.name}: ours",
        log.samples / least_cpu_s(mine),
        "samples/CPU s",
        None,
        f"{_speed(log, mine, '')}, {max(cost.peak_mib for cost in mine):.0f} MiB; start of Python included",
    )


def _rate(log: Log, costs: Sequence[Cost], bar: Bar | None, note: str = "") -> Figure:
    wall_s = min(cost.wall_s for cost in costs)
    said = f"{log.samples:,} samples, {least_cpu_s(costs):.2f} CPU s, {wall_s:.2f} s wall time"
    rate = log.samples / least_cpu_s(costs)
    return Figure(
        GROUP, f"{log.name}: into the store", rate, "samples/CPU s", bar, "; ".join(filter(None, (said, note)))
    )


def _bytes(log: Log, costs: Sequence[Cost], bar: Bar | None) -> Figure:
    said = f"{log.bytes / MB:,.0f} MB, {least_cpu_s(costs):.2f} CPU s, {log.samples:,} samples"
    return Figure(GROUP, f"{log.name}: into the store", log.bytes / MB / least_cpu_s(costs), "MB/CPU s", bar, said)


def _times(log: Log, of: str, value: float, bar: Bar | None, note: str) -> Figure:
    return Figure(GROUP, f"{log.name}: CPU relative to {of}", value, "times", bar, note)


def _finer(log: Log, mine: Sequence[Cost], told: Sequence[Cost]) -> Figure:
    note = f"without an exporter, counts are per minute; per 10 s: {_speed(log, told, '')}"
    return Figure(
        GROUP, f"{log.name}: CPU of counts per 10 s, relative to per minute", ratio(told, mine), "times", None, note
    )


def _peak(log: Log, costs: Sequence[Cost]) -> Figure:
    peak_mib = statistics.median(cost.peak_mib for cost in costs)
    return Figure(GROUP, f"{log.name}: peak RSS", peak_mib, "MiB", at_most(32), "no exporter")


def _each(log: Log, costs: Sequence[Cost], what: str) -> str:
    return f"{what}: {least_cpu_s(costs) / log.samples * 1e6:.2f} us per sample"


def _speed(log: Log, costs: Sequence[Cost], what: str) -> str:
    return f"{what}: {log.bytes / MB / least_cpu_s(costs):,.0f} MB/CPU s".removeprefix(": ")


def _remove(log: Log) -> None:
    shutil.rmtree(log.files[0].parent)


GROUP = "ingest"
TOLD = ("--export-interval", "10s")
"""Counts as they are kept for a collector."""
