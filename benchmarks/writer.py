"""A program that writes a log line by line, and notes when.

    python -m benchmarks.writer LOG LINES_A_SECOND LINES STAMPS [TOTAL_MS]

STAMPS gets a line for each: the monotonic clock, in nanoseconds, just before the write. That clock is the same in every
process of a machine.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from pathlib import Path


def line(number: int, total_ms: float) -> bytes:
    """A sample that ends now."""
    now = time.time()
    stamp = datetime.fromtimestamp(now).strftime("%Y-%m-%d %H:%M:%S") + f",{int(now * 1000) % 1000:03d}"
    name = f"hr_{int(now - total_ms / 1000)}_{number:06d}"
    return (
        f'{stamp} - headroom.proxy - INFO - [{name}] STAGE_TIMINGS {{"event": "stage_timings", '
        f'"path": "anthropic_messages", "request_id": "{name}", "session_id": "{number:032x}", "stages": '
        f'{{"pre_upstream_wait": {total_ms}, "read_request_json": 0.1, "deep_copy": 0.0013, '
        f'"compression_first_stage": null, "memory_context": null, "upstream_connect": null, '
        f'"upstream_first_byte": null, "total_pre_upstream": {total_ms + 0.2}}}}}\n'
    ).encode()


def write(log: Path, a_second: float, lines: int, total_ms: float) -> list[int]:
    """Append so many lines at that rate, each with a write of its own; returns the stamps."""
    stamps = []
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    begun_ns = time.monotonic_ns()
    for number in range(lines):
        due_ns = begun_ns + round(number * 1e9 / a_second)
        text = line(number, total_ms)
        while (left_ns := due_ns - time.monotonic_ns()) > 0:
            time.sleep(left_ns / 1e9)
        stamps.append(time.monotonic_ns())
        os.write(descriptor, text)
    os.close(descriptor)
    return stamps


if __name__ == "__main__":
    noted = write(
        Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[5]) if len(sys.argv) > 5 else 1.0
    )
    Path(sys.argv[4]).write_text("\n".join(map(str, noted)))
