"""The pairs of the quick run: what the program does, and a bare loop for each."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from benchmarks import data, floors
from benchmarks.data import MB, Log, Shape
from benchmarks.forks import Fork, cpu_s, import_what_it_imports, program
from benchmarks.ingest import CLEAN, PROGRAM
from benchmarks.process import run
from benchmarks.receiver import receiver
from benchmarks.runs import KEEP, SAMPLES, check, floor, once, read, remove, wait_for, wait_until, written
from benchmarks.writer import line

SPARSE = Shape(a_second=1 / 24)
"""A sample every 24 s."""


class Work(NamedTuple):
    """A pair; both return CPU seconds."""

    name: str
    ours: Callable[[], float]
    floor: Callable[[], float]


def all_of(folder: Path, share: float, stack: ExitStack) -> Iterator[Work]:
    """Make what is measured with, and yield the pairs; ``share`` is the share of the usual work."""

    def so_many(number: int) -> int:
        return max(2, round(number * share))

    yield _start(folder)
    yield from _reading(folder, so_many)
    yield from _sparse(folder, so_many, stack)
    yield _files(folder, so_many(1000))
    yield _lines(folder, so_many(300))
    yield from _questions(folder, so_many)


def _start(folder: Path) -> Work:
    """A new interpreter that reads one line, and one that imports the libraries of the command line."""
    log = written(folder / "start", 1)
    db = folder / "start.db"
    imports = [sys.executable, "-c", "import msgspec, sqlite3, typer"]

    def ours() -> float:
        remove(db)
        command = [*PROGRAM, "--observer", "headroom", "--path", str(log), "--db", str(db), "--once"]
        return run(command, environ=CLEAN).cpu_s

    ours()  # compiles what is not compiled yet
    return Work("start: --once with a log of one line", ours, lambda: run(imports).cpu_s)


def _reading(folder: Path, so_many: Callable[[int], int]) -> Iterator[Work]:
    dense = data.made(folder, "dense", so_many(40 * MB), Shape())
    import_what_it_imports(once(dense, folder / "first.db"))
    yield Work("dense: every line a sample", *_against_rows(dense, folder))
    few = data.made(folder, "few", so_many(100 * MB), Shape(0.02))
    yield Work("dense: 2 % of the lines", *_against_rows(few, folder))
    storm = data.made(folder, "storm", 0, Shape(a_second=10, slow=1), so_many(15_000))
    yield Work("storm: every sample a breach", *_against_rows(storm, folder))


def _sparse(folder: Path, so_many: Callable[[int], int], stack: ExitStack) -> Iterator[Work]:
    log = data.made(folder, "sparse", 0, SPARSE, so_many(4000))
    yield Work("sparse: a sample every 24 s", *_against_rows(log, folder))
    per_10_s = ("--export-interval", "10s")
    yield Work("sparse: the same, counts per 10 s", *_against_rows(log, folder, *per_10_s))
    port = stack.enter_context(receiver())
    filled, sent = folder / "filled.db", folder / "sent.db"
    endpoint = f"http://127.0.0.1:{port}"
    to_it = ("--otlp-endpoint", endpoint, "--exporter", "otlp", *per_10_s)
    cpu_s(once(log, filled, *per_10_s))
    empty = folder / "empty.log"
    empty.touch()
    deliver = program("--observer", "headroom", "--path", empty, "--db", sent, "--once", *KEEP, *to_it)

    def ours() -> float:
        remove(sent)
        shutil.copy(filled, sent)
        spent_s = cpu_s(deliver)
        check(sent, "SELECT count(*) FROM exporter WHERE delivered > 0", 1)
        return spent_s

    shutil.copy(filled, sent)
    import_what_it_imports(deliver)
    yield Work("out: OTLP, a sample every 24 s", ours, lambda: cpu_s(lambda: floors.send(port, log.samples)))


def _files(folder: Path, files: int) -> Work:
    logs, db = folder / "files", folder / "files.db"
    for number in range(files):
        written(logs, 2, f"proxy-{10_000 + number}.log")
    command = program("--observer", "headroom", "--path", logs / "proxy*.log", "--db", db, "--once", *KEEP)

    def ours() -> float:
        remove(db)
        spent_s = cpu_s(command)
        check(db, SAMPLES, 2 * files)
        return spent_s

    return Work("files: 1,000 of two lines", ours, lambda: floor(folder, lambda db: floors.visit(logs, db), 5))


def _lines(folder: Path, lines: int) -> Work:
    """A daemon that gets a line when the one before is committed; the loop commits each line of the log by itself."""
    db, log = folder / "lines.db", folder / "lines" / "proxy-8787.log"
    words = ("--observer", "headroom", "--path", log, "--db", db, "--from-start", *KEEP)

    def ours() -> float:
        remove(db)
        written(log.parent, 1)
        daemon = Fork(program(*words))
        wait_for(db, 1)
        with log.open("ab", buffering=0) as file, closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as store:
            for number in range(1, lines + 1):
                file.write(line(number, 1.0))
                wait_until(lambda number=number: store.execute(SAMPLES).fetchone()[0] > number)  # type: ignore[misc]
        daemon.stop()
        return daemon.cpu_s()

    return Work("lines: 300 one by one", ours, lambda: floor(folder, lambda db: floors.commit_each(log, db), 3))


def _questions(folder: Path, so_many: Callable[[int], int]) -> Iterator[Work]:
    log = data.made(folder, "asked", 0, Shape(a_second=1), so_many(100_000))
    db, counts = folder / "asked.db", folder / "counts.db"
    read(log, db)
    floors.write_counts(counts, so_many(20_000))
    page = folder / "report.html"
    for name, words in (
        ("summary", ("query", "summary", "--since", "@0", "--db", db)),
        ("report", ("report", "--since", "@0", "--db", db, "--html", page)),
    ):
        ask = program(*words)
        import_what_it_imports(ask)

        def ours(ask: Callable[[], object] = ask) -> float:
            page.unlink(missing_ok=True)
            return cpu_s(ask)

        yield Work(f"questions: {name}", ours, lambda: cpu_s(lambda: floors.add_up(counts)))


def _against_rows(log: Log, folder: Path, *arguments: object) -> tuple[Callable[[], float], Callable[[], float]]:
    """Read a log; the loop decodes its samples and inserts them as plain rows."""
    times = min(max(1, 25_000 // log.samples), 6)
    return (
        lambda: read(log, folder / "store.db", *arguments),
        lambda: floor(folder, lambda db: floors.store(log.files[0], db), times),
    )
