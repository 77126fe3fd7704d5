"""The real program beside a store that fares badly: a log of our own, a small disk, and what is said of it.

``Daemon`` runs ``python -m otel_logtail --observer headroom`` in a home of its own. Each line of the log has a duration
of its own, so that each can be found again. Nothing sleeps but ``wait_until``, within a bound.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

T0 = datetime(2024, 1, 1, tzinfo=timezone.utc)
NOBODY = "http://127.0.0.1:9"
"""An endpoint at which nobody listens."""


def wait_until(holds: Callable[[], object], told: Callable[[], str] = str, within_s: float = 30.0) -> None:
    """Look again until it holds; fails with what ``told`` says when the bound is over."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s\n{told()}")
        time.sleep(0.02)


def line(number: int, *, after_s: float | None = None, ms: int = 20) -> bytes:
    """A line of headroom's: a request that took ``ms`` and ``number`` microseconds; 10 ms apart if not said when."""
    at = T0 + timedelta(seconds=number / 100 if after_s is None else after_s)
    total_ms = ms + number / 1000
    began_s = int((at - timedelta(milliseconds=total_ms)).timestamp())
    request = f"hr_{began_s}_{number:06d}"
    stages = {"pre_upstream_wait": total_ms, "read_request_json": None, "total_pre_upstream": total_ms}
    entry = {"event": "stage_timings", "path": "anthropic_messages", "request_id": request, "stages": stages}
    stamp = f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03d}"
    return f"{stamp} - headroom.proxy - INFO - [{request}] STAGE_TIMINGS {json.dumps(entry)}\n".encode()


def lines(numbers: Iterable[int], *, ms: int = 20) -> bytes:
    return b"".join(line(number, ms=ms) for number in numbers)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def durations(numbers: Iterable[int], *, ms: int = 20) -> list[int]:
    """What the store holds (ns) when the lines of these numbers were read, each once."""
    return sorted(ms * 10**6 + number * 1000 for number in numbers)


def stored(db: Path) -> list[int]:
    """The durations (ns) of all samples in the store; none while there is no store."""
    if not db.exists():
        return []
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True, timeout=10)) as conn:
        try:
            blocks = conn.execute("SELECT samples FROM block").fetchall()
        except sqlite3.DatabaseError as problem:  # being made, or damaged
            return [] if "no such table" in str(problem) else [-1]
    return sorted(sample[2] for (text,) in blocks for sample in json.loads(text))


class Daemon:
    """The real command; ``with`` ends it however the test ends. It can be started again and goes on then."""

    def __init__(self, home: Path, db: Path, log: Path, *arguments: object) -> None:
        self.home = home
        self.db = db
        self.log = log
        self._arguments = ["--observer", "headroom", "--path", log, "--timezone", "UTC", "--db", db, *arguments]
        self._stderr = home / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _command(self, *arguments: object) -> tuple[list[str], dict[str, str]]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HEADROOM"))}
        environ |= {"HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state"), "TZ": "UTC"}
        return [sys.executable, "-m", "otel_logtail", *map(str, arguments)], environ

    def start(self) -> Daemon:
        assert not self.lives
        command, environ = self._command(*self._arguments)
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stderr=stderr)
        return self

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Another command beside it."""
        command, environ = self._command(*arguments)
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    def ask(self, *arguments: object) -> Any:
        """A question's answer."""
        done = self.run(*arguments, "--db", self.db, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def said(self) -> str:
        return self._stderr.read_text() if self._stderr.exists() else ""

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_for(self, holds: Callable[[], object]) -> None:
        """Wait until it holds, while the process lives."""
        wait_until(lambda: holds() or not self.lives, lambda: self.said)
        assert holds(), self.said

    def reads(self, numbers: Iterable[int]) -> None:
        """Wait until the lines of these numbers, and no others, are in the store."""
        expected = durations(numbers)
        self.wait_for(lambda: stored(self.db) == expected)

    def ends(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        assert self._process is not None
        wait_until(lambda: not self.lives, lambda: self.said)
        return self._process.returncode

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        """End it in order; its exit code."""
        self.signal(signal.SIGTERM)
        return self.ends()


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    """A file system of so many KiB; skips where nobody may mount one."""
    folder.mkdir()
    options = ["-o", f"size={kib}k,mode=0700"]
    made = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all room that is left; returns what takes it."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return ballast
