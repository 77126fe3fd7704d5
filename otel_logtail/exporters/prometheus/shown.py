"""The content of a scrape: the newest total of each series, with the names and labels that Prometheus uses."""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint

from otel_logtail.exporters.otlp.encoding import ITSELF, SCHEMA_URL, SCOPE, Encoding, resource_of
from otel_logtail.exporters.otlp.metrics import data_points
from otel_logtail.model import HEALTH_NAMES, HealthRecord, Point
from otel_logtail.trace import ids_of

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.samples import Exemplar

_UNITS = {"s": "seconds", "By": "bytes"}

RECENT_NS = 120 * 10**9
"""The maximum of the last two minutes of a log is shown: a scrape happens more often, so none is missed."""

Labels = tuple[tuple[str, str], ...]


class Family(msgspec.Struct, frozen=True):
    """One metric: its name without unit and suffix, its description, its kind (histogram, counter, gauge)."""

    name: str
    unit: str
    text: str
    kind: str


class Series(msgspec.Struct, frozen=True):
    """The newest total of a series. ``buckets`` are cumulative, by upper bound in seconds; empty for a number.

    ``maxima`` are the times and values of recent maxima, from the largest to the newest; empty for other series.
    """

    time_ns: int
    start_ns: int
    value: float
    sum: float = 0.0
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    exemplars: Mapping[int, Exemplar] = {}
    maxima: tuple[tuple[int, float], ...] = ()


class Shown:
    """All series of a scrape, as a collector for prometheus-client."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        scope = (("name", SCOPE), ("version", encoding.version), ("schema_url", SCHEMA_URL))
        self._scope: Labels = tuple((f"otel_scope_{name}", text) for name, text in scope)
        self._lock = threading.Lock()
        self._families: dict[Family, dict[Labels, Series]] = {}
        self._targets: dict[tuple[str, str], Labels] = {}
        self._newest_ns: dict[tuple[str, str], int] = {}

    def put(self, points: Iterable[Point]) -> None:
        """Show these points, unless a newer one of their series is shown."""
        with self._lock:
            for point in points:
                target = (point.source.name, point.source.instance)
                self._know(target)
                self._newest_ns[target] = max(point.time_ns, self._newest_ns.get(target, 0))
                labels = self._labels(target, dict(point.series.attributes))
                for one in data_points(point, self._encoding):
                    if one.is_gauge:
                        longest = _value(one.data)
                        kind = "gauge"
                        series = Series(point.time_ns, 0, longest, maxima=((point.time_ns, longest),))
                    elif isinstance(one.data, HistogramDataPoint):
                        kind, series = "histogram", _histogram(point, one.data)
                    else:
                        kind, series = "counter", Series(point.time_ns, point.start_ns, _value(one.data))
                    self._show(Family(f"{point.source.event}.{one.suffix}", one.unit, one.text, kind), labels, series)

    def put_health(self, record: HealthRecord) -> None:
        """Show the daemon's own numbers instead of the last ones."""
        with self._lock:
            own = [family for family in self._families if family.name.startswith(HEALTH_NAMES)]
            for family in own:
                del self._families[family]
            for value in record.values:
                target = (value.source or ITSELF, record.instance)
                self._know(target)
                labels = self._labels(target, dict(value.attributes))
                kind = "gauge" if value.kind == "updowncounter" else value.kind
                series = Series(record.time_ns, record.start_ns, float(value.value))
                if value.kind == "histogram":
                    buckets = tuple(accumulate(value.buckets))
                    series = Series(
                        record.time_ns, record.start_ns, float(buckets[-1]), value.value, value.bounds, buckets
                    )
                self._show(Family(value.name, value.unit, value.description, kind), labels, series)

    def collect(self) -> Iterator[Metric]:
        """Yield the current values, family by family."""
        from prometheus_client.core import Metric

        with self._lock:
            families = {family: self._current(series) for family, series in self._families.items()}
            targets = dict(self._targets)
        info = Metric("target", "Resource attributes of the series of a job and an instance.", "info")
        for (job, instance), labels in sorted(targets.items()):
            info.add_sample("target_info", {"job": job, "instance": instance, **dict(labels)}, 1)
        if targets:
            yield info
        for family in sorted(families, key=lambda family: family.name):
            metric = Metric(_name(family.name), family.text, family.kind, _UNITS.get(family.unit, ""))
            for labels, series in sorted(families[family].items()):
                _add(metric, dict(labels), series)
            yield metric

    def _current(self, series: Mapping[Labels, Series]) -> dict[Labels, Series]:
        """Return a family without maxima that are older than the newest point of their source by some minutes."""
        current = dict(series)
        for labels, one in series.items():
            if one.maxima:
                target = dict(labels)
                newest_ns = self._newest_ns[target["job"], target["instance"]]
                recent = [value for time_ns, value in one.maxima if time_ns > newest_ns - RECENT_NS]
                if recent:
                    current[labels] = msgspec.structs.replace(one, value=recent[0])
                else:
                    del current[labels]
        return current

    def _know(self, target: tuple[str, str]) -> None:
        if target not in self._targets:
            more = dict(resource_of(*target, self._encoding).attributes)
            del more["service.name"], more["service.instance.id"]
            self._targets[target] = tuple(_sanitized(more).items())

    def _labels(self, target: tuple[str, str], attributes: Mapping[str, Any]) -> Labels:
        job, instance = target
        return tuple({**_sanitized(attributes), "job": job, "instance": instance, **dict(self._scope)}.items())

    def _show(self, family: Family, labels: Labels, series: Series) -> None:
        shown = self._families.setdefault(family, {})
        before = shown.get(labels)
        if before is not None:
            if before.time_ns > series.time_ns:
                return
            if before.exemplars and before.bounds == series.bounds:
                series = msgspec.structs.replace(series, exemplars={**before.exemplars, **series.exemplars})
            if series.maxima:
                since_ns = series.time_ns - RECENT_NS
                larger = (one for one in before.maxima if one[1] > series.value and one[0] > since_ns)
                series = msgspec.structs.replace(series, maxima=(*larger, *series.maxima))
        shown[labels] = series


