"""Logs to measure with, made from a seed: the same bytes for the same arguments."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

START = datetime(2026, 11, 25, 12, 0, 0, tzinfo=timezone.utc)
OTHER = b"%s - headroom.proxy - INFO - event=request_finished id=%d model=claude tokens=%d cache=hit %s\n"


def write_log(path: Path, size: int, *, hits: float, a_second: int = 100, seed: int = 1) -> tuple[int, int]:
    """Write a headroom log of about ``size`` bytes, of whose lines a share ``hits`` holds a sample.

    Args:
        path: Where to.
        size: Bytes, at least.
        hits: From 0 to 1.
        a_second: Lines a second of the log's own time.
        seed: Of the random numbers.

    Returns:
        (lines, samples).
    """
    chance = random.Random(seed)  # noqa: S311 - data, no secret
    filler = ("lorem ipsum dolor sit amet " * 20).encode()
    lines = samples = written = 0
    step_ms = 1000 / a_second
    with path.open("wb", buffering=1 << 20) as file:
        while written < size:
            now = START + timedelta(milliseconds=lines * step_ms)
            stamp = now.strftime("%Y-%m-%d %H:%M:%S,") + f"{now.microsecond // 1000:03d}"
            if chance.random() < hits:
                line = _hit(stamp, now, samples, chance)
                samples += 1
            else:
                line = OTHER % (stamp.encode(), lines, chance.randrange(10_000), filler[: chance.randrange(40, 120)])
            file.write(line)
            written += len(line)
            lines += 1
    return lines, samples


def _hit(stamp: str, now: datetime, number: int, chance: random.Random) -> bytes:
    read, copy = chance.lognormvariate(-1, 1), chance.lognormvariate(-6, 0.5)
    wait = chance.lognormvariate(-1, 1) if chance.random() > 0.002 else chance.uniform(500, 4000)
    stages = {
        "pre_upstream_wait": wait,
        "read_request_json": read,
        "deep_copy": copy,
        "compression_first_stage": None,
        "memory_context": None,
        "upstream_connect": None,
        "upstream_first_byte": None,
        "total_pre_upstream": wait + read + copy + chance.lognormvariate(0, 0.5),
    }
    epoch = int(now.timestamp() - stages["total_pre_upstream"] / 1000)
    name = f"hr_{epoch}_{number % 1_000_000:06d}"
    payload = {
        "event": "stage_timings",
        "path": "anthropic_messages",
        "request_id": name,
        "session_id": f"{chance.getrandbits(128):032x}",
        "stages": stages,
    }
    return f"{stamp} - headroom.proxy - INFO - [{name}] STAGE_TIMINGS {json.dumps(payload)}\n".encode()
