"""Logs to measure with, made from a seed: the same bytes for the same arguments.

A hit is a line that contains a sample. Hits are generated one by one, with increasing times and their own request ids,
from about a thousand sets of stages. The other lines are the same thousand lines repeated, since no program may look
into them.
"""

from __future__ import annotations

import json
import random
import re
from datetime import datetime, timedelta, timezone
from itertools import accumulate
from pathlib import Path

import msgspec

START = datetime(2026, 11, 1, 12, 0, 0, tzinfo=timezone.utc)
CAPTURES = Path(__file__).parent.parent / "tests" / "captures"
MARKER = b"STAGE_TIMINGS"
MB = 10**6

_LOTS = 4096
_OTHERS = 1000
_OTHER = b"%s - headroom.proxy - INFO - event=request_finished id=%d model=claude tokens=%d cache=hit %s\n"
_STAMP = "%Y-%m-%d %H:%M:%S,"
_WRITE = 1 << 20


class Log(msgspec.Struct, frozen=True):
    """A data set: one log or several, and what is in it."""

    name: str
    files: tuple[Path, ...]
    lines: int
    samples: int
    bytes: int


class Shape(msgspec.Struct, frozen=True):
    """The content of a log."""

    hits: float = 1.0
    """Share of the lines that are samples; below 1 the gaps between samples are random."""

    a_second: float = 1000.0
    """Lines per second of the log's own time."""

    slow: float = 0.002
    """Share of the samples that are breaches."""

    seed: int = 1


def write_log(path: Path, size: int, shape: Shape, lines: int = 0) -> tuple[int, int]:
    """Write a headroom log of at least so many bytes and lines.

    If there are samples, the last line is one: a program that has it has read the whole log.

    Returns:
        (lines, samples).
    """
    hits = shape.hits
    chance = random.Random(shape.seed)  # noqa: S311 - data, no secret
    lots = [_stages(chance, shape.slow) for _ in range(_LOTS)]
    others, ends = _others(chance)
    widest = max(1, round(2 / hits) - 1) if hits else _OTHERS  # so that the mean is 1 / hits
    start_ms = round(START.timestamp() * 1000)
    least, lines, samples, written = lines, 0, 0, 0
    second, stamp = -1, b""
    parts: list[bytes] = []
    with path.open("wb", buffering=_WRITE) as file:
        while written < size or lines < least:
            gap = chance.randint(1, widest) - 1 if hits else _OTHERS
            first = chance.randrange(_OTHERS) if gap else 0
            parts = []
            lines += gap
            while gap > 0:
                taken = min(gap, _OTHERS - first)
                parts.append(others[ends[first] : ends[first + taken]])
                gap, first = gap - taken, 0
            if hits:
                now_ms = start_ms + int(lines * 1000 // shape.a_second)
                if now_ms // 1000 != second:
                    second = now_ms // 1000
                    stamp = datetime.fromtimestamp(second, timezone.utc).strftime(_STAMP).encode()
                total_ms, stages = lots[(samples * 7919 + samples // _LOTS) % _LOTS]
                name = b"hr_%d_%06d" % ((now_ms - total_ms) // 1000, samples % 1_000_000)
                parts.append(_HIT % (stamp, now_ms % 1000, name, name, samples, stages))
                samples += 1
                lines += 1
            written += file.write(b"".join(parts))
    return lines, samples


_HIT = (
    b"%s%03d - headroom.proxy - INFO - [%s] STAGE_TIMINGS "
    b'{"event": "stage_timings", "path": "anthropic_messages", "request_id": "%s", "session_id": "%032x", '
    b'"stages": %s}\n'
)


def _stages(chance: random.Random, slow: float) -> tuple[int, bytes]:
    """The stages of a request, and their total in whole milliseconds, rounded up."""
    read, copy = chance.lognormvariate(-1, 1), chance.lognormvariate(-6, 0.5)
    wait = chance.lognormvariate(-1, 1) if chance.random() >= slow else chance.uniform(500, 4000)
    total = wait + read + copy + chance.lognormvariate(0, 0.5)
    stages = {
        "pre_upstream_wait": wait,
        "read_request_json": read,
        "deep_copy": copy,
        "compression_first_stage": None,
        "memory_context": None,
        "upstream_connect": None,
        "upstream_first_byte": None,
        "total_pre_upstream": total,
    }
    return int(total) + 1, json.dumps(stages).encode()


def _others(chance: random.Random) -> tuple[bytes, list[int]]:
    """Lines without a sample, and where each begins (and the last one ends)."""
    filler = ("lorem ipsum dolor sit amet " * 20).encode()
    lines = []
    for number in range(_OTHERS):
        now = START + timedelta(milliseconds=10 * number)
        stamp = now.strftime(_STAMP) + f"{now.microsecond // 1000:03d}"
        text = filler[: chance.randrange(40, 120)]
        lines.append(_OTHER % (stamp.encode(), number, chance.randrange(10_000), text))
    return b"".join(lines), [0, *accumulate(map(len, lines))]


def made(folder: Path, name: str, size: int, shape: Shape, lines: int = 0) -> Log:
    """A log of one file, live by its name."""
    path = _place(folder, name) / "proxy-8787.log"
    found, samples = write_log(path, size, shape, lines)
    return Log(name, (path,), found, samples, path.stat().st_size)


def many_files(folder: Path, name: str, size: int, files: int, shape: Shape) -> Log:
    """The same over many live files, each of its own port."""
    place, paths, lines, samples = _place(folder, name), [], 0, 0
    for number in range(files):
        paths.append(place / f"proxy-{10_000 + number}.log")
        more = write_log(paths[-1], size // files, msgspec.structs.replace(shape, seed=number))
        lines, samples = lines + more[0], samples + more[1]
    return Log(name, tuple(paths), lines, samples, sum(path.stat().st_size for path in paths))


def captures(folder: Path, name: str, size: int) -> Log:
    """The output of the real program, repeated, without those runs in which it got broken lines."""
    texts = [path.read_bytes() for path in sorted(CAPTURES.glob("*.log")) if "invalid" not in path.name]
    once = b"".join(text[: text.rfind(b"\n") + 1] for text in texts)
    times = max(1, size // len(once))
    path = _place(folder, name) / "proxy-8787.log"
    with path.open("wb") as file:
        for _ in range(times):
            file.write(once)
    samples = sum(b'"anthropic_messages"' in line and b"] STAGE_TIMINGS {" in line for line in once.splitlines())
    return Log(name, (path,), once.count(b"\n") * times, samples * times, path.stat().st_size)


def _place(folder: Path, name: str) -> Path:
    place = folder / re.sub(r"\W+", "-", name)
    place.mkdir(parents=True)
    return place
