"""A program that writes the log as headroom does, and rotates it, in a thread of its own.

Every line has its own number, in its duration, so that it can be identified in the store and at the collector.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from tests.support.waiting import bound_s
from tests.torture.stored import Stored, duration_ns
from tests.torture.writer import TRACEBACK, Writer

QUIET_S = 0.2


BURST = 300
"""Breaches of a long episode, which has parts: a part has 128 breaches at most."""


def burst_of(numbers: Iterable[int], now: float) -> bytes:
    """Breaches that are one episode however slow the machine is: one each millisecond."""
    return b"".join(line_of(number, slow=True, now=now + place / 1000) for place, number in enumerate(numbers))


def line_of(number: int, *, slow: bool, now: float | None = None) -> bytes:
    """A line as headroom writes it at a time, by default now."""
    now, took_ns = time.time() if now is None else now, duration_ns(number, slow=slow)
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


class Upstream(Writer, threading.Thread):
    """Writes and rotates until told to stop.

    ``slow`` has the numbers of the lines that are breaches: bursts of them with pauses in between that are longer than
    the quiet window. Each burst is an episode: most fit into one span, and a long one has parts.
    """

    def __init__(self, log: Path, stored: Stored, seed: int) -> None:
        Writer.__init__(self, log, random.Random(seed))  # noqa: S311 - a schedule, no secret
        threading.Thread.__init__(self, name="upstream", daemon=True)
        self._stored = stored
        self.slow: set[int] = set()
        self.failed: BaseException | None = None
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

    def write_burst(self) -> None:
        """Write a long episode at once, after it was stopped."""
        numbers = range(self.lines + 1, self.lines + BURST + 1)
        with self.log.open("ab", buffering=0) as log:
            log.write(burst_of(numbers, time.time()))
        self.lines += BURST
        self.slow.update(numbers)

    def run(self) -> None:
        try:
            for pauses in self.steps():
                if pauses:
                    self._enough.wait(self.chance.choice(pauses))
        except BaseException as problem:  # noqa: BLE001 - it is raised where the thread is joined
            self.failed = problem

    def ends(self) -> bool:
        return self._enough.is_set()

    def many(self) -> int:
        return 3000 if self.chance.random() < 0.005 else self.chance.choice((1, 1, 3, 20, 200))

    def next_line(self) -> bytes:
        now_s = time.monotonic()
        if not self._slow_left and now_s >= self._no_slow_before_s and self.chance.random() < 0.05:
            self._slow_left = BURST if self.chance.random() < 0.1 else self.chance.randint(1, 12)
        slow = self._slow_left > 0
        self.lines += 1
        if slow:
            self._slow_left -= 1
            self._no_slow_before_s = now_s + QUIET_S * 1.5
            self.slow.add(self.lines)
        return line_of(self.lines, slow=slow)

    def other(self) -> bytes:
        kind = self.chance.random()
        if kind < 0.1:
            return TRACEBACK
        size = 30_000 if kind < 0.12 else self.chance.randrange(400)
        return f"{_stamp(time.time())} - headroom.proxy - INFO - event=request {'x' * size}\n".encode()

    def all_is_read(self) -> bool:
        """Write nothing until the store has every line: rotated files can then be deleted without loss.

        It waits for some lives of the program at most.
        """
        deadline_s = time.monotonic() + bound_s(10)
        while not self._stored.has(self.lines):
            if time.monotonic() > deadline_s or self._enough.wait(0.02):
                return False
        return True
