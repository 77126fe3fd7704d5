"""Run the benchmarks and compare each figure with its target.

    python -m benchmarks                       some minutes
    python -m benchmarks --full                the long ones too: 10 GB of log, a store of 50 M samples
    python -m benchmarks --only ingest         some of the groups
    python -m benchmarks --quick               ratios alone, against those in ratios.json: a minute, for CI
    python -m benchmarks --quick --record      keep its ratios as those to compare with
    python -m benchmarks --size tiny           seconds: a test run, its figures mean nothing

Prints a table, writes it as JSON, and exits with 1 if a target is missed by more than 10 %.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from benchmarks import backlogs, curves, files, growth, ingest, latency, observers, quick, rest, stages
from benchmarks.figures import Figure, Machine, Report, at_most, table

Measure = Callable[[Path, str], Iterator[Figure]]

GROUPS: dict[str, Measure] = {
    "ingest": lambda folder, size: ingest.measure(folder, ingest.TINY if size == "tiny" else ingest.Size()),
    "sparse": lambda folder, size: backlogs.sparse(folder, backlogs.TINY if size == "tiny" else backlogs.Size()),
    "storms": lambda folder, size: backlogs.storms(folder, backlogs.TINY if size == "tiny" else backlogs.Size()),
    "out": lambda folder, size: backlogs.out(folder, backlogs.TINY if size == "tiny" else backlogs.Size()),
    "curves": lambda folder, size: curves.measure(
        folder, {"tiny": curves.TINY, "usual": curves.Size(), "full": curves.FULL}[size]
    ),
    "observers": lambda folder, size: observers.measure(folder, observers.TINY if size == "tiny" else observers.Size()),
    "stages": stages.measure,
    "latency": lambda folder, size: latency.measure(folder, latency.TINY if size == "tiny" else latency.Size()),
    "growth": lambda folder, size: growth.measure(
        folder, {"tiny": growth.TINY, "usual": growth.Size(), "full": growth.FULL}[size]
    ),
    "files": lambda folder, size: files.measure(folder, files.TINY if size == "tiny" else files.Size()),
    "rest": lambda folder, size: rest.measure(folder, rest.TINY if size == "tiny" else rest.Size()),
}
QUICK: dict[str, Measure] = {
    "quick": lambda folder, size: quick.measure(folder, quick.TINY if size == "tiny" else quick.Size()),
}


def measure(groups: Sequence[str], size: str, folder: Path) -> Report:
    """Measure some groups, each in a folder that is empty and goes afterwards."""
    begun, load, commit = datetime.now(timezone.utc), os.getloadavg()[0], _commit()
    figures: list[Figure] = []
    for name in groups:
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=folder) as place:
            for figure in _all_of(name, Path(place), size):
                figures.append(figure)
                print(table([figure]).replace("\n", ""), file=sys.stderr, flush=True)
    machine = Machine(
        when=begun.strftime("%Y-%m-%d %H:%M UTC"),
        python=platform.python_version(),
        cpus=len(os.sched_getaffinity(0)),
        cpu=_cpu(),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        load_before=round(load, 1),
        load_after=round(os.getloadavg()[0], 1),
        commit=commit,
    )
    return Report(machine, size, tuple(figures))


def _all_of(name: str, folder: Path, size: str) -> Iterator[Figure]:
    """Yield a group's figures. If the group fails, print why, fail the run, and continue with the others."""
    try:
        yield from {**GROUPS, **QUICK}[name](folder, size)
    except Exception as problem:  # noqa: BLE001 - any failure must keep the earlier figures
        traceback.print_exc()
        why = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
        yield Figure(name, f"{name} broke off", None, "", at_most(0), why)


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ingest.ROOT, capture_output=True, text=True, check=True).stdout

    try:
        return git("rev-parse", "--short", "HEAD").strip() + "+" * bool(git("status", "--porcelain", "-uno"))
    except (OSError, subprocess.CalledProcessError):
        return ""  # no checkout


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--size", choices=("tiny", "usual", "full"), default="usual")
    parser.add_argument("--full", action="store_const", const="full", dest="size", help="the same as --size full")
    parser.add_argument("--quick", action="store_const", const=list(QUICK), dest="only", help="ratios alone, a minute")
    parser.add_argument("--record", action="store_true", help="keep the ratios of --quick in ratios.json")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where to write (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where logs and stores are made, some GB (the temporary folder)")
    chosen = parser.parse_args(arguments)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise each start would compile our modules
    report = measure(chosen.only, chosen.size, chosen.folder)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    if chosen.record:
        quick.record(report.figures)
    print(table(report.figures))
    machine = report.machine
    load = f"load {machine.load_before} before and {machine.load_after} after"
    print(f"\n{machine.cpus} CPUs ({machine.cpu}), Python {machine.python}, {load}; all of it is in {chosen.json}")
    for figure in report.failed:
        print(f"missed by {figure.missed_by:.0%}: {figure.group}, {figure.name}", file=sys.stderr)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
