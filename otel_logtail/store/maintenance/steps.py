"""Values of all kinds of maintenance: what a step did, and how much it may do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from otel_logtail.model import Dropped, Stream
from otel_logtail.store.rows import Repaired

SECOND = 10**9


class Done(msgspec.Struct, frozen=True):
    """The result of one step.

    ``dropped`` is undelivered data that was deleted, ``forgotten`` are ids of deleted files, and ``repaired`` are
    damaged counts that were replaced.
    """

    dropped: tuple[Dropped, ...] = ()
    forgotten: tuple[int, ...] = ()
    repaired: Repaired = Repaired()


NOTHING = Done()

Steps = Iterator[Done]
"""Each item is one small transaction that was committed."""

Delivered = Callable[[Stream], int]
"""Returns the highest id of a stream that every exporter has."""


class Tuning(msgspec.Struct, frozen=True):
    """Ages and sizes. One transaction takes some tens of milliseconds, in which no log is read."""

    merges: tuple[tuple[int, int], ...] = ((60 * SECOND, 3600 * SECOND), (3600 * SECOND, 24 * 3600 * SECOND))
    """Intervals are merged to this length (ns) once they are older than that (ns)."""
    compact_after_ns: int = 600 * SECOND
    compact_within_ns: int = 3600 * SECOND
    small_block: int = 250
    """Blocks with fewer samples are compacted."""
    block: int = 1000
    """The most samples of a compacted block."""
    rows: int = 2000
    """The most rows of one transaction."""
    intervals: int = 500
    """The most intervals of one transaction that are counted: they take kilobytes each."""
    samples: int = 20_000
    """The most samples of one transaction."""


def total(steps: Iterable[Done]) -> Done:
    """Return what some steps did, with one :class:`Dropped` for each exporter and stream."""
    dropped: dict[tuple[str, Stream], Dropped] = {}
    forgotten: list[int] = []
    repaired = Repaired()
    for step in steps:
        for drop in step.dropped:
            key = (drop.exporter, drop.stream)
            before = dropped.get(key, Dropped(*key, 0, drop.from_ns, drop.to_ns))
            from_ns, to_ns = min(before.from_ns, drop.from_ns), max(before.to_ns, drop.to_ns)
            dropped[key] = Dropped(*key, before.count + drop.count, from_ns, to_ns)
        forgotten += step.forgotten
        repaired += step.repaired
    return Done(tuple(dropped.values()), tuple(forgotten), repaired)
