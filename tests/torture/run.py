"""The real program, killed again and again while its log is written and rotated and its collector comes and goes.

Every line that is written holds a number of its own (in its duration), so that what the store and the collector hold in
the end can be compared with what was written, one by one.
"""

from __future__ import annotations

import gzip
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from otel_logtail import query
from tests.collector import Collector, ReceivedSpan

EVENT = "torture"
SLOW_EVERY = 20
SLOW_NS = 10**9
KEPT = 12  # rotated files that stay, read or not


@dataclass(frozen=True)
class Result:
    """What a run came to. ``lost`` and ``doubled`` count samples, points and span events."""

    kills: int
    lines: int
    lost: int
    doubled: int
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"kills {self.kills}, lines {self.lines}, lost {self.lost}, doubled {self.doubled}"


def duration_ns(number: int) -> int:
    """The duration that names a line: every 20th one is a breach."""
    return number * 1000 + (SLOW_NS if number % SLOW_EVERY == 0 else 0)


def number_of(duration: int) -> int:
    """The line that a duration names."""
    return (duration - SLOW_NS if duration >= SLOW_NS else duration) // 1000


def line_of(number: int) -> bytes:
    """A line as headroom writes it, now."""
    now, took_ns = time.time(), duration_ns(number)
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
    name = f"hr_{int(now - took_ns / 1e9)}_{number:06d}"
    total_ms = took_ns / 1e6
    return (
        f'{stamp} - headroom.proxy - INFO - [{name}] STAGE_TIMINGS {{"event": "stage_timings",'
        f' "path": "anthropic_messages", "request_id": "{name}", "session_id": "s", "stages":'
        f' {{"pre_upstream_wait": {total_ms}, "total_pre_upstream": {total_ms}}}}}\n'
    ).encode()


class Writer(threading.Thread):
    """The upstream and what rotates its log, until told to stop."""

    def __init__(self, log: Path, db: Path, seed: int) -> None:
        super().__init__(name="writer", daemon=True)
        self.log = log
        self.db = db
        self.lines = 0
        self.rotations = 0
        self.failed: BaseException | None = None
        self._chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self._stop_it = threading.Event()
        self._unread: list[tuple[int, int]] = []  # (lines written, rotations) at moments at which all may be read

    def stop(self) -> None:
        self._stop_it.set()
        self.join()
        if self.failed is not None:
            raise self.failed

    def run(self) -> None:
        try:
            while not self._stop_it.is_set():
                self._burst()
                if self._chance.random() < 0.12:
                    self._rotate()
                self._stop_it.wait(self._chance.choice((0.0, 0.001, 0.01, 0.05)))
        except BaseException as problem:  # noqa: BLE001 - it is raised where the thread is joined
            self.failed = problem

    def _burst(self) -> None:
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            for _ in range(self._chance.choice((1, 1, 3, 20, 200))):
                line = line_of(self.lines + 1)
                cut = self._chance.randrange(len(line)) if self._chance.random() < 0.1 else 0
                if cut:
                    os.write(descriptor, line[:cut])
                    self._stop_it.wait(self._chance.choice((0.0, 0.002, 0.02)))
                os.write(descriptor, line[cut:])
                self.lines += 1
        finally:
            os.close(descriptor)

    def _rotated(self) -> dict[int, Path]:
        found = {}
        for path in self.log.parent.iterdir():
            parts = path.name.removeprefix(self.log.name).split(".")
            if len(parts) > 1 and parts[1].isdigit():
                found[int(parts[1])] = path
        return found

    def _rotate(self) -> None:
        rotated = self._rotated()
        if len(rotated) > KEPT and not self._all_is_read():
            return
        for number in sorted(rotated, reverse=True):
            path = rotated[number]
            if number > KEPT // 2 and len(rotated) > KEPT:
                path.unlink()
                continue
            ending = ".gz" if path.suffix == ".gz" else ""
            path.rename(self.log.with_name(f"{self.log.name}.{number + 1}{ending}"))
        newest = self.log.with_name(f"{self.log.name}.1")
        if self._chance.random() < 0.3:
            newest.write_bytes(self.log.read_bytes())
            os.truncate(self.log, 0)
        else:
            self.log.rename(newest)
        self.rotations += 1
        plain = self._rotated().get(2)
        if plain is not None and plain.suffix != ".gz" and self._chance.random() < 0.5:
            made = plain.with_name("making.tmp")
            made.write_bytes(gzip.compress(plain.read_bytes(), 1))
            made.rename(plain.with_name(plain.name + ".gz"))
            plain.unlink()

    def _all_is_read(self) -> bool:
        """Whether the store has every line: then what was rotated may be deleted without losing anything."""
        try:
            with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=5)) as db:
                return int(db.execute("SELECT samples FROM source").fetchone()[0]) >= self.lines
        except (sqlite3.Error, TypeError):
            return False


