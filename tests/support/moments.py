"""A store with an hour of samples like those of a proxy, the same at each run."""

from __future__ import annotations

import math
import random
from pathlib import Path

from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file

NOW = NOON + 3600 * SECOND
_CAUSES = ("read", "compress", "other")


def proxy_store(folder: Path) -> Path:
    """Return the store of the hour that ends at :data:`NOW`."""
    chance = random.Random(14)  # noqa: S311 - the same samples at each run
    samples, stalls = [], []
    for at in range(0, 3600, 2):
        if chance.random() < 0.2 + 0.2 * math.sin(at / 500):
            continue
        ms = math.exp(2.5 + 1.1 * (sum(chance.random() for _ in range(12)) - 6))
        samples.append(Written(NOON + at * SECOND, int(ms * 10**6)))
    for at, ms, number in ((180, 2610, 13), (1700, 508, 1), (3470, 2150, 3)):
        start = NOON + at * SECOND
        samples += [Written(start + n * SECOND // 4, (ms - 90 * n) * 10**6, cause="wait") for n in range(number)]
        end = start + 3 * SECOND if number > 1 else start
        stalls.append(Stall(start - ms * 10**6, end, 1 + (ms >= 2000), number, ms * 10**6))
    return make_file(folder / "store.db", samples, stalls)
