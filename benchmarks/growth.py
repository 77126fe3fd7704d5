"""How cost grows with the log and the store: it must grow with new data, and not with stored data."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from benchmarks import data
from benchmarks.data import MB, Log, Shape
from benchmarks.figures import Figure, at_most
from benchmarks.ingest import CLEAN, PROGRAM, check, ours
from benchmarks.memory import nowhere
from benchmarks.process import Cost, least_cpu_s, run
from tests.support.collector import Collector, find_collector

GROUP = "growth"
_ALL = ("--retention", "none", "--max-db-size", "none")


class Size(msgspec.Struct, frozen=True):
    """How far it grows."""

    logs: tuple[int, ...] = (10 * MB, 400 * MB, 4000 * MB)
    copies: tuple[int, int] = (10, 10)
    """Millions of samples in the store that is queried, and in the store that is written to."""
    million: int = 1_000_000
    into: int = 50 * MB
    dense: int = 150 * MB
    intervals: int = 200
    runs: int = 3


TINY = Size(logs=(MB, 2 * MB), copies=(2, 3), million=1000, into=MB // 4, dense=MB, intervals=3, runs=1)
FULL = Size(logs=(10 * MB, 100 * MB, 1000 * MB, 10_000 * MB), copies=(10, 50), dense=500 * MB)


def measure(folder: Path, size: Size) -> Iterator[Figure]:
    """Every figure of this group."""
    yield from _larger_logs(folder, size)
    yield from _memory(folder, size)
    yield from _exporting(folder, size)
    yield from _larger_stores(folder, size)


def _larger_logs(folder: Path, size: Size) -> Iterator[Figure]:
    """CPU per GB, less the start, and memory, of 2 % hits."""
    (empty := folder / "empty").mkdir()
    (empty / "proxy-8787.log").touch()
    nothing = Log("nothing", (empty / "proxy-8787.log",), 0, 0, 0)
    start_s = statistics.median(ours(nothing, folder).cpu_s for _ in range(size.runs * 2))
    logs = [data.made(folder, f"log {number}", bytes_, Shape(0.02)) for number, bytes_ in enumerate(size.logs)]

    def a_gb_s(costs: Sequence[Cost], log: Log) -> float:
        return (least_cpu_s(costs) - start_s) / log.bytes * 1e9

    middle, largest = logs[-2], logs[-1]
    smaller = [ours(log, folder) for log in logs[:-1]]
    ratios, large = [], []
    for _ in range(2 if largest.bytes > 5000 * MB else size.runs):
        before = [ours(middle, folder) for _ in range(2)]
        large.append(ours(largest, folder))
        after = [ours(middle, folder) for _ in range(2)]
        # a long run sees the machine's average speed, so it is compared with the average of the short ones
        short_s = statistics.mean(cost.cpu_s for cost in (*before, *after))
        ratios.append(a_gb_s(large[-1:], largest) / ((short_s - start_s) / middle.bytes * 1e9))
    a_gb = [*(a_gb_s([cost], log) for cost, log in zip(smaller, logs, strict=False)), a_gb_s(large, largest)]
    peaks = [*(cost.peak_mib for cost in smaller), statistics.median(cost.peak_mib for cost in large)]
    for log in logs:
        log.files[0].unlink()
    sizes = [_bytes(bytes_) for bytes_ in size.logs]
    said = ", ".join(f"{name} {cpu:.2f} s" for name, cpu in zip(sizes, a_gb, strict=True))
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    yield Figure(
        GROUP,
        f"CPU per GB, {sizes[-1]} over {_bytes(middle.bytes)}",
        statistics.median(ratios),
        "times",
        at_most(1.15),
        f"without the start ({start_s:.2f} s), a large run between two small ones, median of {each}; per GB: {said}",
    )
    said = ", ".join(f"{name} {peak:.0f}" for name, peak in zip(sizes, peaks, strict=True))
    yield Figure(GROUP, f"peak RSS at {sizes[-1]}", peaks[-1], "MiB", at_most(32), f"no exporter; MiB: {said}")


def _memory(folder: Path, size: Size) -> Iterator[Figure]:
    """The most memory with OTLP, of a dense backlog in which breaches are as many as in real logs."""
    log = data.made(folder, "dense", size.dense, Shape(a_second=10))
    (folder / "receiver").mkdir()
    what = f"{log.samples:,} samples, 10/s of log time"
    with Collector(find_collector(), folder / "receiver") as collector:
        for name, endpoint in (("up", collector.http_endpoint), ("down", nowhere())):
            for path in folder.glob("store.db*"):
                path.unlink()
            # 1: not all could be delivered in the time that there is at the end
            cost = _into(folder / "store.db", log, "--otlp-endpoint", endpoint, codes=(0, 1))
            check(folder / "store.db", log)
            name = f"peak RSS, OTLP, a collector that is {name}"
            yield Figure(GROUP, name, cost.peak_mib, "MiB", at_most(45), what)
    log.files[0].unlink()


def _exporting(folder: Path, size: Size) -> Iterator[Figure]:
    """Measure the cost that delivery adds, for intervals of few samples and of a hundred times as many."""
    added = {}
    (folder / "exporting").mkdir()
    with Collector(find_collector(), folder / "exporting") as collector:
        for a_second in (5, 500):
            place = folder / f"rate-{a_second}"
            place.mkdir()
            path = place / "proxy-8787.log"
            lines, samples = data.write_log(path, 0, Shape(a_second=a_second, slow=0), size.intervals * 10 * a_second)
            log = Log(f"{a_second} a second", (path,), lines, samples, path.stat().st_size)
            alone, sent = [], []
            for _ in range(size.runs):
                alone.append(ours(log, folder))
                sent.append(ours(log, folder, "--otlp-endpoint", collector.http_endpoint))
            added[a_second] = least_cpu_s(sent) - least_cpu_s(alone)
            path.unlink()
    few, many = added.values()
    note = f"{size.intervals} intervals: {few:.2f} CPU s more with OTLP at 5 samples/s, {many:.2f} at 500"
    yield Figure(GROUP, "exporting, 100 times the samples", many / few, "times", None, note)


def _larger_stores(folder: Path, size: Size) -> Iterator[Figure]:
    """A store of millions of samples: how large, how fast to ask, and how fast to read into."""
    base = folder / "million.db"
    log = data.made(folder, "million", 0, Shape(a_second=10), size.million)
    _into(base, log)
    log.files[0].unlink()
    fresh = _size(base)
    run([*PROGRAM, "prune", "--db", str(base), *_ALL], environ=CLEAN)
    with closing(sqlite3.connect(base)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    a_million = 1_000_000 / log.samples / MB
    kept = _size(base) * a_million

    asked = folder / "asked.db"
    copies, more = size.copies
    multiply(base, asked, copies)
    run([*PROGRAM, "prune", "--db", str(asked), *_ALL], environ=CLEAN)  # what is days old merges into hours
    note = (
        f"of {log.samples * copies:,}, 10/s, counts of the last day per minute, older ones per hour;"
        f" first million {fresh * a_million:.0f} as written, {kept:.0f} when merged"
    )
    yield Figure(GROUP, "store, per million samples", _size(asked) * a_million / copies, "MB", at_most(60), note)
    yield from _summary(asked, log.samples * copies, size.runs)
    yield from _report(asked, log.samples * copies, size.runs)
    if more != copies:
        asked.unlink()
        multiply(base, asked, more)
    yield from _into_a_large_one(folder, asked, log.samples * more, size)


def _summary(db: Path, samples: int, runs: int) -> Iterator[Figure]:
    took_s = []
    for _ in range(max(runs, 2) * 2):
        begun_s = time.monotonic()
        cost = run([*PROGRAM, "query", "summary", "--format", "json", "--db", str(db)], environ=CLEAN)
        took_s.append(time.monotonic() - begun_s)
        if (counted := msgspec.json.decode(cost.output)["count"]) != samples:
            raise RuntimeError(f"summary counts {counted} of {samples} samples")
    note = f"whole command, {cost.cpu_s:.2f} CPU s, best of {len(took_s)}"
    yield Figure(GROUP, f"query summary, {samples:,} samples", min(took_s), "s", at_most(0.15), note)


def _report(db: Path, samples: int, runs: int) -> Iterator[Figure]:
    """The report of everything, with and without a comparison of its second half with its first one."""
    with closing(sqlite3.connect(db)) as store:
        first, last = store.execute("SELECT min(first_ns), max(last_ns) FROM block").fetchone()
        episodes = store.execute("SELECT count(*) FROM episode").fetchone()[0]
    middle = f"@{(first + last) // 2 // 10**9}"
    html = db.with_name("report.html")
    for name, options, most_s in (
        ("report", ("--since", "@0"), 1.0),
        ("report --compare previous", ("--since", middle, "--compare", "previous"), 2.0),
    ):
        command = [*PROGRAM, "report", "--db", str(db), *options, "--html", str(html)]
        took_s = []
        for _ in range(max(runs, 2)):
            begun_s = time.monotonic()
            cost = run(command, environ=CLEAN)
            took_s.append(time.monotonic() - begun_s)
        if "samples" not in cost.output:
            raise RuntimeError(f"no report: {cost.output}")
        note = f"whole command, {episodes:,} episodes in the store, page {html.stat().st_size // 1000} kB"
        figure = f"{name}, {samples:,} samples"
        yield Figure(GROUP, figure, min(took_s), "s", at_most(most_s), f"{note}, {cost.cpu_s:.2f} CPU s")
        html.unlink()


def _into_a_large_one(folder: Path, large: Path, samples: int, size: Size) -> Iterator[Figure]:
    """The same log into an empty store and into a large one, in turn, from another file each time."""
    empty, full, before = [], [], samples
    for number in range(size.runs):
        log = data.made(folder, f"into {number}", size.into, Shape(seed=number))
        empty.append(ours(log, folder))
        full.append(_into(large, log))
        samples += log.samples
        with closing(sqlite3.connect(f"file:{large}?mode=ro", uri=True)) as store:
            found = store.execute("SELECT samples, (SELECT sum(count) FROM block) FROM source").fetchone()
        if found != (samples, samples):
            raise RuntimeError(f"{large}: {found} samples and not {samples}")
    ratio = statistics.median(b.cpu_s / a.cpu_s for a, b in zip(empty, full, strict=True))
    note = (
        f"{log.samples:,} samples: {_least(empty)} CPU s and {_least(full)}; the store has {_size(large) / 1e9:.1f} GB"
    )
    yield Figure(GROUP, f"reading into a store of {before:,} samples", ratio, "times", at_most(1.15), note)


def multiply(base: Path, into: Path, copies: int) -> None:
    """A store that holds what another one holds so many times, each copy before the other in time.

    It works block by block and interval by interval in SQL, so 50 million samples take minutes.
    """
    with closing(sqlite3.connect(base)) as store:
        store.execute("VACUUM INTO ?", (str(into),))
    with closing(sqlite3.connect(into, isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("PRAGMA synchronous = OFF")
        first, last = store.execute("SELECT min(start_ns), max(end_ns) FROM interval").fetchone()
        span = ((last - first) // (3600 * 10**9) + 1) * 3600 * 10**9
        columns = [row[1] for row in store.execute("PRAGMA table_info(file)") if row[1] != "id"]
        blocks = store.execute("SELECT max(rowid) FROM block").fetchone()[0]
        store.create_function("other", 2, lambda id_, copy: bytes([id_[0] ^ copy]) + id_[1:])
        for copy in range(1, copies):
            store.execute("BEGIN")
            picked = ", ".join({"inode": f"inode + {copy}", "done": "1"}.get(name, name) for name in columns)
            store.execute(
                f"INSERT INTO file (id, {', '.join(columns)}) SELECT id + {copy}, {picked} FROM file WHERE id = 1"
            )
            store.execute(
                "INSERT INTO block SELECT id + (? << 40), source, first_ns - ?, last_ns - ?, count, samples FROM block"
                " WHERE id <= ?",
                (copy, copy * span, copy * span, blocks),
            )
            store.execute(
                "INSERT INTO interval"
                " (series, start_ns, end_ns, count, sum_ns, min_ns, max_ns, explicit, exponential, zeros)"
                " SELECT series, start_ns - ?, end_ns - ?, count, sum_ns, min_ns, max_ns, explicit, exponential, zeros"
                " FROM interval WHERE start_ns >= ?",
                (copy * span, copy * span, first),
            )
            for table in ("breach", "episode"):
                _copy_slow(store, table, copy, copy * span, first)
            store.execute("COMMIT")
        store.execute("UPDATE source SET samples = samples * ?", (copies,))
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy_slow(store: sqlite3.Connection, table: str, copy: int, shift_ns: int, first_ns: int) -> None:
    """Copy breaches or episodes to another time; a copy's breaches have its span ids."""
    columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
    picked = {name: f"{name} - {shift_ns}" for name in ("time_ns", "start_ns", "end_ns", "last_ns")}
    picked |= {"file": f"file + {copy}", "span_id": f"other(span_id, {copy})"}
    begin = "time_ns" if table == "breach" else "end_ns"
    store.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(picked.get(name, name) for name in columns)}"
        f" FROM {table} WHERE {begin} >= ?",
        (first_ns,),
    )


def _into(db: Path, log: Log, *arguments: str, codes: Sequence[int] = (0,)) -> Cost:
    command = [*PROGRAM, "--observer", "headroom", "--path", str(log.files[0]), "--db", str(db), "--once", *_ALL]
    return run([*command, *arguments], environ=CLEAN, codes=codes)


def _size(db: Path) -> int:
    return sum(path.stat().st_size for path in db.parent.glob(f"{db.name}*") if not path.name.endswith("-shm"))


def _least(costs: Sequence[Cost]) -> str:
    return f"{least_cpu_s(costs):.2f}"


def _bytes(number: int) -> str:
    return f"{number // (1000 * MB)} GB" if number >= 1000 * MB else f"{number // MB} MB"
