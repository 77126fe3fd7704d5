"""CPU time of reading, by stage.

    python -m benchmarks.stages OTEL-LOGTAIL-ARGUMENTS

Runs the program in this process, with a clock around each stage. The clocks cost little, because they are read once per
chunk. Prints the CPU seconds of each stage as JSON; time in a nested stage counts only for that one.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.data import MB
from benchmarks.figures import Figure
from benchmarks.ingest import CLEAN, ROOT
from benchmarks.process import run

GROUP = "CPU time by stage"
STAGES = (
    ("reading the file", "otel_logtail.tail.live", "PathTail", "read"),
    ("finding the lines", "otel_logtail.engine.lines", "", "find_lines"),
    ("decoding them into columns", "otel_logtail.observers.headroom.observer", "HeadroomObserver", "observe_all"),
    ("checking and classifying", "otel_logtail.engine.engine", "", "scan"),
    ("episodes", "otel_logtail.engine.engine", "", "coalesce"),
    ("counts of the intervals", "otel_logtail.engine.engine", "", "aggregate"),
    ("the commit", "otel_logtail.store.writer", "Store", "commit"),
)


class Clock:
    """CPU seconds by stage; only the innermost one runs."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._stack: list[str] = []
        self._since = time.process_time()

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time noted."""

        def timed(*arguments: Any, **named: Any) -> Any:
            self._switch()
            self._stack.append(stage)
            try:
                return function(*arguments, **named)
            finally:
                self._switch()
                self._stack.pop()

        return timed

    def _switch(self) -> None:
        now = time.process_time()
        if self._stack:
            self.spent[self._stack[-1]] = self.spent.get(self._stack[-1], 0.0) + now - self._since
        self._since = now


def measure(folder: Path, size: str) -> Iterator[Figure]:
    """The shares of each stage, for a log of hits and one with few."""
    for name, hits, bytes_ in (("all hits", 1.0, 100 * MB), ("2 % hits", 0.02, 500 * MB)):
        log = data.made(folder, name, bytes_ if size != "tiny" else MB, data.Shape(hits))
        arguments = [
            "--observer",
            "headroom",
            "--path",
            str(log.files[0]),
            "--db",
            str(folder / f"{hits}.db"),
            "--once",
        ]
        spent = json.loads(run([sys.executable, "-m", "benchmarks.stages", *arguments], cwd=ROOT, environ=CLEAN).output)
        whole = spent.pop("whole")
        spent["start and other work"] = whole - sum(spent.values())
        for stage, seconds in spent.items():
            each = f"{seconds / log.samples * 1e6:.2f} us per sample"
            yield Figure(GROUP, f"{name}: {stage}", seconds / whole * 100, "%", None, each if hits == 1 else "")
        shutil.rmtree(log.files[0].parent)


def main() -> int:
    """Run it with a clock around each stage; returns the program's exit code."""
    begun = time.process_time()
    clock = Clock()
    for stage, module, owner, name in STAGES:
        found: Any = importlib.import_module(module)
        found = getattr(found, owner) if owner else found
        setattr(found, name, clock.around(stage, getattr(found, name)))
    from otel_logtail.cli.main import main as program

    code: object = 0
    try:
        program()
    except SystemExit as end:
        code = end.code
    print(json.dumps({**clock.spent, "whole": time.process_time() - begun}))
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
