"""A scrape endpoint for Prometheus: the newest total of each series, as text or as OpenMetrics with exemplars.

Names and labels are those of a collector's prometheus exporter: ``job`` is the source, ``instance`` the store, and
further attributes are in ``target_info``. Scrape it with ``honor_labels: true``.

The totals are in memory. At each start, ``resume`` passes them again, and nothing is served before. Exemplars are not
passed again: the next slow samples have new ones.

Known limit: a scrape has no history. After an outage it shows the current totals, without the points between.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

import msgspec

from otel_logtail.environment import check_resolved, usable
from otel_logtail.errors import UsageError, missing_package
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.exporters.otlp.component import records_of
from otel_logtail.exporters.otlp.config import read_form
from otel_logtail.exporters.otlp.encode import without_exemplars
from otel_logtail.exporters.otlp.encoding import Encoding
from otel_logtail.exporters.otlp.requests import encoding_of
from otel_logtail.exporters.prometheus.options import HOST, PORT
from otel_logtail.exporters.prometheus.shown import Shown
from otel_logtail.model import Attributes, Delivered, Delivery, ExportBatch, HealthRecord, Point, Stream
from otel_logtail.server import Server
from otel_logtail.text import reason_of

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9464

_HOST_VARIABLE = "OTEL_EXPORTER_PROMETHEUS_HOST"


class PrometheusExporter(Exporter):
    """An HTTP server that listens from the start, and answers once it has the totals."""

    name = "prometheus"
    wants = frozenset({Stream.INTERVALS, Stream.SELF})

    def __init__(self, host: str, port: int, encoding: Encoding) -> None:
        from prometheus_client import CollectorRegistry, make_wsgi_app

        self._exemplars = encoding.exemplars
        self._encoding = msgspec.structs.replace(encoding, delta=False, exponential=False)
        self._shown = Shown(self._encoding)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._shown)
        self._server = Server("scrape", host, port, make_wsgi_app(registry))

    @property
    def port(self) -> int:
        """The port of the endpoint."""
        return self._server.port

    def resume(self, points: Sequence[Point]) -> None:
        """Show the totals of the last run, and start to answer."""
        self._shown.put(points)
        self._server.start()

    def component(self, stream: Stream) -> Attributes:
        """Return the type of the exporter by the semantic conventions."""
        return (("otel.component.type", "prometheus_http_text_metric_exporter"),)

    def records(self, batch: ExportBatch) -> int:
        """Return the number of data points of a batch."""
        return records_of(batch, self._encoding)

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
    """Create the exporter.

    Raises:
        UsageError: the port is taken or not valid, or the package prometheus-client is not installed.
    """
    try:
        import prometheus_client  # noqa: F401 - an extra: if it is missing, that is an error now and not at the first scrape
    except ImportError as problem:
        raise missing_package("prometheus", "prometheus-client") from problem
    form = read_form(context)
    host, port = address_of(context)
    try:
        return PrometheusExporter(host, port, encoding_of(form, context))
    except OSError as problem:
        raise UsageError(
            f"the exporter prometheus can't listen on {host} port {port}: {reason_of(problem)}",
            hint="another port: --prometheus-port; another address: --prometheus-host",
            setting="prometheus_port" if problem.errno == errno.EADDRINUSE else "prometheus_host",
        ) from problem


def address_of(context: ExporterContext) -> tuple[str, int]:
    """Return the host and the port of the endpoint.

    Raises:
        UsageError: one of them is wrong.
    """
    given = context.get(HOST)
    host = given or context.environ.get(_HOST_VARIABLE, "").strip()
    check_resolved(host, context.where(HOST) if given else _HOST_VARIABLE)
    port = context.get(PORT) or usable(context.environ, "OTEL_EXPORTER_PROMETHEUS_PORT")
    return host or DEFAULT_HOST, int(port or DEFAULT_PORT)
