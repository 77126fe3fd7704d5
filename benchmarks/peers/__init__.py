"""Other programs that make a histogram out of the same lines, with programs and configurations that lie beside this.

None of them keeps the samples, keeps its position after a kill -9, or creates spans; each does less than our program.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from abc import abstractmethod
from pathlib import Path
from typing import Any, Protocol

from benchmarks.data import Log
from benchmarks.process import Cost, run

HERE = Path(__file__).parent
SCRIPTS = HERE.parent.parent / "scripts"


class Missing(Exception):
    """It is not to be had here, and why."""


class Peer(Protocol):
    """A program to be compared with."""

    name: str
    what: str
    """A short description of what it does with a line."""

    @abstractmethod
    def find(self) -> Path:
        """The program.

        Raises:
            Missing: there is none, and none could be made.
        """

    @abstractmethod
    def read(self, program: Path, log: Log, folder: Path) -> Cost:
        """Let it read a log to its end, and see that it counted every sample.

        Raises:
            RuntimeError: it did not.
        """


class Mtail(Peer):
    """mtail, once over the log: a histogram in memory, printed at the end."""

    name = "mtail"
    what = "histogram in memory; no event time, no stored samples"

    def find(self) -> Path:
        return _script("mtail")

    def read(self, program: Path, log: Log, folder: Path) -> Cost:
        cost = run(
            [
                *(str(program), "--one_shot", "--one_shot_format", "prometheus", "--log_dir", str(folder)),
                *("--progs", str(HERE / "overhead.mtail"), "--logs", ",".join(map(str, log.files))),
            ]
        )
        counted = re.search(r"^overhead_ms_count\{.*anthropic_messages.*\} (\d+)$", cost.output, re.MULTILINE)
        _same(self.name, log, 0 if counted is None else int(counted[1]))
        return cost


class OtelCollector(Peer):
    """The OpenTelemetry Collector without us: filelog, signaltometrics, a file."""

    name = "OTel Collector"
    what = "filelog, signaltometrics, file: delta histograms, no stored positions"

    def find(self) -> Path:
        return _script("collector")

    def read(self, program: Path, log: Log, folder: Path) -> Cost:
        out = folder / "peer.jsonl"
        out.unlink(missing_ok=True)
        counted = Counted(out)
        cost = run(
            [str(program), "--config", str(HERE / "collector.yaml")],
            environ={"LOG": str(log.files[0].parent / "*.log"), "OUT": str(out)},
            until=lambda: counted.look() >= log.samples,
        )
        _same(self.name, log, counted.look())
        return cost


class Counted:
    """How many samples a collector has counted so far, by its file of deltas."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0
        self._count = 0

    def look(self) -> int:
        """Read new lines."""
        if not self._file.exists():
            return 0
        with self._file.open("rb") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._position += len(line)
                self._count += _count(json.loads(line))
        return self._count


def _count(message: Any) -> int:
    return sum(
        int(point["count"])
        for resource in message["resourceMetrics"]
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
        for point in metric["histogram"]["dataPoints"]
    )


class Absent(Peer):
    """A known peer that cannot be installed here.

    It is searched for on the PATH, and named in the table if it is missing.
    """

    what = ""

    def __init__(self, name: str, program: str, why: str) -> None:
        self.name = name
        self._program = program
        self._why = why

    def find(self) -> Path:
        found = "is here, but this harness has no configuration for it" if shutil.which(self._program) else self._why
        raise Missing(found)

    def read(self, program: Path, log: Log, folder: Path) -> Cost:
        raise NotImplementedError


def _script(name: str) -> Path:
    found = subprocess.run(
        [sys.executable, str(SCRIPTS / name)], capture_output=True, text=True, check=False, env=os.environ
    )
    if found.returncode:
        raise Missing(f"not to be had here: {(found.stderr.strip().splitlines() or ['?'])[0]}")
    return Path(found.stdout.strip())


def _same(name: str, log: Log, counted: int) -> None:
    if counted != log.samples:
        raise RuntimeError(f"{name} counted {counted} of the {log.samples} samples of {log.name}")


PEERS: tuple[Peer, ...] = (
    Mtail(),
    OtelCollector(),
    Absent("Fluent Bit", "fluent-bit", "not measured: no package of Debian 12"),
    Absent("Vector", "vector", "not measured: no package of Debian 12"),
)
