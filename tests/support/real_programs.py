"""Real programs for tests: found or built by ``scripts``, started on ports of their own, and ended with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import pytest

from tests.support.places import ROOT
from tests.support.waiting import CALM_S, bound_s, wait_until


def find_program(name: str, *, build: bool = True) -> Path:
    """Return the binary that a script of this name finds or builds, or only finds.

    Without one the test is skipped, with a word on how to get it. ``REQUIRE_<NAME>=1`` makes that a failure, so that a
    build machine can't skip by accident.
    """
    script = ROOT / "scripts" / name
    # a build, where there is Go and no program yet, takes minutes, and is kept for the next time
    command = [sys.executable, str(script), *([] if build else ["--no-build"])]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    if found.returncode == 0:
        return Path(found.stdout.strip())
    message = found.stderr.strip() or f"{script} ended with {found.returncode}"
    if os.environ.get(f"REQUIRE_{name.upper()}") == "1":
        pytest.fail(message)
    pytest.skip(message)


_Running = TypeVar("_Running", bound="RealProgram")


class RealProgram:
    """One process with a log file in ``folder``; a context manager. It can be started again."""

    name: str
    every_s = 0.02
    """The time between two checks of a condition."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / f"{type(self).__name__.lower()}.log"

    def __enter__(self: _Running) -> _Running:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, timeout: float = CALM_S) -> None:
        """Start it, on the same ports and data as before, and wait until it is ready."""
        if self._process is not None:
            raise RuntimeError("it is running")
        command, environ = self.command()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "GOGC": "800", **environ},  # short runs: memory for processor time
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.wait_until(self.is_ready, timeout)
        except BaseException:
            self.kill()
            raise

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Prepare its files; return the command line, and further variables."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Return whether it takes requests."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """Return its process id."""
        assert self._process is not None, "it is not running"
        return self._process.pid

    def stop(self, timeout: float = CALM_S) -> None:
        """End it in order (SIGTERM): its data is complete afterwards."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(bound_s(timeout))
            self._process = None

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Make it hang (SIGSTOP): it takes connections, and never answers."""
        assert self._process is not None, "it is not running"
        self._process.send_signal(signal.SIGSTOP)

    def wait_until(self, predicate: Callable[[], object], timeout: float = CALM_S) -> None:
        """Wait until ``predicate()`` is true; fail if the process ends instead."""

        def holds_while_running() -> object:
            ended = None if self._process is None else self._process.poll()
            holds = predicate()
            if not holds and ended is not None:
                pytest.fail(f"{self.name} ended with {ended}:\n{self._log_tail()}")
            return holds

        wait_until(holds_while_running, timeout, told=self._log_tail, every_s=self.every_s)

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
