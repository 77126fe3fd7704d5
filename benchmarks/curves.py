"""How the CPU time grows with files, samples, series and sources: the exponent of each curve.

An exponent of 1 is linear growth. A curve is measured in forked processes, without the start of Python, and the cost
of the smallest size is subtracted from all others. The exponent is that of the last step, where growth shows most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from benchmarks import data
from benchmarks.data import START, Shape
from benchmarks.figures import Figure, at_most
from benchmarks.forks import cpu_s, import_what_it_imports, program
from benchmarks.runs import KEEP, SAMPLES, check, remove, written

GROUP = "growth curves"
MOST = 1.05
_LINES_OF_A_SOURCE = 200


class Size(msgspec.Struct, frozen=True):
    """The sizes of each curve, the smallest first, and how often each is measured."""

    files: tuple[int, ...] = (1, 100, 1000, 10_000)
    samples: tuple[int, ...] = (100, 10_000, 100_000, 1_000_000)
    series: tuple[int, ...] = (1, 100, 1000, 10_000)
    series_of: int = 20_000
    """Samples of all series together."""
    sources: tuple[int, ...] = (1, 20, 200)
    runs: int = 3


TINY = Size(files=(1, 5, 10), samples=(1, 100, 200), series=(1, 5, 10), sources=(1, 2, 3), series_of=20, runs=1)
FULL = Size(samples=(100, 10_000, 100_000, 1_000_000, 10_000_000))

Made = Callable[[Path, int], tuple[Sequence[object], int]]
"""Writes logs of a size into a folder; returns the arguments to read them with, and the number of samples."""


def measure(folder: Path, size: Size) -> Iterator[Figure]:
    """Every figure of this group."""
    for name, sizes, made in (
        ("files", size.files, _files),
        ("samples", size.samples, _samples),
        ("series", size.series, lambda folder, series: _series(folder, series, size.series_of)),
        ("sources", size.sources, _sources),
    ):
        yield _curve(folder / name, name, sizes, made, size.runs)


def _curve(folder: Path, name: str, sizes: Sequence[int], made: Made, runs: int) -> Figure:
    costs = []
    for size in sizes:
        place = folder / str(size)
        place.mkdir(parents=True)
        arguments, samples = made(place, size)
        db = place / "store.db"
        command = program(*arguments, "--db", db, "--once", *KEEP)
        import_what_it_imports(command)
        found = []
        for _ in range(runs):
            remove(db)
            found.append(cpu_s(command))
            check(db, SAMPLES, samples)
        remove(db)
        costs.append(min(found))
    above = [max(cost - costs[0], _SHORTEST_S) for cost in costs[1:]]
    steps = [
        math.log(more / less) / math.log(larger / smaller)
        for (smaller, less), (larger, more) in zip(
            zip(sizes[1:], above, strict=True), zip(sizes[2:], above[1:], strict=False), strict=False
        )
    ]
    each = ", ".join(f"{size:,}: {cost:.2f}" for size, cost in zip(sizes, costs, strict=True))
    note = f"CPU s for {each}; exponents {', '.join(f'{step:.2f}' for step in steps)}"
    return Figure(GROUP, f"{name}: exponent", steps[-1], "", at_most(MOST), note)


_SHORTEST_S = 0.0001  # of a tiny run


def _files(folder: Path, files: int) -> tuple[Sequence[object], int]:
    """Logs of two lines."""
    for number in range(files):
        written(folder, 2, f"proxy-{10_000 + number}.log")
    return ("--observer", "headroom", "--path", folder / "proxy*.log"), 2 * files


def _samples(folder: Path, samples: int) -> tuple[Sequence[object], int]:
    """One dense log."""
    log = data.made(folder, "log", 0, Shape(), samples)
    return ("--observer", "headroom", "--path", log.files[0]), log.samples


def _series(folder: Path, series: int, samples: int) -> tuple[Sequence[object], int]:
    """One access log of a fixed length with many backends in turn; a backend is a series, and so are its stages."""
    text = []
    for number in range(samples):
        at = START + timedelta(milliseconds=10 * number)
        text.append(_HAPROXY % (at.strftime("%d/%b/%Y:%H:%M:%S").encode(), at.microsecond // 1000, number % series))
    log = folder / "haproxy.log"
    log.write_bytes(b"".join(text))
    words = ("--observer", "haproxy", "--path", log, "--max-series", 100_000, "--timezone", "UTC")
    return words, len(text)


_HAPROXY = (
    b'127.0.0.1:46554 [%s.%03d] web app%d/a1 1/0/2/5/9 200 80 - - ---- 1/1/0/0/0 0/0 {a.test||} "GET / HTTP/1.1"\n'
)


def _sources(folder: Path, sources: int) -> tuple[Sequence[object], int]:
    """A source for each log."""
    config, samples = [], 0
    for number in range(sources):
        log = data.made(folder, f"log {number}", 0, Shape(a_second=10, seed=number), _LINES_OF_A_SOURCE)
        samples += log.samples
        config.append(f'[source.s{number}]\nobserver = "headroom"\npaths = ["{log.files[0]}"]\n')
    place = folder / "sources.toml"
    place.write_text("".join(config))
    return ("--config", place), samples
