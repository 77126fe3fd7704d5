"""The real program following a log, with the CPU time, wake-ups and memory that the system reports."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec

from benchmarks.ingest import CLEAN, PROGRAM, ROOT
from benchmarks.process import high_water_kib


class Spent(msgspec.Struct, frozen=True):
    """The resources that all threads of a process have used so far."""

    cpu_s: float
    switches: int
    """Times that a thread has waited for something: as often it was woken."""


class Following:
    """A daemon on a log of its own, or on the sources of a configuration; a context manager."""

    def __init__(self, folder: Path, *arguments: str, pattern: str = "proxy*.log", config: Path | None = None) -> None:
        self.folder = folder
        self.log = folder / "logs" / "proxy-8787.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.db = folder / "store.db"
        self._stderr = folder / "stderr.txt"
        own = ["--observer", "headroom", "--path", str(self.log.parent / pattern), "--from-start"]
        self._command = [*PROGRAM, *(["--config", str(config)] if config else own), "--db", str(self.db), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Following:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def start(self) -> None:
        """Start it, and wait for nothing."""
        environ = {**os.environ, **CLEAN}
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(self._command, env=environ, stdin=subprocess.DEVNULL, stderr=stderr)

    def wait_until(self, done: Callable[[], bool], timeout_s: float = 60.0, every_s: float = 0.005) -> None:
        """Wait for something to be so.

        Raises:
            RuntimeError: it has ended, or not in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while not done():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"the condition was not met in time: {self._stderr.read_text()[-2000:]}")
            time.sleep(every_s)

    def samples(self) -> int:
        """How many samples the store has; 0 while there is no store."""
        try:
            store = sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=5)
            try:
                return int(store.execute("SELECT coalesce(sum(samples), 0) FROM source").fetchone()[0])
            finally:
                store.close()
        except sqlite3.Error:
            return 0

    def spent(self) -> Spent:
        """The CPU time used so far, by the scheduler's count in nanoseconds."""
        cpu_ns = switches = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            cpu_ns += int((task / "schedstat").read_text().split()[0])
            for text in (task / "status").read_text().splitlines():
                if text.startswith("voluntary_ctxt_switches:"):
                    switches += int(text.split()[1])
        return Spent(cpu_ns / 1e9, switches)

    def peak_mib(self) -> float:
        """The most memory that it has had."""
        return high_water_kib(self.pid) / 1024

    @property
    def pid(self) -> int:
        """Read /proc of the process."""
        if self._process is None:
            raise RuntimeError("it does not run")
        return self._process.pid


def writing(log: Path, a_second: float, lines: int, stamps: Path, total_ms: float = 1.0) -> subprocess.Popen[bytes]:
    """A process that writes to a log."""
    words = (sys.executable, "-m", "benchmarks.writer", log, a_second, lines, stamps, total_ms)
    return subprocess.Popen([*map(str, words)], cwd=ROOT, stdin=subprocess.DEVNULL)
