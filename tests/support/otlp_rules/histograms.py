"""Rules of histograms, explicit and exponential, and of their exemplars."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tests.support.otlp_rules.faults import Fault, Faults, values_of
from tests.support.otlp_rules.metrics import Described

RULES = {
    "the buckets hold the count": "metrics/data-model.md#histogram",
    "there is one bucket more than bounds": "metrics/data-model.md#histogram",
    "bounds increase": "metrics/data-model.md#histogram",
    "bounds are finite": "metrics/data-model.md#histogram",
    "a count of 0 has the sum 0": "metrics/data-model.md#histogram",
    "a count of 0 has no minimum and no maximum": "metrics/data-model.md#histogram",
    "the minimum is at most the maximum": "metrics/data-model.md#histogram",
    "the sum is between minimum and maximum times the count": "metrics/data-model.md#histogram",
    "the minimum is in the first bucket that is not empty": "metrics/data-model.md#histogram-bucket-inclusivity",
    "the maximum is in the last bucket that is not empty": "metrics/data-model.md#histogram-bucket-inclusivity",
    "exponential buckets and zeros hold the count": "metrics/data-model.md#exponentialhistogram",
    "the scale is from -10 to 20": "metrics/sdk.md#base2-exponential-bucket-histogram-aggregation",
    "the exponential buckets are within the limit": "metrics/sdk.md#base2-exponential-bucket-histogram-aggregation",
    "the first and the last exponential bucket are not empty": "metrics/data-model.md#exponential-buckets",
    "the minimum is in the first exponential bucket": "metrics/data-model.md#exponential-buckets",
    "the maximum is in the last exponential bucket": "metrics/data-model.md#exponential-buckets",
    "an exemplar has a value": "metrics/data-model.md#exemplars",
    "an exemplar has a time": "metrics/data-model.md#exemplars",
    "an exemplar has ids of 16 and 8 bytes": "metrics/data-model.md#exemplars",
    "an exemplar's id is not zero": "trace/api.md#spancontext",
    "an exemplar is within its point's time": "metrics/data-model.md#exemplars",
    "an exemplar is within its point's values": "metrics/data-model.md#exemplars",
    "an exemplar repeats no attribute of its point": "metrics/data-model.md#exemplars",
}
"""The rules, and the section of the specification that each is from."""

MOST_BUCKETS = 160
"""The default of the SDK's aggregation, and of the program."""

_ROUNDING = 1e-9


def check_histogram(described: Described) -> Faults:
    """Check a histogram of either kind."""
    series, point, _ = described
    if series.kind == "histogram":
        yield from _check_explicit(series.name, point)
    elif series.kind == "exponential_histogram":
        yield from _check_exponential(series.name, point)
    else:
        return
    yield from _check_values(series.name, point)
    for exemplar in point.exemplars:
        yield from _check_exemplar(series.name, point, exemplar)


def _check_values(name: str, point: Any) -> Faults:
    if not point.count:
        if point.sum:
            yield Fault("a count of 0 has the sum 0", (name, point.sum))
        if point.HasField("min") or point.HasField("max"):
            yield Fault("a count of 0 has no minimum and no maximum", (name, point.min, point.max))
        return
    if not (point.HasField("min") and point.HasField("max")):
        return  # both are optional
    if point.min > point.max:
        yield Fault("the minimum is at most the maximum", (name, point.min, point.max))
    margin = max(1e-6, abs(point.sum) * _ROUNDING)
    if not point.min * point.count - margin <= point.sum <= point.max * point.count + margin:
        example = (name, point.min, point.max, point.sum, point.count)
        yield Fault("the sum is between minimum and maximum times the count", example)


def _check_explicit(name: str, point: Any) -> Faults:
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    if sum(counts) != point.count:
        yield Fault("the buckets hold the count", (name, point.count, counts))
    if len(counts) != len(bounds) + 1:
        yield Fault("there is one bucket more than bounds", (name, len(counts), len(bounds)))
    if any(low >= high for low, high in pairwise(bounds)):
        yield Fault("bounds increase", (name, bounds))
    if not all(map(math.isfinite, bounds)):
        yield Fault("bounds are finite", (name, bounds))
    filled = _filled(counts) if point.HasField("min") else []
    if filled and bisect_left(bounds, point.min) != filled[0]:  # a bound belongs to the bucket below it
        yield Fault("the minimum is in the first bucket that is not empty", (name, point.min, filled[0]))
    if filled and bisect_left(bounds, point.max) != filled[-1]:
        yield Fault("the maximum is in the last bucket that is not empty", (name, point.max, filled[-1]))


def _check_exponential(name: str, point: Any) -> Faults:
    counts = list(point.positive.bucket_counts)
    if point.zero_count + sum(counts) + sum(point.negative.bucket_counts) != point.count:
        yield Fault("exponential buckets and zeros hold the count", (name, point.count))
    if not -10 <= point.scale <= 20:
        yield Fault("the scale is from -10 to 20", (name, point.scale))
    if len(counts) > MOST_BUCKETS:
        yield Fault("the exponential buckets are within the limit", (name, len(counts)))
    filled = _filled(counts)
    if counts and filled[:1] + filled[-1:] != [0, len(counts) - 1]:
        yield Fault("the first and the last exponential bucket are not empty", (name, len(counts), filled))
    if not filled or not point.HasField("min"):
        return
    first, last = point.positive.offset + filled[0], point.positive.offset + filled[-1]
    if not point.zero_count and not _is_in(point.min, first, point.scale):
        yield Fault("the minimum is in the first exponential bucket", (name, point.min, first, point.scale))
    if not _is_in(point.max, last, point.scale):
        yield Fault("the maximum is in the last exponential bucket", (name, point.max, last, point.scale))


def _is_in(value: float, index: int, scale: int) -> bool:
    """Return whether a value is above the lower edge of a bucket, and not above its upper edge."""
    base: float = 2.0 ** (2.0**-scale)
    low, high = base**index, base ** (index + 1)
    return low * (1 - _ROUNDING) <= value <= high * (1 + _ROUNDING)


def _filled(counts: Sequence[int]) -> list[int]:
    return [index for index, count in enumerate(counts) if count]


def _check_exemplar(name: str, point: Any, exemplar: Any) -> Faults:
    if exemplar.WhichOneof("value") is None:
        yield Fault("an exemplar has a value", name)
    if not exemplar.time_unix_nano:
        yield Fault("an exemplar has a time", name)
    if (len(exemplar.trace_id), len(exemplar.span_id)) not in ((16, 8), (0, 0)):
        yield Fault("an exemplar has ids of 16 and 8 bytes", (name, exemplar.trace_id, exemplar.span_id))
    elif exemplar.trace_id and not (any(exemplar.trace_id) and any(exemplar.span_id)):
        yield Fault("an exemplar's id is not zero", name)
    if not point.start_time_unix_nano < exemplar.time_unix_nano <= point.time_unix_nano:
        times = point.start_time_unix_nano, exemplar.time_unix_nano, point.time_unix_nano
        yield Fault("an exemplar is within its point's time", (name, times))
    if not point.min - _ROUNDING <= exemplar.as_double <= point.max + _ROUNDING:
        yield Fault("an exemplar is within its point's values", (name, point.min, exemplar.as_double, point.max))
    if values_of(point.attributes).keys() & values_of(exemplar.filtered_attributes).keys():
        yield Fault("an exemplar repeats no attribute of its point", name)
