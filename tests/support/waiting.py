"""Waits for a condition, within a bound that grows with the load of the machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

CALM_S = 30.0
"""Bound of a wait on a machine that does nothing else."""


SLOWEST_S = 0.05
"""The longest pause between two checks of a condition that is checked in no time."""
LONGEST_S = 0.3
"""The longest pause between two checks of any condition."""


def bound_s(calm_s: float = CALM_S) -> float:
    """Stretch a bound for an idle machine by the processes that share each core now."""
    return calm_s * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until(
    holds: Callable[[], object],
    within_s: float = CALM_S,
    *,
    told: Callable[[], str] = str,
    every_s: float | None = None,
) -> None:
    """Check a condition until it holds; fail with the text of ``told`` when the bound is over.

    The pause between two checks grows with the time waited so far, by a twentieth of it, and is three times as long as
    the check: most conditions open a store or run a command, and most waits of all workers run at the same time. A test
    that measures a delay gives ``every_s``; then the pause does not depend on the check.
    """
    start_s = time.monotonic()
    while True:
        checked_s = time.monotonic()
        if holds():
            return
        now_s = time.monotonic()
        waited_s = now_s - start_s
        if waited_s > bound_s(within_s):
            if holds():  # this process may have been stopped between the check and the clock
                return
            pytest.fail(f"not within {bound_s(within_s):.0f} s\n{told()}")
        own_s = min(3 * (now_s - checked_s), LONGEST_S) if every_s is None else every_s
        time.sleep(max(0.01 if every_s is None else every_s, min(waited_s / 20, SLOWEST_S), own_s))
