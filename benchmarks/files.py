"""The cost of many files: first start, restart, idle. Shapes: many logs, many backups of one log, many directories."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from benchmarks.daemon import Following
from benchmarks.figures import Figure, at_most
from benchmarks.writer import line

GROUP = "many files"


class Size(msgspec.Struct, frozen=True):
    """How many files, and for how long they are watched at rest."""

    files: tuple[int, ...] = (100, 1000, 10_000)
    rest_s: float = 120.0
    sources: int = 200


TINY = Size(files=(3, 6), rest_s=1.0, sources=2)

_SETTLED_S = 4.0
_BARS = {10_000: 5.0}
_SHAPES: dict[str, Callable[[int], str]] = {
    "logs": lambda number: f"proxy-8787-{10_000 + number}.log",
    "backups": lambda number: f"proxy-8787.log.{number}" if number else "proxy-8787.log",
    "directories": lambda number: f"{number}/proxy-8787.log",
}


def measure(folder: Path, size: Size) -> Iterator[Figure]:
    """Every figure of this group."""
    for shape in _SHAPES:
        for files in size.files:
            yield from _many(folder / f"{shape}-{files}", shape, files, size.rest_s)
    yield from _many_sources(folder / "sources", size.sources, size.rest_s)


def _many(folder: Path, shape: str, files: int, rest_s: float) -> Iterator[Figure]:
    logs = folder / "logs"
    for number in range(files):
        path = logs / _SHAPES[shape](number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(line(2 * number, 1.0) + line(2 * number + 1, 1.0))
    time.sleep(_SETTLED_S)  # in no directory has anything just changed
    pattern = {"logs": "proxy*.log", "backups": "proxy-8787.log", "directories": "*/proxy*.log"}[shape]
    for start in ("first start", "start again"):
        daemon = Following(folder, pattern=pattern)
        with daemon:
            daemon.wait_until(lambda daemon=daemon: daemon.samples() >= 2 * files)  # type: ignore[misc]
            cpu_s = _until_it_rests(daemon)
            name = f"{files} {shape}: {start}"
            yield Figure(GROUP, name, cpu_s, "CPU s", at_most(_BARS[files]) if files in _BARS else None, "all of it")
            if start == "first start":
                continue
            yield _at_rest(f"{files} {shape}", daemon, rest_s)


def _many_sources(folder: Path, sources: int, rest_s: float) -> Iterator[Figure]:
    """One daemon with so many sources, each with a log of its own."""
    (folder / "logs").mkdir(parents=True)
    config = folder / "sources.toml"
    text = []
    for number in range(sources):
        log = folder / "logs" / f"proxy-{10_000 + number}.log"
        log.write_bytes(line(2 * number, 1.0) + line(2 * number + 1, 1.0))
        text.append(f'[source.s{number}]\nobserver = "headroom"\npaths = ["{log}"]\nfrom_start = true\n')
    config.write_text("".join(text))
    with Following(folder, config=config) as daemon:
        daemon.wait_until(lambda: daemon.samples() >= 2 * sources)
        cpu_s = _until_it_rests(daemon)
        yield Figure(GROUP, f"{sources} sources: first start", cpu_s, "CPU s", None, "all of it")
        yield _at_rest(f"{sources} sources", daemon, rest_s)


def _at_rest(name: str, daemon: Following, rest_s: float) -> Figure:
    begun_s, before = time.monotonic(), daemon.spent()
    time.sleep(rest_s)
    spent, took_s = daemon.spent(), time.monotonic() - begun_s
    share = (spent.cpu_s - before.cpu_s) / took_s * 100
    wakes = (spent.switches - before.switches) / took_s
    note = f"over {rest_s:.0f} s; {wakes:.1f} wake-ups/s; {daemon.peak_mib():.0f} MiB; load {os.getloadavg()[0]:.1f}"
    return Figure(GROUP, f"{name}: at rest", share, "% of a core", at_most(0.1), note)


def _until_it_rests(daemon: Following) -> float:
    """Wait until the program is idle and return the CPU seconds that it has used."""
    spent_s = -1.0
    while (now_s := daemon.spent().cpu_s) - spent_s > 0.01:
        spent_s = now_s
        time.sleep(_SETTLED_S)
    return now_s
