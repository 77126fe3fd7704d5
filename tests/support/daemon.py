"""The real program as a process: started, stopped, asked, and its store and its messages read.

``Program`` is the process, with any arguments. ``Daemon`` follows one log that the test writes with ``line()`` of
tests/support/lines.py.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pytest

from tests.support import forked
from tests.support.lines import durations
from tests.support.waiting import CALM_S, bound_s, wait_until

MODULE = ("-m", "otel_logtail")
NOBODY = "http://127.0.0.1:9"
"""An endpoint at which nothing listens."""

P = TypeVar("P", bound="Program")


class Program:
    """One process at a time, in a home of its own; ``with`` ends it however the test ends.

    A new start continues where the last process stopped. ``said()`` is everything that all of them have printed.
    """

    is_measured = False
    """True before the start if the test measures its memory: it is then no fork of a process that has imported all."""

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        db: Path | None = None,
        environ: Mapping[str, str] | None = None,
        program: tuple[str, ...] = MODULE,
    ) -> None:
        self.folder = folder
        self.db = db or folder / "store.db"
        self._arguments = [str(argument) for argument in arguments]
        self._environ = dict(environ or {})
        self._program = program
        self._stderr = folder / "stderr.txt"
        self._stderr.touch()
        self._process: subprocess.Popen[bytes] | forked.Process | None = None

    def __enter__(self: P) -> P:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if kind is None:
            self._check_words()

    # --- the process --------------------------------------------------------------------------------------------------

    def command(self, *more: object) -> list[str]:
        """Return the command line."""
        return [sys.executable, *self._program, *self._arguments, *map(str, more)]

    def environ(self) -> dict[str, str]:
        """Return the environment without the machine's own settings of telemetry; UTC unless the test sets TZ."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "HEADROOM"))}
        home = {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state"), "TZ": "UTC"}
        return {**own, **home, **self._environ}

    def start(self: P) -> P:
        """Start it, and wait until it follows: from then on it handles signals."""
        said = len(self.said())
        self.launch()
        self.wait_until(lambda: re.search(r": observer [\w-]+, store", self.said()[said:]))
        return self

    def launch(self: P) -> P:
        """Start it, and wait for nothing."""
        assert not self.lives, "it is running"
        command, environ = self.command(), self.environ()
        if self._forks(command):
            streams = (os.devnull, str(self._stderr), str(self._stderr))
            words = command[1 + len(MODULE) :]
            self._process = forked.start(words, environ=environ, streams=streams, folder=self.folder)
            return self
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                cwd=self.folder,
                preexec_fn=self._preparation(),
            )
        return self

    def _forks(self, command: list[str]) -> bool:
        """Return whether it is the program itself, started as usual: then it is forked, which takes a tenth."""
        is_usual = command[: 1 + len(MODULE)] == [sys.executable, *MODULE] and self._preparation() is None
        return is_usual and not self.is_measured and forked.can_fork(self._environ)

    def _preparation(self) -> Callable[[], None] | None:
        """Return a function for the new process to call before the program starts."""
        return None

    def once(self, *, code: int = 0) -> str:
        """Run it with ``--once``; return what it printed."""
        command, environ = self.command("--once"), self.environ()
        if self._forks(command):
            done = forked.completed(command[1 + len(MODULE) :], environ)
        else:
            done = subprocess.run(
                command, env=environ, capture_output=True, text=True, timeout=bound_s(60), check=False
            )
        with self._stderr.open("a") as stderr:
            stderr.write(done.stderr)
        self._check_words()
        assert done.returncode == code, done.stderr
        return done.stderr

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run another command beside it, to its end."""
        return forked.completed(arguments, self.environ())

    def ask(self, *arguments: object) -> Any:
        """Return the answer to a query of its store."""
        done = self.run(*arguments, "--db", self.db, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._running().pid

    @property
    def lives(self) -> bool:
        """Return whether a process runs."""
        return self._process is not None and self._process.poll() is None

    def exit_code(self) -> int | None:
        """Return the code that it has ended with, or None while it runs."""
        return self._running().poll()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._running().send_signal(number)

    def ends(self, within_s: float = CALM_S) -> int:
        """Wait for its end; return its exit code (negative: the signal that killed it)."""
        process = self._running()
        wait_until(lambda: process.poll() is not None, within_s, told=self.said)
        self._process = None
        self._check_words()
        return process.wait()

    def stop(self) -> None:
        """Stop it in order."""
        self._end(signal.SIGTERM, 0)

    def kill(self) -> None:
        """Stop it at once."""
        self._end(signal.SIGKILL, -signal.SIGKILL)

    def _end(self, number: int, code: int) -> None:
        self.signal(number)
        ended = self.ends()
        assert ended == code, self.said()

    def peak_mib(self) -> float:
        """Return the most memory that it has used so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (kib,) = [row.split()[1] for row in status.splitlines() if row.startswith("VmHWM:")]
        return int(kib) / 1024

    def _running(self) -> subprocess.Popen[bytes] | forked.Process:
        assert self._process is not None, "it is not running"
        return self._process

    # --- messages and stored data -----------------------------------------------------------------------------------

    def said(self) -> str:
        """Return everything that it has printed."""
        return self._stderr.read_text(errors="replace")

    def _check_words(self) -> None:
        said = self.said()
        assert "Traceback" not in said, said
        assert "internal error" not in said, said

    def wait_until(
        self, holds: Callable[[], object], within_s: float = CALM_S, *, every_s: float | None = None
    ) -> None:
        """Wait for something that it does; fail if it ends instead."""

        def holds_while_running() -> object:
            ended = None if self._process is None else self._process.poll()
            found = holds()
            if not found and ended is not None:
                pytest.fail(f"it ended with {ended}\n{self.state()}")
            return found

        wait_until(holds_while_running, within_s, told=self.state, every_s=every_s)

    def wait_for_words(self, words: str, times: int = 1) -> None:
        """Wait until it has printed this so often."""
        self.wait_until(lambda: self.said().count(words) >= times)

    def state(self) -> str:
        """Return what a failed test should print."""
        return self.said()

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none while there is no store."""
        try:
            with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=bound_s(10))) as connection:
                return connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as problem:
            if "no such table" in str(problem) or "unable to open" in str(problem):
                return []
            raise


class Daemon(Program):
    """The program on one log."""

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        endpoint: str = "",
        log: Path | str = "",
        db: Path | str = "",
        **environ: str,
    ) -> None:
        more = ["--otlp-endpoint", endpoint] if endpoint else []
        super().__init__(folder, *arguments, *more, db=Path(db) if db else None, environ=environ)
        self.log = Path(log) if log else folder / "logs" / "proxy-8787.log"
        self.log.parent.mkdir(exist_ok=True)

    def command(self, *more: object) -> list[str]:
        """Return the command line; ``--path`` is the log, unless it is among the arguments."""
        path = [] if "--path" in self._arguments else ["--path", str(self.log)]
        start = [sys.executable, *MODULE, "--observer", "headroom", "--db", str(self.db)]
        return [*start, *path, *self._arguments, *map(str, more)]

    def write(self, *data: bytes) -> None:
        """Append to the log, in one write for each piece."""
        with self.log.open("ab", buffering=0) as log:
            for piece in data:
                log.write(piece)

    def wait_for(self, expected: Counter[int]) -> None:
        """Wait until the store holds so many samples, and compare their durations."""
        self.wait_until(lambda: self.rows("SELECT ifnull(sum(count), 0) FROM block") == [(expected.total(),)])
        assert self.samples() == expected

    def wait_for_more_than(self, number: int) -> None:
        """Wait until the store holds more samples than this."""
        self.wait_until(lambda: self.samples().total() > number)

    def reads(self, first: int, end: int) -> None:
        """Wait until the store, which may be damaged or replaced meanwhile, holds the lines of these numbers alone."""

        def has_them() -> bool:
            try:
                return self.samples() == durations(first, end)
            except sqlite3.DatabaseError:
                return False

        self.wait_until(has_them)

    def samples(self) -> Counter[int]:
        """Count each duration (ns) in the store."""
        return Counter(
            row[0]
            for row in self.rows("SELECT json_extract(s.value, '$[2]') FROM block, json_each(block.samples) AS s")
        )

    def rejected(self) -> dict[str, int]:
        """Return how many lines were rejected, by reason."""
        return dict(self.rows("SELECT reason, count FROM rejected"))

    def counter(self, name: str) -> int:
        """Return one of the source's counters: drift, oversized, ignored, bytes, samples."""
        ((value,),) = self.rows(f"SELECT {name} FROM source")
        return int(value)
