"""The program that writes the log, and what rotates it: a thread that does both, in every way that loses nothing.

Every line has its own number, in its duration, so that it can be identified in the store and at the collector.
"""

from __future__ import annotations

import gzip
import os
import random
import sqlite3
import threading
import time
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from tests.support.waiting import bound_s

THRESHOLD_NS = 10**9
QUIET_S = 0.2
KEPT = 12  # rotated files that stay, read or not

_TRACEBACK = b"""Traceback (most recent call last):
  File "/usr/lib/python3.12/asyncio/runners.py", line 118, in run
    return self._loop.run_until_complete(task)
asyncio.exceptions.CancelledError
"""


def duration_ns(number: int, *, slow: bool) -> int:
    """The duration that names a line. Up to ten million lines, those that are not slow stay below the threshold."""
    return number * 100 + (THRESHOLD_NS if slow else 0)


def number_of(duration: int) -> int:
    """The line that a duration names."""
    return duration % THRESHOLD_NS // 100


def line_of(number: int, *, slow: bool) -> bytes:
    """A line as headroom writes it, now."""
    now, took_ns = time.time(), duration_ns(number, slow=slow)
    name = f"hr_{int(now - took_ns / 1e9)}_{number:06d}"
    total_ms = took_ns / 1e6
    return (
        f'{_stamp(now)} - headroom.proxy - INFO - [{name}] STAGE_TIMINGS {{"event": "stage_timings",'
        f' "path": "anthropic_messages", "request_id": "{name}", "session_id": "{number:032x}", "stages":'
        f' {{"pre_upstream_wait": {total_ms}, "read_request_json": 0.515, "deep_copy": 0.0013,'
        f' "compression_first_stage": null, "memory_context": null, "upstream_connect": null,'
        f' "upstream_first_byte": null, "total_pre_upstream": {total_ms}}}}}\n'
    ).encode()


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]


