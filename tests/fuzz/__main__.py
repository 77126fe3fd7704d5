"""``python -m tests.fuzz [TARGET...]``: fuzz targets one after the other; it ends with 1 if there is a finding.

Inputs that reach new code are kept in build/fuzz, so that the next run starts from them, too. A finding prints the end
of the fuzzer's output, with the path of its input. ``--input FILE TARGET`` runs that input alone.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.fuzz.run import TARGETS
from tests.fuzz.sanitized import build, environment
from tests.fuzz.target import Target, judge
from tests.support.places import ROOT

_FOLDER = ROOT / "build" / "fuzz"
_SHOWN_LINES = 40
_TIMEOUT_S = 20  # for one input
_MEMORY_MIB = 2048  # the sanitizers keep freed memory


def main() -> int:
    """Fuzz, and print a line for each target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all if none is given: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--input", type=Path, help="run this input alone")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - TARGETS.keys()
    if unknown:
        parser.error(f"unknown target: {', '.join(sorted(unknown))}")
    if arguments.input is not None:
        judge(TARGETS[arguments.targets[0]], arguments.input.read_bytes())
        return 0
    sanitized = build(_FOLDER / "sanitized")
    chosen = [TARGETS[name] for name in arguments.targets or TARGETS]
    found = [one.name for one in chosen if not fuzz(one, arguments.seconds, environment(one, sanitized))]
    print(f"findings: {', '.join(found)}" if found else "no findings")
    return 1 if found else 0


def fuzz(target: Target, seconds: int, environ: Mapping[str, str]) -> bool:
    """Fuzz one target; return whether it has no finding."""
    folder = _FOLDER / target.name
    seeds, corpus = folder / "seeds", folder / "corpus"
    for one in (seeds, corpus):
        one.mkdir(parents=True, exist_ok=True)
    for data in target.seeds():
        (seeds / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    limits = (f"-max_total_time={seconds}", f"-timeout={_TIMEOUT_S}", f"-rss_limit_mb={_MEMORY_MIB}")
    options = (*limits, "-print_final_stats=1", f"-artifact_prefix={folder}/", os.fspath(corpus), os.fspath(seeds))
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.one", target.name, *options],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    print(f"{target.name}: {_figures(run.stderr)}", flush=True)
    if run.returncode:
        lines = [line for line in (run.stdout + run.stderr).splitlines() if not line.startswith(("#", "INFO: "))]
        print(*lines[-_SHOWN_LINES:], sep="\n", flush=True)
    return run.returncode == 0


def _figures(output: str) -> str:
    number = re.search(r"number_of_executed_units: (\d+)", output)
    rate = re.search(r"average_exec_per_sec: +(\d+)", output)
    covered = re.findall(r" cov: (\d+)", output)
    if number is None or rate is None:
        return "it ended early"
    return f"{int(number[1]):,} inputs, {int(rate[1]):,} a second, {covered[-1] if covered else 0} branches"


if __name__ == "__main__":
    sys.exit(main())
