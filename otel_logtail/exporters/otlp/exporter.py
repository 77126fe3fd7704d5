"""OpenTelemetry's own protocol, over HTTP or gRPC: metrics, spans and log records.

Intervals are metrics, episodes are spans, marks are log records, and breaches are span events or log records.

Settings are from :mod:`config`, requests from :mod:`requests`, the meaning of an answer from :mod:`answer`;
:mod:`http` and :mod:`grpc` only transport bytes. The exporter keeps nothing between batches and retries nothing. A
batch that is sent again is the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import msgspec
from opentelemetry.exporter.otlp.proto.common.version import __version__
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from otel_logtail.environment import unwanted
from otel_logtail.errors import UsageError
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.exporters.otlp.answer import RESPONSES, Outcome, has_later_points, lacks_signal
from otel_logtail.exporters.otlp.component import component_of, records_of
from otel_logtail.exporters.otlp.config import Signal, read_settings
from otel_logtail.exporters.otlp.encoding import ITSELF, SIGNALS, Encoding, ExportRequest, SignalName, has_logs
from otel_logtail.exporters.otlp.requests import encoding_of, requests, streams_of
from otel_logtail.model import Attributes, Delivered, Delivery, ExportBatch, Partial, Refused, Stream

_REQUESTS: dict[SignalName, type[ExportRequest]] = {
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
}


_NO_MARKS = "the receiver accepts no logs, so it gets no marks: set OTEL_LOGS_EXPORTER=none"


class Sender(Protocol):
    """Sends one message and returns the outcome."""

    def send(self, message: ExportRequest) -> Outcome:
        """Send one message; does not raise for what a receiver does."""

    def close(self) -> None:
        """Cancel a message in flight."""


class OtlpExporter(Exporter):
    """Sends to an OTLP receiver: a collector, or a backend that accepts OTLP."""

    name = "otlp"

    def __init__(
        self,
        senders: Mapping[Stream, Sender],
        encoding: Encoding,
        receiver: str = "",
        components: Mapping[Stream, Attributes] | None = None,
    ) -> None:
        self.wants = frozenset(senders)
        self.form = encoding.form
        self.receiver = receiver
        self._senders = senders
        self.encoding = encoding
        self._components = components or {}

    def component(self, stream: Stream) -> Attributes:
        """Return the type of a stream's exporter and the address of its receiver."""
        return self._components.get(stream, ())

    def records(self, batch: ExportBatch) -> int:
        """Return the number of data points, spans or log records of a batch."""
        return records_of(batch, self.encoding)

    def export(self, batch: ExportBatch) -> Delivery:
        """Send the batch, in as many requests as necessary, up to the first that is not accepted."""
        done = rejected = 0
        why = ""
        for request in requests(batch, self.encoding):
            outcome = self._senders[batch.stream].send(request.message)
            if batch.stream is Stream.MARKS and self._does_without_marks(outcome):
                outcome = Delivered(rejected=request.count, why=_NO_MARKS)
            elif isinstance(outcome, Refused) and request.count == 1 and self._is_superseded(batch.stream, outcome):
                point = batch.items[done : done + 1]
                outcome = Delivered(rejected=self.records(ExportBatch(batch.stream, point)), why=outcome.why)
            if not isinstance(outcome, Delivered):
                return Partial(done, outcome, rejected=rejected, why=why) if done else outcome
            done += request.count
            rejected += outcome.rejected
            if outcome.rejected or not rejected:  # a rejection is more important than a warning
                why = outcome.why or why
        return Delivered(rejected=rejected, why=why)

    def _is_superseded(self, stream: Stream, outcome: Refused) -> bool:
        """Return whether the receiver has a later total of the one series that it refused.

        The point was sent before and the answer was lost, or another process writes the series. To send the point again
        is useless, and the next one includes its counts.
        """
        return stream is Stream.INTERVALS and not self.encoding.delta and has_later_points(outcome)

    def _does_without_marks(self, outcome: Outcome) -> bool:
        """Return whether the receiver accepts another signal and no logs, and only marks are log records.

        A receiver that accepts nothing at all now (a wrong URL, a gateway that starts) may accept marks later.
        """
        if has_logs(self.encoding.events) or not lacks_signal(outcome):
            return False
        others: tuple[tuple[Stream, SignalName], ...] = (Stream.INTERVALS, "metrics"), (Stream.EPISODES, "traces")
        return any(
            isinstance(self._senders[stream].send(_REQUESTS[signal]()), Delivered)
            for stream, signal in others
            if stream in self._senders
        )

    def close(self) -> None:
        """Close the connections of all signals."""
        for sender in self._senders.values():
            sender.close()