class Upstream(threading.Thread):
    """Writes and rotates until told to stop.

    ``lines`` is how many samples were written, ``slow`` the numbers of those that are breaches: bursts of them with
    pauses in between that are longer than the quiet window, so that each burst is an episode that fits into one span.
    """

    def __init__(self, log: Path, db: Path, seed: int) -> None:
        super().__init__(name="upstream", daemon=True)
        self.log = log
        self.db = db
        self.lines = 0
        self.slow: set[int] = set()
        self.rotations = 0
        self.replaced = 0
        self.parts_lost = 0
        self.failed: BaseException | None = None
        self._chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self._enough = threading.Event()
        self._slow_left = 0
        self._no_slow_before_s = 0.0

    def __str__(self) -> str:
        return (
            f"{self.lines} lines, {self.rotations} rotations, {self.replaced} backups replaced,"
            f" {self.parts_lost} times a part of the log lost"
        )

    def stop(self) -> None:
        """Let it end between two lines."""
        self._enough.set()
        self.join()
        if self.failed is not None:
            raise self.failed

    def run(self) -> None:
        try:
            while not self._enough.is_set():
                self._burst()
                if self._chance.random() < 0.12:
                    self._rotate()
                if self._chance.random() < 0.03:
                    self._replace_a_backup()
                if self._chance.random() < 0.03 and self._comes_to_be_read():
                    self._lose_a_part()
                self._pause(0.0, 0.001, 0.01, 0.05)
        except BaseException as problem:  # noqa: BLE001 - it is raised where the thread is joined
            self.failed = problem

    def _pause(self, *seconds: float) -> None:
        self._enough.wait(self._chance.choice(seconds))

    # --- writing ----------------------------------------------------------------------------------------------------

    def _burst(self) -> None:
        many = 3000 if self._chance.random() < 0.005 else self._chance.choice((1, 1, 3, 20, 200))
        descriptor = self._open()
        try:
            for _ in range(many):
                if self._chance.random() < 0.2:
                    os.write(descriptor, self._other())
                line = self._next()
                cut = self._chance.randrange(len(line)) if self._chance.random() < 0.1 else 0
                if cut:
                    os.write(descriptor, line[:cut])
                    self._pause(0.0, 0.0, 0.0, 0.002, 0.02)
                os.write(descriptor, line[cut:])
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _next(self) -> bytes:
        """Return the next line. It counts from now on, so the caller must write it."""
        now_s = time.monotonic()
        if not self._slow_left and now_s >= self._no_slow_before_s and self._chance.random() < 0.05:
            self._slow_left = self._chance.randint(1, 12)
        slow = self._slow_left > 0
        self.lines += 1
        if slow:
            self._slow_left -= 1
            self._no_slow_before_s = now_s + QUIET_S * 1.5
            self.slow.add(self.lines)
        return line_of(self.lines, slow=slow)

    def _other(self) -> bytes:
        kind = self._chance.random()
        if kind < 0.1:
            return _TRACEBACK
        size = 30_000 if kind < 0.12 else self._chance.randrange(400)
        return f"{_stamp(time.time())} - headroom.proxy - INFO - event=request {'x' * size}\n".encode()

    # --- rotating ---------------------------------------------------------------------------------------------------

    def _rotated(self) -> dict[int, Path]:
        found = {}
        for path in self.log.parent.iterdir():
            parts = path.name.removeprefix(self.log.name).split(".")
            if len(parts) > 1 and parts[1].isdigit():
                found[int(parts[1])] = path
        return found

    def _rotate(self) -> None:
        rotated = self._rotated()
        if len(rotated) > KEPT and not self._comes_to_be_read():
            return
        for number in sorted(rotated, reverse=True):
            path = rotated[number]
            if number > KEPT // 2 and len(rotated) > KEPT:
                path.unlink()
                continue
            ending = ".gz" if path.suffix == ".gz" else ""
            path.rename(self.log.with_name(f"{self.log.name}.{number + 1}{ending}"))
        newest = self.log.with_name(f"{self.log.name}.1")
        if not self.log.exists():
            self.log.touch()
        how = self._chance.random()
        if how < 0.3:
            self._write_slowly(newest, self.log.read_bytes())
            os.truncate(self.log, 0)
        elif how < 0.5:
            # another worker is within a line, and finishes it in the file that has another name by then
            line, descriptor = self._next(), self._open()
            try:
                cut = self._chance.randrange(1, len(line))
                os.write(descriptor, line[:cut])
                self.log.rename(newest)
                self._pause(0.0, 0.01, 0.05)
                if self._chance.random() < 0.5:
                    self._burst()
                os.write(descriptor, line[cut:])
            finally:
                os.close(descriptor)
        else:
            self.log.rename(newest)
        self.rotations += 1
        plain = self._rotated().get(2)
        if plain is not None and plain.suffix != ".gz" and self._chance.random() < 0.5:
            self._write_slowly(plain.with_name(plain.name + ".gz"), gzip.compress(plain.read_bytes(), 1))
            plain.unlink()

    def _replace_a_backup(self) -> None:
        """Put a copy of a rotated file in its place, as a restored backup or a mirror does: another inode."""
        rotated = [path for path in self._rotated().values() if path.suffix != ".gz"]
        if rotated:
            path = self._chance.choice(rotated)
            copy = path.with_name("copy-in-the-making")
            copy.write_bytes(path.read_bytes())
            copy.rename(path)
            self.replaced += 1

    def _lose_a_part(self) -> None:
        """Cut lines off the end of the log or off its beginning: all of them are in the store already."""
        lines = self.log.read_bytes().splitlines(keepends=True) if self.log.exists() else []
        if len(lines) < 20:
            return
        many = self._chance.randrange(1, len(lines) // 2)
        how = self._chance.random()
        if how < 0.4:  # a power cut
            os.truncate(self.log, sum(map(len, lines[:-many])))
        elif how < 0.8:  # tail -n N log > t; cat t > log
            with self.log.open("r+b", buffering=0) as file:
                file.truncate(0)
                self._pause(0.0, 0.0, 0.01)
                file.write(b"".join(lines[many:]))
        else:  # sed -i 1,Nd log
            copy = self.log.with_name("sed-in-the-making")
            copy.write_bytes(b"".join(lines[many:]))
            copy.rename(self.log)
        self.parts_lost += 1

    def _write_slowly(self, path: Path, data: bytes) -> None:
        """As cp and gzip do: under its name from the first byte on."""
        with path.open("wb", buffering=0) as file:
            middle = self._chance.randrange(len(data) + 1)
            file.write(data[:middle])
            self._pause(0.0, 0.0, 0.02)
            file.write(data[middle:])

    def _comes_to_be_read(self) -> bool:
        """Write nothing until the store has every line, for some lives of the program at most."""
        deadline_s = time.monotonic() + bound_s(10)
        while not self._all_is_read():
            if time.monotonic() > deadline_s or self._enough.wait(0.02):
                return False
        return True

    def _all_is_read(self) -> bool:
        """Return whether the store has every line: rotated files can then be deleted without a loss."""
        try:
            with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=5)) as db:
                return int(db.execute("SELECT samples FROM source").fetchone()[0]) >= self.lines
        except (sqlite3.Error, TypeError):
            return False
