"""A scrape endpoint for Prometheus: the newest total of each series, as text or as OpenMetrics with exemplars.

Names and labels are those that a collector's prometheus exporter would show: ``job`` is the source, ``instance`` the
store, what else is known of them is in ``target_info``. Scrape it with ``honor_labels: true``.

What is shown lives in memory, and is told anew at each start by ``resume``: nothing is served before. Exemplars are
not: they come back with the next slow samples.

Known limit: a scrape has no place for history. After an outage it shows where the totals are, not how they came there.
"""

from __future__ import annotations

import errno
import re
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint

from otel_logtail.environment import check_resolved, usable
from otel_logtail.errors import UsageError
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.exporters.otlp.config import read_form
from otel_logtail.exporters.otlp.encode import Encoding, data_points, resource_of
from otel_logtail.exporters.otlp.health import ITSELF
from otel_logtail.exporters.otlp.requests import encoding_of, without_exemplars
from otel_logtail.exporters.scrape import ScrapeServer
from otel_logtail.model import Delivered, Delivery, ExportBatch, HealthRecord, Point, Stream

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.samples import Exemplar

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9464

_HOST_VARIABLE = "OTEL_EXPORTER_PROMETHEUS_HOST"
_UNITS = {"s": "seconds", "By": "bytes"}

Labels = tuple[tuple[str, str], ...]


class Family(msgspec.Struct, frozen=True):
    """One metric: its name without unit and suffix, what it is called there, its kind (histogram, counter, gauge)."""

    name: str
    unit: str
    text: str
    kind: str


class Series(msgspec.Struct, frozen=True):
    """The newest of one series. ``buckets`` are cumulative, by upper bound in seconds; empty for a plain number."""

    time_ns: int
    start_ns: int
    value: float
    sum: float = 0.0
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    exemplars: Mapping[int, Exemplar] = {}


class Shown:
    """All that is shown, in the form in which prometheus-client asks a collector for it."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._lock = threading.Lock()
        self._families: dict[Family, dict[Labels, Series]] = {}
        self._targets: dict[tuple[str, str], Labels] = {}

    def put(self, points: Iterable[Point]) -> None:
        """Show these points, where nothing newer of their series is shown."""
        with self._lock:
            for point in points:
                target = (point.source.name, point.source.instance)
                self._know(target)
                labels = _labels(target, dict(point.series.attributes))
                for suffix, unit, text, data in data_points(point, self._encoding):
                    if isinstance(data, NumberDataPoint):
                        kind, series = "counter", Series(point.time_ns, point.start_ns, float(data.value))
                    elif isinstance(data, HistogramDataPoint):
                        kind, series = "histogram", _histogram(point, data)
                    else:
                        raise TypeError(f"{type(data).__name__} has no place in the text formats")
                    self._show(Family(f"{point.source.event}.{suffix}", unit, text, kind), labels, series)

    def put_health(self, record: HealthRecord) -> None:
        """Show the daemon's own numbers; what is no longer among them is no longer shown."""
        with self._lock:
            own = [family for family in self._families if family.name.startswith("otel_logtail.")]
            for family in own:
                del self._families[family]
            for value in record.values:
                target = (value.source or ITSELF, record.instance)
                self._know(target)
                labels = _labels(target, dict(value.attributes))
                kind = "counter" if value.monotonic else "gauge"
                series = Series(record.time_ns, record.start_ns, float(value.value))
                self._show(Family(value.name, value.unit, value.description, kind), labels, series)

    def collect(self) -> Iterator[Metric]:
        """All of it as it is now, family by family."""
        from prometheus_client.core import Metric

        with self._lock:
            families = {family: dict(series) for family, series in self._families.items()}
            targets = dict(self._targets)
        info = Metric("target", "What the series of a job and an instance come from.", "info")
        for (job, instance), labels in sorted(targets.items()):
            info.add_sample("target_info", {"job": job, "instance": instance, **dict(labels)}, 1)
        if targets:
            yield info
        for family in sorted(families, key=lambda family: family.name):
            metric = Metric(_name(family.name), family.text, family.kind, _UNITS.get(family.unit, ""))
            for labels, series in sorted(families[family].items()):
                _add(metric, dict(labels), series)
            yield metric

    def _know(self, target: tuple[str, str]) -> None:
        if target not in self._targets:
            more = dict(resource_of(*target, self._encoding).attributes)
            del more["service.name"], more["service.instance.id"]
            self._targets[target] = tuple(_sanitized(more).items())

    def _show(self, family: Family, labels: Labels, series: Series) -> None:
        shown = self._families.setdefault(family, {})
        before = shown.get(labels)
        if before is not None:
            if before.time_ns > series.time_ns:
                return
            if before.exemplars and before.bounds == series.bounds:
                series = msgspec.structs.replace(series, exemplars={**before.exemplars, **series.exemplars})
        shown[labels] = series


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
        labels = {"trace_id": breach.trace_id.hex(), "span_id": breach.span_id.hex()}
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
    """Attributes as labels; where two have one name then, both values are told."""
    labels: dict[str, str] = {}
    for key, value in sorted(attributes.items()):
        name = _name(key).replace(":", "_")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        labels[name] = f"{labels[name]};{text}" if name in labels else text
    return labels