def _value(data: object) -> float:
    if not isinstance(data, NumberDataPoint):
        raise TypeError(f"{type(data).__name__} has no place in the text formats")
    return float(data.value)


def _histogram(point: Point, data: HistogramDataPoint) -> Series:
    from prometheus_client.samples import Exemplar

    buckets, total = [], 0
    for count in data.bucket_counts:
        total += count
        buckets.append(total)
    bounds = tuple(data.explicit_bounds)
    exemplars = {}
    for breach in point.exemplars:
        value = breach.duration_ns / 1e9
        trace_id, span_id = ids_of(breach.trace or breach.trace_id + breach.span_id)
        labels = {"trace_id": trace_id.hex(), "span_id": span_id.hex()}
        exemplars[bisect_left(bounds, value)] = Exemplar(labels, value, breach.time_ns / 1e9)
    return Series(point.time_ns, point.start_ns, float(data.count), data.sum, bounds, tuple(buckets), exemplars)


def _add(metric: Metric, labels: dict[str, str], series: Series) -> None:
    if metric.type == "gauge":
        metric.add_sample(metric.name, labels, series.value)
        return
    if metric.type == "counter":
        metric.add_sample(f"{metric.name}_total", labels, series.value)
    else:
        uppers = [*(str(bound) for bound in series.bounds), "+Inf"]
        for place, (upper, count) in enumerate(zip(uppers, series.buckets, strict=True)):
            exemplar = series.exemplars.get(place)
            metric.add_sample(f"{metric.name}_bucket", {**labels, "le": upper}, count, exemplar=exemplar)
        metric.add_sample(f"{metric.name}_count", labels, series.value)
        metric.add_sample(f"{metric.name}_sum", labels, series.sum)
    metric.add_sample(f"{metric.name}_created", labels, series.start_ns / 1e9)


def _name(name: str) -> str:
    cleaned = re.sub(r"[^a-zA-Z0-9_:]", "_", name)
    return f"_{cleaned}" if cleaned[:1].isdigit() else cleaned


def _sanitized(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return attributes as labels; if two get the same name, the label has both values."""
    labels: dict[str, str] = {}
    for key, value in sorted(attributes.items()):
        name = _name(key).replace(":", "_")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        labels[name] = f"{labels[name]};{text}" if name in labels else text
    return labels
