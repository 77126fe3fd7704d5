"""Short comparisons for CI: our CPU time relative to that of a bare loop that does the same kind of work.

Ours and the loop run in turn, in processes forked from this one, so the start of Python is not part of either. The
figure is the median of the pairs. A ratio above its limit is measured again, up to two times, and the least median
counts: another program on the machine makes one run slow, but a slower program of ours makes all of them slow.

The limits are a quarter above the recorded ratios (``ratios.json``; ``python -m benchmarks --quick --record``), and a
fiftieth of a second for what runs of the same work differ by.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks import quick_work
from benchmarks.figures import Bar, Figure

RATIOS = Path(__file__).parent / "ratios.json"
ALLOWED = 1.25
"""A ratio may exceed the recorded one by a quarter."""
NOISE_S = 0.02
"""CPU time by which two runs of the same work differ, seen for `query summary` between two runs: 0.04 and 0.06 s."""
ROUNDS = 3


class Size(msgspec.Struct, frozen=True):
    """The share of the usual work, and how often each pair is measured in a round."""

    share: float = 1.0
    pairs: int = 5


TINY = Size(share=0.01, pairs=1)


def recorded() -> Mapping[str, float]:
    """The ratios of the run that was recorded."""
    return msgspec.json.decode(RATIOS.read_bytes(), type=dict[str, float])


def record(figures: tuple[Figure, ...]) -> None:
    """Keep these ratios, with those of other names."""
    found = {figure.name: round(figure.value, 3) for figure in figures if figure.value is not None}
    kept = {**recorded(), **found} if RATIOS.exists() else found
    RATIOS.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")


def measure(folder: Path, size: Size) -> Iterator[Figure]:
    """Every ratio, with its limit if there is a recorded one."""
    limits = recorded() if RATIOS.exists() and size == Size() else {}
    with ExitStack() as stack:
        for work in quick_work.all_of(folder, size.share, stack):
            yield compared(work, limits.get(work.name), size.pairs)


def compared(work: quick_work.Work, expected: float | None, pairs: int) -> Figure:
    """Return the ratio of a pair, measured again if it is above its limit; ``expected`` is the recorded one."""
    medians: list[float] = []
    most: float | None = None
    while not medians or (most is not None and min(medians) > most and len(medians) < ROUNDS):
        found = [(work.ours(), work.floor()) for _ in range(pairs)]
        medians.append(statistics.median(ours / floor for ours, floor in found))
        ours_s, floor_s = (statistics.median(costs) for costs in zip(*found, strict=True))
        most = None if expected is None else expected * ALLOWED + NOISE_S / floor_s
    note = f"{ours_s:.2f} CPU s, the loop {floor_s:.2f}"
    if expected is not None:
        note += f"; recorded {expected:.2f}"
    if len(medians) > 1:
        note += f"; least of {', '.join(f'{median:.2f}' for median in medians)}"
    return Figure("quick", work.name, min(medians), "times", None if most is None else Bar(most, tolerance=0), note)
