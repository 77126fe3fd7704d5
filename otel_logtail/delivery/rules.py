"""The numbers that decide when something is sent, retried and quarantined, and the waits between attempts."""

from __future__ import annotations

import random
import time
from typing import Protocol

import msgspec


class Clock(Protocol):
    """The two functions of the module ``time`` that delivery uses."""

    def monotonic(self) -> float: ...

    def time_ns(self) -> int: ...


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of delivery. Times are in seconds.

    Args:
        batch_items: The most items of a batch, some 50 intervals with one sample. An item with its totals may be
            20 KB in memory, and its request as much again.
        repeats: How many times as many points a batch of repeats may hold: a repeat has no counts of its own.
        first_backoff_s: The first wait after a failure.
        last_backoff_s: The longest wait, unless the receiver requests a longer one.
        longest_wait_s: The longest wait that a receiver can request.
        refusals_in_a_row: After so many refused items of a stream, and none accepted in between, the receiver refuses
            everything: it is no longer a matter of single items.
        patient_failures: After so many failures in a row that are not about the data (502, no connection), the
            batch is suspected if other streams are accepted. One item may crash a server behind a proxy each time. The
            waits up to then add up to a minute and a half.
        alone: How often in a row an item fails alone before it is put on trial: one failure may have another cause.
        tries: How often an item fails alone while others are accepted before it is quarantined: at least two minutes.
        unproven: The most items that are put on trial while nothing is accepted: then the receiver is out of order.
        clock: The source of time.
    """

    batch_items: int = 300
    repeats: int = 4
    first_backoff_s: float = 0.5
    last_backoff_s: float = 30.0
    longest_wait_s: float = 3600.0
    refusals_in_a_row: int = 5
    patient_failures: int = 8
    alone: int = 2
    tries: int = 10
    unproven: int = 100
    clock: Clock = time


RULES = Rules()
"""The rules of a daemon; tests have their own."""


class Backoff:
    """The wait before the next attempt: exponential with jitter, at least what the receiver requested."""

    def __init__(self, rules: Rules, seed: int | None = None) -> None:
        self._rules = rules
        self._random = random.Random(seed)  # noqa: S311 - jitter, no secret
        self._ceiling_s = rules.first_backoff_s

    def next_s(self, after_s: float) -> float:
        """Return the wait after one more failure; ``after_s`` is the delay that the receiver requested."""
        ceiling_s, self._ceiling_s = self._ceiling_s, min(self._ceiling_s * 2, self._rules.last_backoff_s)
        return max(min(after_s, self._rules.longest_wait_s), self._random.uniform(ceiling_s / 2, ceiling_s))

    def reset(self) -> None:
        """Start again with the shortest wait."""
        self._ceiling_s = self._rules.first_backoff_s
