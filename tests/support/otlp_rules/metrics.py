"""Rules of metrics and of single data points, apart from those of histograms."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, NamedTuple

from tests.support.otlp_rules.envelope import check_attributes
from tests.support.otlp_rules.faults import Fault, Faults, Key, key_of

RULES = {
    "a metric's name has the syntax of an instrument's": "metrics/api.md#instrument-name-syntax",
    "a metric's unit has at most 63 characters": "metrics/api.md#instrument-unit",
    "a metric has a description": "metrics/api.md#instrument-description",
    "a metric occurs once in a scope": "metrics/data-model.md#opentelemetry-protocol-data-model",
    "a metric has one descriptor": "metrics/data-model.md#opentelemetry-protocol-data-model-producer-recommendations",
    "a metric has points": "metrics/data-model.md#metric-points",
    "a metric has a temporality": "metrics/data-model.md#temporality",
    "a point occurs once in a request": "metrics/data-model.md#single-writer",
    "a point has a time": "metrics/data-model.md#metric-points",
    "a sum or histogram has a start": "metrics/data-model.md#temporality",
    "a point starts before it ends": "metrics/data-model.md#temporality",
    "a number has a value": "metrics/data-model.md#gauge",
    "a monotonic sum is not negative": "metrics/data-model.md#sums",
    "a point has no flag": "metrics/data-model.md#metric-points",
}
"""The rules, and the section of the specification that each is from."""

CUMULATIVE, DELTA = 2, 1
_NAME = re.compile(r"[a-zA-Z][-_./a-zA-Z0-9]{0,254}")


class Series(NamedTuple):
    """The identity of a series at a receiver (bucket bounds are not part of it), with the kind of its points."""

    resource: Key
    scope: Key
    name: str
    kind: str
    temporality: int
    attributes: Key


class Described(NamedTuple):
    """A data point and its series."""

    series: Series
    point: Any
    monotonic: bool


def points_of(resource: Key, scope: Key, metric: Any) -> list[Described]:
    """Return the data points of a metric."""
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    temporality = getattr(data, "aggregation_temporality", 0)
    monotonic = getattr(data, "is_monotonic", False)
    return [
        Described(Series(resource, scope, metric.name, kind, temporality, key_of(p.attributes)), p, monotonic)
        for p in data.data_points
    ]


class Descriptors:
    """The descriptor that each metric had first: unit, description, kind."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Hashable] = {}

    def check(self, scope: Key, metric: Any) -> Faults:
        """Check that a metric is described as before."""
        kind = metric.WhichOneof("data")
        data = getattr(metric, kind)
        own = metric.unit, metric.description, kind, getattr(data, "is_monotonic", None)
        known = self._known.setdefault((scope, metric.name), own)
        if known != own:
            yield Fault("a metric has one descriptor", (metric.name, known, own))


def check_metric(metric: Any) -> Faults:
    """Check what describes a metric."""
    if _NAME.fullmatch(metric.name) is None:
        yield Fault("a metric's name has the syntax of an instrument's", metric.name)
    if len(metric.unit) > 63:
        yield Fault("a metric's unit has at most 63 characters", metric.unit)
    if not metric.description:
        yield Fault("a metric has a description", metric.name)
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    if not data.data_points:
        yield Fault("a metric has points", metric.name)
    if kind != "gauge" and data.aggregation_temporality not in (CUMULATIVE, DELTA):
        yield Fault("a metric has a temporality", metric.name)


def check_point(described: Described) -> Faults:
    """Check what every data point has."""
    series, point, monotonic = described
    name = series.name
    yield from check_attributes(point.attributes, name)
    if not point.time_unix_nano:
        yield Fault("a point has a time", name)
    if point.flags:
        yield Fault("a point has no flag", (name, point.flags))
    if series.kind != "gauge":
        if not point.start_time_unix_nano:
            yield Fault("a sum or histogram has a start", name)
        if point.start_time_unix_nano > point.time_unix_nano:
            yield Fault("a point starts before it ends", (name, point.start_time_unix_nano, point.time_unix_nano))
    if series.kind in ("sum", "gauge"):
        value = point.WhichOneof("value")
        if value is None:
            yield Fault("a number has a value", name)
        elif monotonic and getattr(point, value) < 0:
            yield Fault("a monotonic sum is not negative", name)
