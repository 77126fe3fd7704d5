"""Arithmetic on counts and on columns of numbers. Pure.

Each set of counts holds an explicit histogram (upper-inclusive bounds in nanoseconds) and a sparse exponential one at a
fixed scale, so that both kinds can be sent and percentiles are known within half a bucket: about 0.5 %.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import compress, islice
from itertools import count as count_up
from math import ceil, log2

from otel_logtail import native
from otel_logtail.model import Attributes, Counts

SCALE = 6
"""Index i counts values in (2**(i/64), 2**((i+1)/64)] seconds (opentelemetry data model, exponential histograms)."""

_PER_OCTAVE = 1 << SCALE
_hot = native.helper("engine._hot")
_OFFSET = log2(1e9) * _PER_OCTAVE

_DEFAULT_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)


def bounds(degraded_ns: int, stall_ns: int) -> tuple[int, ...]:
    """The explicit histogram's bounds in nanoseconds: a 1-2-5 ladder that holds both thresholds exactly."""
    return tuple(sorted({ms * 1_000_000 for ms in _DEFAULT_BOUNDS_MS} | {degraded_ns, stall_ns}))


Rows = list[tuple[int | None, ...]]


def merge_attributes(*parts: Attributes) -> Attributes:
    """All of them, sorted by name; of equal names the later one holds."""
    if len(parts) == 1:
        return parts[0]
    return tuple(sorted({name: value for part in parts for name, value in part}.items()))


def count(values_ns: Sequence[int], bounds_ns: tuple[int, ...]) -> Counts:
    """The counts of some durations (at least one)."""
    if _hot is not None and (found := _hot.count(values_ns, bounds_ns)) is not None:
        return Counts(*found)
    ordered = sorted(values_ns)
    number = len(ordered)
    explicit = []
    below = 0
    for bound in bounds_ns:  # sorted once, a bound costs a search, however many values there are
        at = bisect_right(ordered, bound, below)
        explicit.append(at - below)
        below = at
    explicit.append(number - below)
    zeros = bisect_right(ordered, 0)
    positive = ordered[zeros:] if zeros else ordered
    exponential = Counter([ceil(x * _PER_OCTAVE - _OFFSET) - 1 for x in map(log2, positive)])
    return Counts(number, sum(ordered), ordered[0], ordered[-1], explicit, dict(exponential), zeros)


def count_stages(rows: Rows, begin: int, end: int, width: int, bounds_ns: tuple[int, ...]) -> list[Counts | None]:
    """The counts of each of the ``width`` stages in the rows from ``begin`` to ``end``; None: it never ran."""
    if _hot is not None and (found := _hot.count_columns(rows, begin, end, width, bounds_ns)) is not None:
        return [None if counted is None else Counts(*counted) for counted in found]
    columns = zip(*rows[begin:end], strict=True) if width else ()
    ran = [[ns for ns in column if ns is not None] for column in columns]
    return [count(values, bounds_ns) if values else None for values in ran]


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
    exponential = into.exponential
    if _hot is not None:
        _hot.add_to(exponential, more.exponential)
        return
    for index, number in more.exponential.items():
        exponential[index] = exponential.get(index, 0) + number


def extent(values: Sequence[int]) -> tuple[int, int, bool]:
    """The least and the largest of some numbers (at least one), and whether none is below the one before it."""
    if _hot is not None and (found := _hot.extent(values)) is not None:
        least, most, rising = found
        return least, most, rising
    return min(values), max(values), all(map(operator.le, values, islice(values, 1, None)))


def places_from(values: list[int], bound: int) -> list[int]:
    """Where the numbers are that are not below a bound."""
    if _hot is not None and (found := _hot.places_from(values, bound)) is not None:
        places: list[int] = found
        return places
    return list(compress(count_up(), map(bound.__le__, values)))


SampleKey = tuple[int, int, tuple[int | None, ...]]
"""What tells samples of one log apart: when, how long, and the stages that ran."""


def sample_key(time_ns: int, duration_ns: int, stage_ns: Sequence[int | None]) -> SampleKey:
    """Return the key of a sample; stages at the end that did not run are left out, as in the store."""
    end = len(stage_ns)
    while end and stage_ns[end - 1] is None:
        end -= 1
    return time_ns, duration_ns, tuple(stage_ns[:end])
