"""The real program beside logs that are rotated, cut off, deleted and replaced under it.

``Following`` runs ``python -m otel_logtail --observer headroom`` and counts the lines that the test writes; each has a
duration of its own, so each can be found again in the store. ``finish`` says whether every one of them is there exactly
once, and whether anything was said that should not have been.

Nothing sleeps but ``wait_until``, which looks again until a condition holds or its bound is over.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

T0 = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=1)
"""When the log begins: not long ago, so that nothing is too old to be kept."""

MODULE = ("-m", "otel_logtail")

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


def line(number: int) -> bytes:
    """A line as headroom writes it, for a request that took 20 ms and ``number`` µs; all lines are of one length."""
    at = T0 + number * timedelta(milliseconds=10)
    total_ms = 20 + number / 1000
    request_id = f"hr_{int(at.timestamp() - total_ms / 1000)}_{number:06d}"
    return (
        f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03d} - headroom.proxy - INFO - [{request_id}]"
        ' STAGE_TIMINGS {"event": "stage_timings", "path": "anthropic_messages",'
        f' "request_id": "{request_id}", "stages": {{"pre_upstream_wait": {total_ms:.3f},'
        f' "read_request_json": null, "total_pre_upstream": {total_ms:.3f}}}}}\n'
    ).encode()


BOUND_S = 20.0


def wait_until(holds: Callable[[], object], *, told: Callable[[], str] = str, every_s: float = 0.005) -> None:
    """Look again until it holds; fails with what ``told`` says when the bound is over."""
    deadline_s = time.monotonic() + BOUND_S
    while not holds():
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {BOUND_S} s\n{told()}")
        time.sleep(every_s)


class Following:
    """The program on one log (or on ``patterns``), in a home of its own; ``with`` ends it however the test ends.

    It begins with ``--from-start``, so that the first line of a test is no race with its start. ``as_a_user`` takes the
    rights from root that stand above permissions; ``descriptors`` are the soft and the hard limit of open files;
    ``runner`` is a command that starts it.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        patterns: Iterable[Path | str] = (),
        from_start: bool = True,
        program: Iterable[str] = MODULE,
        runner: Iterable[str] = (),
        as_a_user: bool = False,
        descriptors: tuple[int, int] | None = None,
    ) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.log = self.logs / "proxy-8787.log"
        self.logs.mkdir(exist_ok=True)
        self.db = folder / "store.db"
        self.written = 0
        self._patterns = list(patterns) or [self.log]
        self._arguments = [*map(str, arguments), *(["--from-start"] if from_start else [])]
        self._runner, self._program = list(runner), list(program)
        self._as_a_user = as_a_user and os.geteuid() == 0
        self._descriptors = descriptors
        self._stderr = folder / "stderr.txt"
        self._stderr.touch()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Following:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if kind is None:
            assert "Traceback" not in self.said(), self.said()

    # --- the writer ---

    def lines(self, count: int = 1) -> bytes:
        """The next lines: from now on they must be in the store at the end."""
        first, self.written = self.written, self.written + count
        return b"".join(line(number) for number in range(first, first + count))

    def write(self, count: int = 1, path: Path | None = None) -> None:
        """Append the next lines, as a writer that opens the file for it."""
        with (path or self.log).open("ab", buffering=0) as log:
            log.write(self.lines(count))

    # --- the program ---

    def start(self) -> Following:
        """Start it, and wait until it follows: from then on it knows its signals."""
        said = len(self.said())
        command = [*self._runner, sys.executable, *self._program, "--observer", "headroom", "--db", str(self.db)]
        for pattern in self._patterns:
            command += ["--path", str(pattern)]
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*command, *self._arguments],
                env=self._environ(),
                stdout=stderr,
                stderr=stderr,
                cwd=self.folder,
                preexec_fn=self._before if self._as_a_user or self._descriptors else None,
            )
        self.wait_until(lambda: ": observer headroom, store" in self.said()[said:])
        return self

    def _before(self) -> None:
        if self._as_a_user:
            _give_up_roots_rights()
        if self._descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._descriptors)

    def _environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "HEADROOM"))}
        return {**own, "HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state"), "TZ": "UTC"}

    @property
    def pid(self) -> int:
        assert self._process is not None, "it is not running"
        return self._process.pid

    def signal(self, number: int) -> None:
        assert self._process is not None, "it is not running"
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM, 0)

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL, -signal.SIGKILL)

    def _end(self, number: int, code: int) -> None:
        self.signal(number)
        assert self._process is not None
        ended = self._process.wait(20)
        self._process = None
        assert ended == code, self.said()

    @contextmanager
    def away(self, *, killed: bool = False) -> Iterator[None]:
        """What happens while it is not running; then it is started again."""
        if killed:
            self.kill()
        else:
            self.stop()
        yield
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """What happens between two of its looks: it stands still meanwhile, and knows nothing of it."""
        self.signal(signal.SIGSTOP)
        try:
            self.wait_until(lambda: self._thread_state() == "T")
            yield
        finally:
            self.signal(signal.SIGCONT)

    def rest(self) -> None:
        """Let it look at all files (SIGHUP), and wait until it waits again."""
        before = self._slept()
        self.signal(signal.SIGHUP)
        self.wait_until(lambda: self._slept() > before and self._thread_state() == "S", every_s=0.001)

    def _slept(self) -> int:
        status = Path(f"/proc/{self.pid}/task/{self.pid}/status").read_text()
        (times,) = re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)
        return int(times)

    def _thread_state(self) -> str:
        return Path(f"/proc/{self.pid}/task/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def open_files(self) -> list[str]:
        """What its descriptors name, of those in its folder of logs; deleted ones have `` (deleted)`` behind."""
        names = []
        for descriptor in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                names.append(os.readlink(f"/proc/{self.pid}/fd/{descriptor}"))
            except OSError:
                continue  # closed meanwhile
        return sorted(name for name in names if name.startswith(f"{self.logs}/"))

    # --- what became of it ---

    def wait_until(self, holds: Callable[[], object], *, every_s: float = 0.005) -> None:
        """Wait for something that it does; fails if it ends instead."""

        def holds_while_running() -> object:
            found = holds()
            if not found and self._process is not None and (code := self._process.poll()) is not None:
                pytest.fail(f"it ended with {code}\n{self.said()}")
            return found

        wait_until(holds_while_running, told=self._state, every_s=every_s)

    def wait_for_words(self, words: str, times: int = 1) -> None:
        """Wait until it has said this so often."""
        self.wait_until(lambda: self.said().count(words) >= times)

    def caught_up(self, *, lost: Collection[int] = ()) -> None:
        """Wait until all that was written is in the store (but for what is lost), once."""
        expected = self.written - len(lost)
        self.wait_until(lambda: self.count() >= expected)
        assert self.count() == expected, self._state()
        assert self.samples() == Counter(n for n in range(self.written) if n not in lost), self._state()

    def finish(self, *, warnings: Iterable[str] = (), lost: Collection[int] = (), path: Path | None = None) -> None:
        """Write one line more (so all before it was looked at), wait for it, stop, and see that all is as it must be.

        ``warnings`` are what it must have warned of, as regular expressions; it must have warned of nothing else.
        """
        self.write(path=path)
        self.caught_up(lost=lost)
        self.stop()
        self.caught_up(lost=lost)
        self.has_warned_of(warnings)
        ((rejected, drift, oversized),) = self.rows(
            "SELECT (SELECT coalesce(sum(count), 0) FROM rejected), drift, oversized FROM source"
        )
        assert (rejected, drift, oversized) == (0, 0, 0)

    def has_warned_of(self, warnings: Iterable[str]) -> None:
        """It has said each of these (regular expressions), and no other warning or error."""
        said = [row for row in self.said().splitlines() if not re.match(r"otel-logtail: (?!warning|error)", row)]
        wanted = list(warnings)
        unexpected = [row for row in said if not any(re.search(pattern, row) for pattern in wanted)]
        assert not unexpected, self._state()
        missing = [pattern for pattern in wanted if not any(re.search(pattern, row) for row in said)]
        assert not missing, self._state()

    def said(self) -> str:
        """All that it has said."""
        return self._stderr.read_text(errors="replace")

    def count(self) -> int:
        """How many samples the store holds."""
        rows = self.rows("SELECT samples FROM source")
        return int(rows[0][0]) if rows else 0

    def samples(self) -> Counter[int]:
        """How often the line of each number is in the store."""
        return Counter(round(ms * 1000) - 20_000 for (ms,) in self.rows("SELECT duration_ms FROM samples"))

    def files(self) -> list[dict[str, Any]]:
        """The files that the store knows, in the order in which they were found."""
        columns = ("id", "path", "offset", "size", "done")
        return [dict(zip(columns, row, strict=True)) for row in self.rows(f"SELECT {', '.join(columns)} FROM file")]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the store answers; nothing while there is none."""
        try:
            with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=10)) as connection:
                return connection.execute(sql).fetchall()
        except sqlite3.OperationalError as problem:
            if "no such table" in str(problem) or "unable to open" in str(problem):
                return []
            raise

    def _state(self) -> str:
        found = self.samples()
        missing = [number for number in range(self.written) if number not in found]
        doubled = [number for number, times in found.items() if times > 1]
        there = sorted(os.listdir(self.logs)) if self.logs.exists() else "no folder"
        return (
            f"written {self.written}\nmissing {len(missing)}: {missing[:20]}\ndoubled {len(doubled)}: {doubled[:20]}\n"
            f"known: {self.files()[-20:]}\nthere: {there}\n{self.said()}"
        )


def _give_up_roots_rights() -> None:
    """Without these, permissions hold for root as for everyone; they are lost for good when the program starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "can't drop a capability")
