"""The cost of being idle, of the start, and of ``--help``."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.daemon import Following
from benchmarks.data import Shape, write_log
from benchmarks.figures import Figure, at_most
from benchmarks.ingest import CLEAN, PROGRAM
from benchmarks.process import run
from benchmarks.writer import line
from tests.support.collector import Collector, find_collector

GROUP = "idle and start"


class Size(msgspec.Struct, frozen=True):
    """How long, and how many."""

    idle_s: float = 120.0  # as often as silent series are repeated
    files: int = 200
    starts: int = 7


TINY = Size(idle_s=1.0, files=3, starts=1)


def measure(folder: Path, size: Size) -> Iterator[Figure]:
    """Every figure of this group."""
    yield from _idle(folder, size)
    yield from _starts(folder, size)


def _idle(folder: Path, size: Size) -> Iterator[Figure]:
    """Run two daemons with a collector: one with one file, one with many."""
    with ExitStack() as stack:
        (folder / "collector").mkdir()
        collector = stack.enter_context(Collector(find_collector(), folder / "collector"))
        found = {}
        for name, files in (("idle", 1), (f"idle with {size.files} files", size.files)):
            daemon = Following(folder / name.replace(" ", "-"), "--otlp-endpoint", collector.http_endpoint)
            for number in range(files):
                write_log(daemon.log.with_name(f"proxy-{10_000 + number}.log"), 2000, Shape(a_second=100, seed=number))
            found[name] = stack.enter_context(daemon)
        for daemon in found.values():
            daemon.wait_until(lambda daemon=daemon: daemon.samples() > 0)  # type: ignore[misc]
        time.sleep(size.idle_s * 0.75)  # wait until all data is closed, sent, scanned once more and merged
        before = {name: (time.monotonic(), daemon.spent()) for name, daemon in found.items()}
        time.sleep(size.idle_s)
        for name, daemon in found.items():
            now_s, spent = time.monotonic(), daemon.spent()
            then_s, at_first = before[name]
            took_s = now_s - then_s
            peak = f"{daemon.peak_mib():.0f} MiB"
            note = f"over {took_s:.0f} s, exporting to a collector, health metrics every minute; {peak}"
            share = (spent.cpu_s - at_first.cpu_s) / took_s * 100
            yield Figure(GROUP, f"{name}: CPU", share, "% of a core", at_most(0.05), note)
            wakes = (spent.switches - at_first.switches) / took_s
            yield Figure(
                GROUP, f"{name}: wake-ups", wakes, "/s", at_most(1), "voluntary context switches of all threads"
            )


def _starts(folder: Path, size: Size) -> Iterator[Figure]:
    took_s = []
    for number in range(size.starts):
        daemon = Following(folder / f"start-{number}")
        daemon.log.write_bytes(line(1, 1.0))
        begun_s = time.monotonic()
        with daemon:
            daemon.wait_until(lambda daemon=daemon: daemon.samples() > 0, every_s=0.002)  # type: ignore[misc]
            took_s.append(time.monotonic() - begun_s)
    note = f"best of {size.starts}, an empty store; worst {max(took_s):.2f} s"
    yield Figure(GROUP, "start to first committed line", min(took_s), "s", at_most(0.5), note)
    log, db = folder / "once.log", folder / "once.db"
    log.write_bytes(line(1, 1.0))
    once = [*PROGRAM, "--observer", "headroom", "--path", str(log), "--db", str(db), "--once"]
    cpu_s = [run(once, environ=CLEAN).cpu_s for _ in range(size.starts)]
    yield Figure(
        GROUP, "--once, no new line", min(cpu_s), "CPU s", at_most(0.12), f"best of {size.starts}, a new process"
    )
    command = [str(Path(sys.executable).with_name("otel-logtail")), "--help"]
    helps = []
    for _ in range(size.starts):
        begun_s = time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        helps.append(time.monotonic() - begun_s)
    cost = run(command)
    note = f"best of {size.starts}; {cost.cpu_s:.2f} CPU s; worst {max(helps):.2f} s"
    yield Figure(GROUP, "--help", min(helps), "s", at_most(0.2), note)
