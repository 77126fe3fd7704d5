"""A parser under test, and what counts as a finding besides a crash."""

from __future__ import annotations

import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

SMALL, LARGE = 8 << 10, 64 << 10
"""The lengths, in bytes, to which an input is grown by repetition of one of its pieces."""

_PERIOD = 256  # one of so many inputs is grown: that takes as long as hundreds of others
_SUPERLINEAR = 3.0  # in the length; n * log(n) is below 1.3
_LEAST_S = 0.01  # for the grown input: the time of less is noise
_ATTEMPTS = 3
_LEAST_BYTES = 2 << 20  # caches, and what a library needs at its first call


class Target(NamedTuple):
    """A parser that reads bytes of others.

    Args:
        name: The name on the command line.
        run: Reads an input. Any exception is a finding: it handles those that the parser documents.
        seeds: Returns the inputs to start from.
        most_bytes: The most memory for a byte of input.
        is_grown: Whether inputs are grown to measure time and memory.
        in_c: Whether the C functions that it reaches are those with the sanitizers. Its inputs are not grown: the
            sanitizers take too much of both.
        longest: The greatest length of an input.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    most_bytes: int = 128
    is_grown: bool = True
    in_c: bool = False
    longest: int = 4096


class TooMuch(AssertionError):
    """An input takes too much time or memory for its length."""


def judge(target: Target, data: bytes) -> None:
    """Run a target on an input; grow one of many inputs to check time and memory.

    Raises:
        Exception: a finding.
    """
    target.run(data)
    if target.is_grown and not target.in_c and data and zlib.crc32(data) % _PERIOD == 0:
        check_cost(target, data)


def check_cost(target: Target, data: bytes, clock_s: Callable[[], float] = time.thread_time) -> None:
    """Grow an input, and check that time is about linear in the length and memory is bounded.

    Raises:
        TooMuch: it is not.
    """
    small, large = grown(data, SMALL), grown(data, LARGE)
    tracemalloc.start()
    try:
        target.run(large)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if peak > _LEAST_BYTES + target.most_bytes * len(large):
        raise TooMuch(f"{len(large)} bytes take {peak} bytes of memory: {large[:200]!r}")
    took_s = _least_s(target, large, clock_s)
    times = len(large) / len(small) * _SUPERLINEAR
    if took_s > _LEAST_S and took_s > times * _least_s(target, small, clock_s):
        raise TooMuch(f"the time is not linear, {took_s:.3f} s for {len(large)} bytes: {large[:200]!r}")


def grown(data: bytes, length: int) -> bytes:
    """Return an input of about a length: one piece of it, which its checksum selects, is repeated in its place."""
    checksum = zlib.crc32(data)
    begin = checksum % len(data)
    end = min(len(data), begin + 1 + (checksum >> 16) % 24)
    times = max(1, (length - len(data)) // (end - begin))
    return data[:begin] + data[begin:end] * times + data[end:]


def _least_s(target: Target, data: bytes, clock_s: Callable[[], float]) -> float:
    found = []
    for _ in range(_ATTEMPTS):
        begin_s = clock_s()
        target.run(data)
        found.append(clock_s() - begin_s)
    return min(found)
