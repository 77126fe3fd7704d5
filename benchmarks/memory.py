"""How much memory the real process holds at most, through what should not matter to it: VmHWM in MiB.

python -m benchmarks.memory            the full sizes: a 2 GB line, 5 GB of log, a million undelivered samples
python -m benchmarks.memory --small    a tenth of them
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.data import write_log

BAR_MIB = 80


def peak_mib(folder: Path, log: Path, *more: str) -> float:
    """Read a log once with the real program, and return the most that it held in memory."""
    command = [sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(log), "--once"]
    process = subprocess.Popen(
        [*command, "--db", str(folder / "store.db"), *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = 0.0
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                peak = int(line.split()[1]) / 1024
        time.sleep(0.02)
    _, said = process.communicate()
    if process.returncode not in (0, 1) or "Traceback" in said:
        raise RuntimeError(f"it ended with {process.returncode}: {said}")
    return peak


def line_without_end(folder: Path, scale: float) -> float:
    """A line of 2 GB, and no newline."""
    log = folder / "proxy.log"
    block = b"STAGE_TIMINGS and so on, " * 40_000
    with log.open("wb") as file:
        for _ in range(int(2e9 * scale) // len(block)):
            file.write(block)
    return peak_mib(folder, log)


def much_log(folder: Path, scale: float) -> float:
    """5 GB of log, a fiftieth of it hits."""
    log = folder / "proxy.log"
    write_log(log, int(5e9 * scale), hits=0.02, a_second=500)
    return peak_mib(folder, log)


def undelivered(folder: Path, scale: float) -> float:
    """A million samples that no collector takes."""
    log = folder / "proxy.log"
    write_log(log, int(5.2e8 * scale), hits=1.0, a_second=50)
    return peak_mib(folder, log, "--otlp-endpoint", "http://127.0.0.1:9")


def squeezed(folder: Path, scale: float) -> float:
    """A rotated file of 1 GB that is next to nothing when compressed."""
    log = folder / "proxy.log"
    log.write_bytes(b"a line\n")
    block = (b"x" * 1000 + b"\n") * 1000
    with gzip.open(folder / "proxy.log.1.gz", "wb", compresslevel=1) as file:
        for _ in range(int(1e9 * scale) // len(block)):
            file.write(block)
    return peak_mib(folder, log)


CASES: tuple[Callable[[Path, float], float], ...] = (line_without_end, much_log, undelivered, squeezed)


def main() -> int:
    """Print a table; 1 if a case needs more than the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    scale = 0.1 if parser.parse_args().small else 1.0
    worst = 0.0
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            peak = case(Path(folder), scale)
        worst = max(worst, peak)
        print(f"{case.__name__:20} {peak:6.1f} MiB   (bar {BAR_MIB})", flush=True)
    return int(worst > BAR_MIB)


if __name__ == "__main__":
    sys.exit(main())
