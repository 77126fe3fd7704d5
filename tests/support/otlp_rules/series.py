"""Rules of a series over time. A point that is sent again unchanged, as after a kill, breaks no rule."""

from __future__ import annotations

from typing import Any

from tests.support.otlp_rules.faults import Fault, Faults
from tests.support.otlp_rules.metrics import CUMULATIVE, DELTA, Described, Series

RULES = {
    "the time of a series does not go back": "metrics/data-model.md#single-writer",
    "a series has one point at a time": "metrics/data-model.md#single-writer",
    "intervals of a delta do not overlap": "metrics/data-model.md#temporality",
    "a new start is not before the last point": "metrics/data-model.md#resets-and-gaps",
    "a cumulative value does not fall": "metrics/data-model.md#sums",
    "a cumulative bucket does not fall": "metrics/data-model.md#histogram",
    "bounds change only with a new start": "metrics/data-model.md#resets-and-gaps",
}
"""The rules, and the section of the specification that each is from."""


class Sequences:
    """The last point of each series, and all points of it so far."""

    def __init__(self) -> None:
        self._last: dict[Series, Any] = {}
        self._seen: dict[Series, set[bytes]] = {}

    def check(self, described: Described) -> Faults:
        """Check the next point of a series."""
        series, point, monotonic = described
        seen = self._seen.setdefault(series, set())
        data = point.SerializeToString(deterministic=True)
        if data in seen:
            return
        seen.add(data)
        last = self._last.get(series)
        self._last[series] = point
        if last is None:
            return
        if point.time_unix_nano < last.time_unix_nano:
            yield Fault("the time of a series does not go back", (series, last.time_unix_nano, point.time_unix_nano))
        if point.time_unix_nano == last.time_unix_nano:
            yield Fault("a series has one point at a time", (series, point.time_unix_nano))
        if series.temporality == DELTA and point.start_time_unix_nano < last.time_unix_nano:
            times = last.time_unix_nano, point.start_time_unix_nano
            yield Fault("intervals of a delta do not overlap", (series, times))
        if series.temporality == CUMULATIVE and point.start_time_unix_nano != last.start_time_unix_nano:
            if point.start_time_unix_nano < last.time_unix_nano:
                yield Fault("a new start is not before the last point", (series, last.time_unix_nano))
        elif series.temporality == CUMULATIVE and (monotonic or series.kind != "sum"):
            yield from _check_growth(series, last, point)


def _check_growth(series: Series, last: Any, point: Any) -> Faults:
    if _value(series, point) < _value(series, last):
        yield Fault("a cumulative value does not fall", (series, _value(series, last), _value(series, point)))
    if series.kind == "histogram":
        if list(point.explicit_bounds) != list(last.explicit_bounds):
            yield Fault("bounds change only with a new start", series)
        elif any(new < old for new, old in zip(point.bucket_counts, last.bucket_counts, strict=False)):
            yield Fault("a cumulative bucket does not fall", series)
    if series.kind == "exponential_histogram" and point.zero_count < last.zero_count:
        yield Fault("a cumulative bucket does not fall", series)


def _value(series: Series, point: Any) -> float:
    return float((point.as_int or point.as_double) if series.kind == "sum" else point.count)