def _labels(target: tuple[str, str], attributes: Mapping[str, Any]) -> Labels:
    job, instance = target
    return tuple({**_sanitized(attributes), "job": job, "instance": instance}.items())


class PrometheusExporter(Exporter):
    """An HTTP server that listens from the beginning, and answers once it has been told the totals."""

    name = "prometheus"
    wants = frozenset({Stream.INTERVALS, Stream.SELF})

    def __init__(self, host: str, port: int, encoding: Encoding) -> None:
        from prometheus_client import CollectorRegistry, make_wsgi_app

        self._exemplars = encoding.exemplars
        self._shown = Shown(msgspec.structs.replace(encoding, delta=False, exponential=False))
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._shown)
        self._server = ScrapeServer(host, port, make_wsgi_app(registry))

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.port

    def resume(self, points: Sequence[Point]) -> None:
        """Show what was shown before, and begin to answer."""
        self._shown.put(points)
        self._server.start()

    def export(self, batch: ExportBatch) -> Delivery:
        """Show the batch from now on."""
        if not self._exemplars:
            batch = without_exemplars(batch)
        self._shown.put(item for item in batch.items if isinstance(item, Point))
        for item in batch.items:
            if isinstance(item, HealthRecord):
                self._shown.put_health(item)
        return Delivered()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()


def make(context: ExporterContext) -> PrometheusExporter:
    """A scrape endpoint for Prometheus (--prometheus-port, 9464), with OpenMetrics and exemplars.

    Raises:
        UsageError: the port is taken or none, or the package prometheus-client is not installed.
    """
    try:
        import prometheus_client  # noqa: F401 - an extra: better missed now than at the first scrape
    except ImportError as problem:
        raise UsageError(
            "the exporter prometheus needs the package prometheus-client, which is not installed",
            hint="pip install prometheus-client, or: pipx inject otel-logtail prometheus-client",
        ) from problem
    form = read_form(context.environ, context.options)
    host, port = address_of(context)
    try:
        return PrometheusExporter(host, port, encoding_of(form, context))
    except OSError as problem:
        why = problem.strerror or str(problem)
        raise UsageError(
            f"the exporter prometheus can't listen on {host} port {port}: {why}",
            hint="another port: --prometheus-port; another address: --prometheus-host",
            setting="prometheus_port" if problem.errno == errno.EADDRINUSE else "prometheus_host",
        ) from problem


def address_of(context: ExporterContext) -> tuple[str, int]:
    """Where it listens.

    Raises:
        UsageError: that is no port.
    """
    host = context.options.get("prometheus_host") or context.environ.get(_HOST_VARIABLE, "").strip()
    check_resolved(host, "--prometheus-host" if context.options.get("prometheus_host") else _HOST_VARIABLE)
    return host or DEFAULT_HOST, _port(context)


def _port(context: ExporterContext) -> int:
    text = context.options.get("prometheus_port", "").strip()
    if text and (not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535):
        hint = f"a number from 1 to 65535, such as {DEFAULT_PORT}"
        raise UsageError(f"--prometheus-port: {text!r} is not a port", hint=hint)
    return int(text or usable(context.environ, "OTEL_EXPORTER_PROMETHEUS_PORT") or DEFAULT_PORT)
