"""The real program, killed again and again while its log is written and rotated and its collector comes and goes.

Kills hit the start, reading a backlog, commits, closing, delivery, and sometimes the regular exit.

A killed collector loses data that it accepted and had not written to its file yet, which is not the subject here. The
network is therefore cut first, and the kill waits until the file no longer changes. The file then has all accepted
data, and unanswered requests are sent again.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.collector import Collector
from tests.support.waiting import bound_s
from tests.torture.compare import EVENT, Result, compare
from tests.torture.picky import Picky
from tests.torture.relay import Relay
from tests.torture.stored import THRESHOLD_NS, Stored, Wrong
from tests.torture.upstream import QUIET_S, Upstream

STANDS_STILL_S = 1.0
"""Five times the collector's flush interval."""

ATTEMPTS = 8
"""How often the rest is delivered at most."""

COMPLAINTS = (
    "Traceback",
    "internal error",
    "unread bytes",
    "is damaged",
    "is corrupt",
    "were deleted undelivered",
)
"""Messages that must not be on standard error, because the program must not lose anything here."""


class Torture:
    """One run in a folder of its own. ``seed`` fixes what is done, in which order; the machine's clocks do the rest."""

    def __init__(self, folder: Path, collector: Collector, *, kills: int, seed: int) -> None:
        self.log = folder / "logs" / "proxy-8787.log"
        self.log.parent.mkdir(parents=True)
        self.log.touch()
        self.db = folder / "store.db"
        self.stderr = folder / "stderr.txt"
        self._collector = collector
        self._kills = kills
        self._chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self._stored = Stored(self.db)
        self._upstream = Upstream(self.log, self._stored, seed + 1)
        self._picky = Picky(int(collector.http_endpoint.rpartition(":")[2]), f"{EVENT}.duration")
        self._relay = Relay(self._picky.port, seed + 2)
        self._up = False

    def run(self, progress: bool = False) -> Result:
        """Kill so many times, let it end in order, and compare. The first line that is lost or doubled ends it."""
        done = 0
        self._upstream.start()
        try:
            try:
                while done < self._kills and self._upstream.failed is None:
                    self._weather()
                    if self._chance.random() < 0.05:
                        self._end_in_order()
                    self._kill()
                    self._stored.check()
                    done += 1
                    if progress and done % 25 == 0:
                        print(f"{done} kills, {self._upstream}", file=sys.stderr, flush=True)
            finally:
                self._upstream.stop()
            self._upstream.write_burst()
            self._kill()
            self._relay.loses = 0.0
            self._relay.set_cut(False)
            if not self._up:
                self._collector.start()
            self._finish()
        except Wrong as wrong:
            return Result(
                done, self._upstream.lines, 0, 0, (f"after {done} kills: {wrong}", *self._upstream.trace[-20:])
            )
        finally:
            self._relay.close()
            self._picky.close()
        self._collector.stop()
        said = self.stderr.read_text()
        complaints = [line for line in said.splitlines() if any(word in line for word in COMPLAINTS)]
        upstream, picky = self._upstream, self._picky
        return compare(self._kills, upstream.lines, upstream.slow, self.db, self._collector, picky, complaints)

    def _kill(self) -> None:
        process, said = self._start()
        try:
            if self._chance.random() < 0.8:
                self._has_begun(process, said)
                wait_s = self._chance.choice((0.05, 0.3, 1.0)) * self._chance.random()
            else:
                wait_s = 0.5 * self._chance.random()
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            pass
        else:
            raise AssertionError(f"{self._said()}\nit ended by itself with {process.returncode}")
        finally:
            process.kill()
            process.wait()

    def _end_in_order(self) -> None:
        process, said = self._start()
        try:
            self._has_begun(process, said)
            time.sleep(self._chance.random() * 0.3)  # the schedule, not a wait
            process.send_signal(signal.SIGTERM)
            assert process.wait(bound_s(30)) == 0, f"{self._said()}\nit ended with {process.returncode} on SIGTERM"
        finally:
            process.kill()
            process.wait()

    def _has_begun(self, process: subprocess.Popen[bytes], said: int) -> None:
        """Wait for its first message: it comes just before reading, when the signal handlers are installed."""
        assert _wait_until(lambda: self.stderr.stat().st_size > said or process.poll() is not None, 60.0)

    def _weather(self) -> None:
        """Return the next action of the collector and the network."""
        if self._chance.random() < 0.15:
            if not self._up:
                self._collector.start()
            elif self._chance.random() < 0.5:
                self._collector.stop()
            else:
                self._relay.set_cut(True)
                self._wait_for_its_file()
                self._collector.kill()
            self._up = not self._up
        self._relay.set_cut(self._chance.random() < 0.1)
        self._relay.loses = self._chance.choice((0.0, 0.0, 0.3, 1.0))

    def _wait_for_its_file(self) -> None:
        size, since_s = -1, time.monotonic()

        def stands_still() -> bool:
            nonlocal size, since_s
            now = self._collector.file.stat().st_size if self._collector.file.exists() else 0
            if now != size:
                size, since_s = now, time.monotonic()
            return time.monotonic() - since_s >= STANDS_STILL_S

        assert _wait_until(stands_still, 60.0)

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(self.log)),
            *("--db", str(self.db), "--from-start", "--event", EVENT, "--export-interval", "500ms"),
            *("--threshold-ms", str(THRESHOLD_NS // 10**6), "--quiet-ms", str(round(QUIET_S * 1000))),
            *("--otlp-endpoint", self._relay.endpoint),
        ]

    def _start(self) -> tuple[subprocess.Popen[bytes], int]:
        """Start it; returns how much was on its standard error before, too."""
        with self.stderr.open("ab") as stderr:
            said = stderr.tell()
            process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
            )
        return process, said

    def _finish(self) -> None:
        """Let it read to the end, then stop it in order, then deliver what waits."""
        process, said = self._start()
        try:
            self._has_begun(process, said)
            _wait_until(lambda: self._stored.has(self._upstream.lines), 120.0)  # if not, that is compared
            process.send_signal(signal.SIGTERM)
            assert process.wait(bound_s(60)) == 0, (
                f"{self._said()}\nit ended with {process.returncode} on the last SIGTERM"
            )
        finally:
            process.kill()
            process.wait()
        time.sleep(2 * QUIET_S + 0.5)  # the quiet window of the last episode, by the clock: then `--once` closes it
        for _ in range(ATTEMPTS):  # a 500 for one item ends a run early, and the next run continues after it
            with self.stderr.open("ab") as stderr:
                last = subprocess.run([*self._command(), "--once"], check=False, timeout=bound_s(300), stderr=stderr)
            if last.returncode == 0:
                return
        # only items with a 500 can remain: the comparison shows it
        assert last.returncode == 1, f"{self._said()}\nthe last delivery ended with {last.returncode}"

    def _said(self) -> str:
        return self.stderr.read_text()[-2000:]


def _wait_until(so: Callable[[], bool], timeout_s: float) -> bool:
    """Look again and again, for a bounded time; returns whether it came to be."""
    deadline_s = time.monotonic() + timeout_s
    while not so():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.005)  # a real process has to get there; bounded
    return True
