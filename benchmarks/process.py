"""A program run as a whole, and what it cost: CPU, time and memory, of itself and all that it started."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

LOOK_S = 0.02
"""Interval at which the memory of a process is read: the kernel keeps the peak only while the process lives."""


class Cost(msgspec.Struct, frozen=True):
    """The cost of one run.

    ``cpu_s`` is user and system time with all children; ``peak_mib`` is the peak of the process itself.
    """

    cpu_s: float
    wall_s: float
    peak_mib: float
    output: str = ""


def run(
    command: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    until: Callable[[], bool] | None = None,
    timeout_s: float = 900.0,
    codes: Sequence[int] = (0,),
) -> Cost:
    """Run it to its end, or ``until`` something is so: then it is asked to end (SIGTERM).

    Raises:
        RuntimeError: it did not start, ended otherwise than with one of ``codes``, or not in time.
    """
    begun_s = time.monotonic()
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environ or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    peak_kib, asked = 0, False
    try:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak_kib = max(peak_kib, high_water_kib(process.pid))
            if not asked and until is not None and until():
                asked = True
                process.send_signal(signal.SIGTERM)
            if time.monotonic() - begun_s > timeout_s:
                raise RuntimeError(f"{command[0]} takes longer than {timeout_s:.0f} s")
            time.sleep(LOOK_S)
        wall_s = time.monotonic() - begun_s
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:
            process.kill()
        output, errors = (text.decode(errors="replace") for text in process.communicate())
    if process.returncode not in codes and not asked:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, peak_kib / 1024, output)


def high_water_kib(pid: int) -> int:
    """The most memory that a process has had resident so far (``VmHWM``); 0 when it is gone, or has none yet."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def in_turn(runs: int, measures: Mapping[str, Callable[[], Cost]]) -> dict[str, list[Cost]]:
    """Measure each so often, in turn, every other time in the opposite order: what the machine does hits all alike."""
    found: dict[str, list[Cost]] = {name: [] for name in measures}
    for number in range(runs):
        order = list(measures) if number % 2 == 0 else list(measures)[::-1]
        for name in order:
            found[name].append(measures[name]())
    return found


def least_cpu_s(costs: Sequence[Cost]) -> float:
    """The run that was disturbed the least."""
    return min(cost.cpu_s for cost in costs)


def ratio(ours: Sequence[Cost], theirs: Sequence[Cost]) -> float:
    """Return our CPU time relative to another program's: the median of pairs that were measured side by side."""
    return statistics.median(a.cpu_s / b.cpu_s for a, b in zip(ours, theirs, strict=True))
