"""Logs to fill dashboards with: real captures shifted in time, and synthetic days. Times are UTC."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path

CAPTURES = Path(__file__).resolve().parent.parent / "tests" / "captures"
DAY_S = 24 * 3600

_STAMP = re.compile(rb"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) ", re.MULTILINE)
_ID = re.compile(rb"\bhr_(\d{10})_")


@lru_cache(maxsize=10_000)
def seconds(stamp: bytes) -> int:
    """Return a line's time in seconds since the epoch, without its milliseconds."""
    return int(datetime.strptime(stamp.decode(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc).timestamp())


@lru_cache(maxsize=10_000)
def stamp(time_s: int) -> bytes:
    """Return a time in the format of a log line."""
    return datetime.fromtimestamp(time_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S").encode()


def span(log: bytes) -> tuple[int, int]:
    """Return the times of a log's first and last line."""
    found = [seconds(match[1]) for match in _STAMP.finditer(log)]
    return min(found), max(found)


def moved(log: bytes, by_s: int) -> bytes:
    """Return the log shifted in time: the times of its lines, and those in the requests' ids."""
    log = _STAMP.sub(lambda match: b"%s,%s " % (stamp(seconds(match[1]) + by_s), match[2]), log)
    return _ID.sub(lambda match: b"hr_%d_" % (int(match[1]) + by_s), log)


def day(start_s: int, captures: Path = CAPTURES, pause_s: int = 240) -> Iterator[bytes]:
    """Yield all captures repeatedly for a day from ``start_s`` on, with a pause after each."""
    logs = [path.read_bytes() for path in sorted(captures.glob("*.log"))]
    now_s = start_s
    while True:
        for log in logs:
            first_s, last_s = span(log)
            if now_s + last_s - first_s > start_s + DAY_S:
                return
            yield moved(log, now_s - first_s)
            now_s += last_s - first_s + pause_s


def made_up(until_s: int, *, days: int, seed: int, every_s: float = 300.0) -> bytes:
    """Return synthetic days that end at ``until_s``: little traffic with three stalls per day, each with one cause."""
    chance = random.Random(seed)  # noqa: S311 - made-up data, no secret
    start_s = until_s - days * DAY_S
    stalls = [
        (start_s + day * DAY_S + chance.uniform(0, DAY_S - 60), chance.choice(("wait", "read", "compress", "other")))
        for day in range(days)
        for _ in range(3)
    ]
    calm = [(time_s, "") for time_s in _arrivals(chance, start_s, until_s, every_s)]
    busy = [(at_s + 1.3 * n, cause) for at_s, cause in stalls for n in range(chance.randint(2, 6))]
    return _lines(chance, calm + busy)


def storms(until_s: int, *, hours: int, seed: int, every_s: float, storm_s: float) -> bytes:
    """Return synthetic hours that end at ``until_s``: calm requests, and some seconds of slow ones per 10 minutes."""
    chance = random.Random(seed)  # noqa: S311 - made-up data, no secret
    start_s = until_s - hours * 3600
    calm = [(time_s, "") for time_s in _arrivals(chance, start_s, until_s, every_s)]
    slow = [
        (time_s, chance.choice(("wait", "read", "compress", "other")))
        for at_s in range(start_s + 300, until_s, 600)
        for time_s in _arrivals(chance, at_s, at_s + storm_s, 0.7)
    ]
    return _lines(chance, calm + slow)


def _lines(chance: random.Random, moments: list[tuple[float, str]]) -> bytes:
    return b"".join([_line(chance, time_s, cause, number) for number, (time_s, cause) in enumerate(sorted(moments), 1)])


def _arrivals(chance: random.Random, start_s: float, end_s: float, every_s: float) -> Iterator[float]:
    now_s = start_s + 1 + chance.expovariate(1 / every_s)
    while now_s < end_s - 1:
        yield now_s
        now_s += chance.expovariate(1 / every_s)


def _line(chance: random.Random, time_s: float, cause: str, number: int) -> bytes:
    wait, read = chance.lognormvariate(-1.5, 1.0), chance.lognormvariate(0.0, 1.0)
    copy, compress = chance.lognormvariate(-2.0, 1.0), chance.lognormvariate(1.5, 1.0)
    other = chance.lognormvariate(3.5, 0.7)
    slow = chance.choice((chance.uniform(600, 1900), chance.uniform(2100, 9000)))
    if cause == "wait":
        wait += slow
    elif cause == "read":
        read += slow
    elif cause == "compress":
        compress += slow
    elif cause == "other":
        other += slow
    total = wait + read + copy + compress + other
    identity = f"hr_{int(time_s - total / 1000)}_{number:06d}"
    body = {
        "event": "stage_timings",
        "path": "anthropic_messages",
        "request_id": identity,
        "session_id": f"{chance.getrandbits(128):032x}",
        "stages": {
            "pre_upstream_wait": wait,
            "read_request_json": read,
            "deep_copy": copy,
            "compression_first_stage": compress,
            "memory_context": None,
            "upstream_connect": None,
            "upstream_first_byte": None,
            "total_pre_upstream": total,
        },
    }
    milliseconds = int(time_s * 1000) % 1000
    prefix = f"{stamp(int(time_s)).decode()},{milliseconds:03d} - headroom.proxy - INFO - [{identity}] STAGE_TIMINGS "
    return (prefix + json.dumps(body) + "\n").encode()


def due(log: bytes) -> Iterator[tuple[float, bytes]]:
    """Yield each line and the time it was written; a line without a time has that of the line before."""
    at_s = 0.0
    for line in log.splitlines(keepends=True):
        match = _STAMP.match(line)
        if match is not None:
            at_s = seconds(match[1]) + int(match[2]) / 1000
        yield at_s, line