def make(context: ExporterContext) -> OtlpExporter:
    """Create the exporter.

    Raises:
        UsageError: a setting is wrong.
    """
    settings = read_settings(context)
    without = unwanted(context.environ)
    if without >= {"metrics", "traces"} and (settings.logs is None or not has_logs(settings.form.events)):
        raise UsageError(
            "the exporter otlp has nothing to send: OTEL_METRICS_EXPORTER and OTEL_TRACES_EXPORTER are none",
            hint="leave out --exporter otlp, or one of the variables",
        )
    signals: dict[SignalName, Signal] = {}
    if "metrics" not in without:
        signals["metrics"] = settings.metrics
    if "traces" not in without:
        signals["traces"] = settings.traces
    if settings.logs is not None:
        signals["logs"] = settings.logs
    user_agent = user_agent_of(context.version)
    made = {name: _sender(signal, name, user_agent) for name, signal in signals.items()}
    carried = {stream: name for stream in streams_of(settings.form) if (name := SIGNALS[stream]) in made}
    senders = {stream: made[name] for stream, name in carried.items()}
    components = {stream: component_of(signals[name], name) for stream, name in carried.items()}
    return OtlpExporter(senders, encoding_of(settings.form, context), _address(settings.metrics), components)


def user_agent_of(version: str) -> str:
    """Return the User-Agent of requests: this program, then the package whose encoder it uses, as the SDK names it."""
    return f"{ITSELF}/{version} OTel-OTLP-Exporter-Python/{__version__}"


def _address(signal: Signal) -> str:
    """Return the address of a receiver without user, query and the path of the signal."""
    if signal.protocol == "grpc":
        return signal.endpoint
    parts = urlsplit(signal.endpoint)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.removesuffix("/v1/metrics"), "", ""))


def ask(context: ExporterContext, timeout_s: float) -> list[tuple[SignalName, str, Outcome]]:
    """Send an empty request of each signal, which changes nothing at the receiver.

    Returns the signal, its endpoint, and the outcome.

    Raises:
        UsageError: as for :func:`make`.
    """
    settings = read_settings(context)
    signals: dict[SignalName, Signal | None] = {
        "metrics": settings.metrics,
        "traces": settings.traces,
        "logs": settings.logs,
    }
    said = []
    without = unwanted(context.environ)
    for name, signal in signals.items():
        if signal is not None and name not in without:
            hasty = msgspec.structs.replace(signal, timeout_s=min(signal.timeout_s, timeout_s))
            sender = _sender(hasty, name, user_agent_of(context.version))
            try:
                said.append((name, signal.endpoint, sender.send(_REQUESTS[name]())))
            finally:
                sender.close()
    return said


def _sender(signal: Signal, name: SignalName, user_agent: str) -> Sender:
    # each of the two libraries takes tens of milliseconds and megabytes: only the one that is used is imported
    if signal.protocol == "grpc":
        # otherwise gRPC writes to standard error at each attempt
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from otel_logtail.exporters.otlp.grpc import GrpcSender

        return GrpcSender(signal, name, user_agent=user_agent)
    from otel_logtail.exporters.otlp.http import HttpSender

    return HttpSender(signal, RESPONSES[name], user_agent=user_agent)
