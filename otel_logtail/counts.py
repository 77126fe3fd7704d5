"""Arithmetic on counts and on columns of numbers. Pure.

Each set of counts holds an explicit histogram (upper-inclusive bounds in nanoseconds) and a sparse exponential one at a
fixed scale, so that both kinds can be sent and percentiles are accurate to half a bucket: about 0.5 %.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress, islice
from itertools import count as count_up
from math import ceil, log2
from typing import Any

from otel_logtail import native
from otel_logtail.model import Attributes, Counts

SCALE = 6
"""Index i counts values in (2**(i/64), 2**((i+1)/64)] seconds (opentelemetry data model, exponential histograms)."""

_PER_OCTAVE = 1 << SCALE
_hot = native.module("engine._hot")
_OFFSET = log2(1e9) * _PER_OCTAVE

_LADDER_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_FINE_MS = (1500, 2000, 3000, 5000, 7500, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000)
_LADDER_NS = frozenset(ms * 1_000_000 for ms in (*_LADDER_MS, *_FINE_MS))


def bounds(degraded_ns: int, stall_ns: int) -> tuple[int, ...]:
    """Return the explicit histogram's bounds in nanoseconds, which hold both thresholds exactly.

    They are a 1-2-5 ladder up to 1 s, and finer above it: stalls are few, and their lengths matter.
    """
    return tuple(sorted(_LADDER_NS | {degraded_ns, stall_ns}))


def thresholds_among(bounds_ns: Iterable[int]) -> tuple[int, ...]:
    """Return the bounds that only a threshold can be. Those of earlier versions are all among the present ones.

    A threshold that equals one of the other bounds is not found.
    """
    return tuple(sorted(set(bounds_ns) - _LADDER_NS))


Rows = list[tuple[int | None, ...]]


def merge_attributes(*parts: Attributes) -> Attributes:
    """Return all attributes, sorted by name; of equal names, the last one is used."""
    if len(parts) == 1:
        return parts[0]
    return tuple(sorted({name: value for part in parts for name, value in part}.items()))


_Fields = tuple[int, int, int, int, list[int], dict[int, int], int]
"""The fields of :class:`Counts` in their order."""


def count(values_ns: Sequence[int], bounds_ns: tuple[int, ...]) -> Counts:
    """Count durations (at least one) by bucket."""
    return Counts(*_count(values_ns, bounds_ns))


@native.twin(_hot)
def _count(values_ns: Sequence[int], bounds_ns: tuple[int, ...]) -> _Fields:
    ordered = sorted(values_ns)
    number = len(ordered)
    explicit = []
    below = 0
    for bound in bounds_ns:  # in sorted values, each bound takes one binary search
        at = bisect_right(ordered, bound, below)
        explicit.append(at - below)
        below = at
    explicit.append(number - below)
    zeros = bisect_right(ordered, 0)
    positive = ordered[zeros:] if zeros else ordered
    exponential = Counter([ceil(x * _PER_OCTAVE - _OFFSET) - 1 for x in map(log2, positive)])
    return number, sum(ordered), ordered[0], ordered[-1], explicit, dict(exponential), zeros


def count_stages(rows: Rows, begin: int, end: int, width: int, bounds_ns: tuple[int, ...]) -> list[Counts | None]:
    """Count the durations of each of the ``width`` stages in ``rows[begin:end]``; None for a stage that never ran."""
    found = _count_columns(rows, begin, end, width, bounds_ns)
    return [None if fields is None else Counts(*fields) for fields in found]


@native.twin(_hot)
def _count_columns(rows: Rows, begin: int, end: int, width: int, bounds_ns: tuple[int, ...]) -> list[_Fields | None]:
    columns = zip(*rows[begin:end], strict=True) if width else ()
    ran = [[ns for ns in column if ns is not None] for column in columns]
    return [_count(values, bounds_ns) if values else None for values in ran]


def add(into: Counts, more: Counts) -> None:
    """Add ``more`` to ``into`` in place; both are of one series."""
    if not more.count:
        return
    if not into.count:
        into.count, into.sum_ns, into.min_ns, into.max_ns = more.count, more.sum_ns, more.min_ns, more.max_ns
        into.explicit, into.exponential, into.zeros = list(more.explicit), dict(more.exponential), more.zeros
        return
    into.min_ns, into.max_ns = min(into.min_ns, more.min_ns), max(into.max_ns, more.max_ns)
    into.explicit = list(map(operator.add, into.explicit, more.explicit))
    into.count += more.count
    into.sum_ns += more.sum_ns
    into.zeros += more.zeros
    add_to(into.exponential, more.exponential)


def plus(one: Counts, more: Counts) -> Counts:
    """Return the sum of both, which are of one series; one of them itself if the other is empty."""
    if not more.count or not one.count:
        return more if more.count else one
    exponential = dict(one.exponential)
    add_to(exponential, more.exponential)
    return Counts(
        one.count + more.count,
        one.sum_ns + more.sum_ns,
        min(one.min_ns, more.min_ns),
        max(one.max_ns, more.max_ns),
        list(map(operator.add, one.explicit, more.explicit)),
        exponential,
        one.zeros + more.zeros,
    )


@native.twin(_hot, declines=False)
def add_to(into: dict[int, Any], more: dict[int, Any]) -> None:
    """Add numbers, such as those of buckets, in place."""
    for index, number in more.items():
        into[index] = into.get(index, 0) + number


@native.twin(_hot)
def extent(values: Sequence[int]) -> tuple[int, int, bool]:
    """Return the least and the greatest of some numbers (at least one), and whether they never fall."""
    return min(values), max(values), all(map(operator.le, values, islice(values, 1, None)))


@native.twin(_hot)
def places_from(values: list[int], bound: int) -> list[int]:
    """Return the indices of the numbers that are not below a bound."""
    return list(compress(count_up(), map(bound.__le__, values)))


SampleKey = tuple[int, int, tuple[int | None, ...]]
"""The values that distinguish samples of one log: time, duration and stages."""


def sample_key(time_ns: int, duration_ns: int, stage_ns: Sequence[int | None]) -> SampleKey:
    """Return the key of a sample; stages at the end that did not run are left out, as in the store."""
    end = len(stage_ns)
    while end and stage_ns[end - 1] is None:
        end -= 1
    return time_ns, duration_ns, tuple(stage_ns[:end])