class Torture:
    """One run in a folder of its own."""

    def __init__(self, folder: Path, collector: Collector, *, kills: int, seed: int) -> None:
        self.log = folder / "logs" / "proxy-8787.log"
        self.log.parent.mkdir(parents=True)
        self.log.touch()
        self.db = folder / "store.db"
        self.stderr = folder / "stderr.txt"
        self._collector = collector
        self._kills = kills
        self._chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self._writer = Writer(self.log, self.db, seed + 1)
        self._up = False

    def run(self, progress: bool = False) -> Result:
        """Kill so many times, let it end in order, and compare."""
        self._ready_s = self._first()
        self._writer.start()
        try:
            for done in range(self._kills):
                self._weather()
                process = self._start()
                try:
                    # around the moment at which it begins to read, which depends on the machine, and up to a second on
                    process.wait(self._ready_s * self._chance.uniform(0.5, 1.2) + self._chance.choice((0, 0, 0.2, 1.0)))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                else:
                    raise AssertionError(
                        f"it ended by itself with {process.returncode}: {self.stderr.read_text()[-2000:]}"
                    )
                if progress and (done + 1) % 25 == 0:
                    print(f"{done + 1} kills, {self._writer.lines} lines", file=sys.stderr, flush=True)
        finally:
            self._writer.stop()
        if not self._up:
            self._collector.start()
        self._finish()
        self._collector.stop()
        return self._compare()

    def _first(self) -> float:
        """How long it takes from its start to the first look at the log."""
        process, started_s = self._start(), time.monotonic()
        while self._samples() is None:
            assert process.poll() is None, self.stderr.read_text()
            assert time.monotonic() - started_s < 60
            time.sleep(0.01)  # a real process has to get there; bounded
        ready_s = time.monotonic() - started_s
        process.send_signal(signal.SIGKILL)
        process.wait()
        return ready_s

    def _weather(self) -> None:
        if self._chance.random() < 0.15:
            if self._up:
                self._collector.stop()
            else:
                self._collector.start()
            self._up = not self._up

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(self.log)),
            *("--db", str(self.db), "--from-start", "--event", EVENT, "--export-interval", "500ms"),
            *("--threshold-ms", "1000", "--otlp-endpoint", self._collector.http_endpoint),
        ]

    def _start(self) -> subprocess.Popen[bytes]:
        with self.stderr.open("ab") as stderr:
            return subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)

    def _finish(self) -> None:
        """Let it read to the end, then stop it in order, then deliver what waits."""
        process = self._start()
        try:
            deadline_s = time.monotonic() + 60
            while (self._samples() or 0) < self._writer.lines and time.monotonic() < deadline_s:
                time.sleep(0.1)  # a real process has to get there; bounded
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        time.sleep(3.2)  # the quiet window of the last episode, by the clock: then `--once` closes it
        for _ in range(3):
            if subprocess.run([*self._command(), "--once"], check=False, timeout=120).returncode == 0:
                return
        raise AssertionError("not all was delivered to a collector that is up")

    def _samples(self) -> int | None:
        """How many samples the store has; None: there is no store yet, or nobody looked at the log."""
        try:
            with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=5)) as db:
                row = db.execute("SELECT samples FROM source WHERE looked").fetchone()
        except sqlite3.Error:
            return None
        return None if row is None else int(row[0])

    def _compare(self) -> Result:
        written = set(range(1, self._writer.lines + 1))
        details: list[str] = []
        lost = doubled = 0

        def compare(what: str, found: Counter[int], expected: set[int]) -> None:
            nonlocal lost, doubled
            missing = expected - found.keys()
            more = {number for number, times in found.items() if times > 1 or number not in expected}
            lost, doubled = lost + len(missing), doubled + len(more)
            if missing or more:
                details.append(f"{what}: lost {sorted(missing)[:10]}, doubled {sorted(more)[:10]}")

        conn = query.open_readonly(self.db)
        try:
            compare("store", Counter(number_of(round(row.duration_ms * 1e6)) for row in query.samples(conn)), written)
            summary = query.summary(conn)
        finally:
            conn.close()
        if summary.count != len(written):
            details.append(f"summary says {summary.count}")
            lost, doubled = lost + max(0, len(written) - summary.count), doubled + max(0, summary.count - len(written))
        points = [point for point in self._collector.metrics() if point.name == f"{EVENT}.duration"]
        latest = {str(sorted(point.attributes.items())): point for point in points}  # in order of arrival
        total = sum(point.value for point in latest.values())
        if total != len(written):
            details.append(f"the collector's last counts add up to {total}")
            lost, doubled = lost + max(0, len(written) - total), doubled + max(0, total - len(written))
        spans: dict[str, ReceivedSpan] = {}
        for span in self._collector.spans():
            if spans.setdefault(span.span_id, span) != span:
                details.append(f"span {span.span_id} was sent twice, and not as the same")
                doubled += 1
        slow = {number for number in written if number % SLOW_EVERY == 0}
        events = [event for span in spans.values() for event in span.events]
        dropped = sum(span.dropped_events for span in spans.values())
        uids = Counter(str(event.attributes["log.record.uid"]) for event in events)
        doubled += sum(times > 1 for times in uids.values())
        if len(events) + dropped != len(slow):
            details.append(f"{len(events)} span events and {dropped} beyond the limit for {len(slow)} breaches")
            lost, doubled = (
                lost + max(0, len(slow) - len(events) - dropped),
                doubled + max(0, len(events) + dropped - len(slow)),
            )
        found = Counter(number_of(round(float(event.attributes["value_ms"]) * 1e6)) for event in events)
        compare("span events", found, slow if not dropped else set(found))
        return Result(self._kills, len(written), lost, doubled, tuple(details))
