"""OpenTelemetry's own protocol: intervals as metrics, episodes as spans, over HTTP or gRPC.

Settings come from :mod:`otlp_config`, requests from :mod:`otlp_encode`, the meaning of an answer from
:mod:`otlp_answer`; :mod:`otlp_http` and :mod:`otlp_grpc` only carry bytes. Nothing is kept between batches, nothing is
retried here, and sending a batch again sends the same bytes.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_logtail.export import Exporter, ExporterContext
from otel_logtail.exporters.otlp_answer import ExportResponse, Outcome
from otel_logtail.exporters.otlp_config import Signal, SignalName, read_settings
from otel_logtail.exporters.otlp_encode import Encoding, ExportRequest, encode
from otel_logtail.exporters.otlp_health import encode_health
from otel_logtail.model import Delivered, Delivery, ExportBatch, HealthRecord, Partial, Stream

_RESPONSES: dict[SignalName, type[ExportResponse]] = {
    "metrics": ExportMetricsServiceResponse,
    "traces": ExportTraceServiceResponse,
}


class Sender(Protocol):
    """Carries one message and tells what became of it."""

    def send(self, message: ExportRequest) -> Outcome:
        """Send one message; does not raise for what a receiver does."""

    def close(self) -> None:
        """Give up what is on the way."""


class OtlpExporter(Exporter):
    """An OTLP receiver: a collector, or a backend that speaks OTLP itself."""

    name = "otlp"
    wants = frozenset({Stream.INTERVALS, Stream.EPISODES, Stream.SELF})

    def __init__(self, metrics: Sender, traces: Sender, encoding: Encoding) -> None:
        self._senders = {Stream.INTERVALS: metrics, Stream.EPISODES: traces, Stream.SELF: metrics}
        self._encoding = encoding

    def export(self, batch: ExportBatch) -> Delivery:
        """Send the batch, as many requests as it takes, up to the first that is not taken."""
        if batch.stream is Stream.SELF:
            for item in batch.items:
                if isinstance(item, HealthRecord):
                    outcome = self._senders[batch.stream].send(encode_health(item, self._encoding))
                    if not isinstance(outcome, Delivered):
                        return outcome
            return Delivered()
        delivered = 0
        for request in encode(batch, self._encoding):
            outcome = self._senders[batch.stream].send(request.message)
            if not isinstance(outcome, Delivered):
                return Partial(delivered, outcome) if delivered else outcome
            delivered += request.count
        return Delivered()

    def close(self) -> None:
        """Hang up both signals."""
        for sender in self._senders.values():
            sender.close()


def make(context: ExporterContext) -> OtlpExporter:
    """The exporter that the environment and the flags ask for; raises UsageError for what can't be meant."""
    settings = read_settings(context.environ, context.options)
    own_version = _version()
    encoding = Encoding(
        version=own_version,
        host=context.host,
        resource=settings.resource,
        exponential=settings.exponential,
        delta=settings.delta,
    )
    user_agent = f"otel-logtail/{own_version}"
    metrics = _sender(settings.metrics, "metrics", user_agent)
    return OtlpExporter(metrics, _sender(settings.traces, "traces", user_agent), encoding)


def _sender(signal: Signal, name: SignalName, user_agent: str) -> Sender:
    # each of the two libraries costs tens of milliseconds and megabytes: only the one that is used is imported
    if signal.protocol == "grpc":
        from otel_logtail.exporters.otlp_grpc import GrpcSender

        return GrpcSender(signal, name, user_agent=user_agent)
    from otel_logtail.exporters.otlp_http import HttpSender

    return HttpSender(signal, _RESPONSES[name], user_agent=user_agent)


def _version() -> str:
    try:
        return version("otel-logtail")
    except PackageNotFoundError:  # run from a checkout
        return "0"
