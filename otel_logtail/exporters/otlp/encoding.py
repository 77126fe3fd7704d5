"""The form of OTLP requests, and the resource of a source. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_logtail.model import SourceInfo, Stream

SCOPE = "otel_logtail"
ITSELF = "otel-logtail"
"""The service name of this program."""

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that names such as ``log.file.path`` and ``error.type`` are from."""

_T = TypeVar("_T")

SignalName = Literal["metrics", "traces", "logs"]

SIGNALS: dict[Stream, SignalName] = {
    Stream.INTERVALS: "metrics",
    Stream.SELF: "metrics",
    Stream.EPISODES: "traces",
    Stream.PARTS: "traces",
    Stream.BREACHES: "logs",
    Stream.MARKS: "logs",
}
"""The signal that carries each stream."""

Events = Literal["span", "log", "both", "spans"]
"""The form of breaches: events of their episode's span, log records, both of these, or child spans."""

MAX_BYTES = 1_000_000 - 64 * 1024
"""Kafka, which a collector may send to, accepts messages of 1,000,000 bytes by default, and a gRPC receiver 4 MiB. The
margin is for the overhead of the protocol."""

MAX_RECORDS = 4000
"""The most points, spans and span events of one request, which limits memory here and at the receiver."""

ExportRequest = ExportMetricsServiceRequest | ExportTraceServiceRequest | ExportLogsServiceRequest


class Encoding(msgspec.Struct, frozen=True):
    """The form of requests.

    ``resource`` are the attributes of every resource that the user gave or that were detected, ``own`` those of
    ``otel-logtail`` itself. ``events`` is the form of breaches. ``exemplars`` is true if points have them.
    ``started_ns`` is the start of this process, 0 if it does not matter.
    """

    version: str
    host: str = ""
    resource: tuple[tuple[str, Any], ...] = ()
    own: tuple[tuple[str, Any], ...] = ()
    exponential: bool = False
    max_buckets: int = 160
    delta: bool = False
    events: Events = "span"
    exemplars: bool = True
    started_ns: int = 0
    max_bytes: int = MAX_BYTES
    max_records: int = MAX_RECORDS

    @property
    def form(self) -> str:
        """The settings that are part of a series at a receiver: histograms, temporality, resource and scope.

        Finer buckets than those of the last point look like a reset to Prometheus, so their limit is part of it.
        ``own`` changes with each start, and is in no resource of a source.
        """
        return repr((self.exponential and self.max_buckets, self.delta, sorted(self.resource), self.host, self.version))


def has_logs(events: Events) -> bool:
    """Return whether breaches are sent as log records."""
    return events in ("log", "both")


def source_resource(source: SourceInfo, encoding: Encoding) -> Resource:
    """Return the resource of a source."""
    return resource_of(source.name, source.instance, encoding)


def resource_of(service: str, instance: str, encoding: Encoding) -> Resource:
    """Return the resource of a service. ``Resource.create`` would add a random instance id."""
    host = {"host.name": encoding.host} if encoding.host else {}
    own = {"service.name": service, "service.instance.id": instance}
    process: dict[str, Any] = {}
    if service == ITSELF:  # the user's attribute is that of the observed program
        own["service.version"] = encoding.version
        process = dict(encoding.own)
    return Resource({**host, **process, **dict(encoding.resource), **own}, SCHEMA_URL)


_OF_A_PROCESS = ("process.", "container.", "oci.", "k8s.", "aws.ecs.", "faas.", "thread.", "webengine.")
_OF_ITS_MACHINE = ("k8s.cluster.", "k8s.node.")


def describes_process(attribute: str) -> bool:
    """Return whether an attribute is about one process or what it runs in, and not about its machine.

    The followed program is another process, and usually runs in another container or pod.
    """
    return attribute.startswith(_OF_A_PROCESS) and not attribute.startswith(_OF_ITS_MACHINE)


def scope_of(encoding: Encoding) -> InstrumentationScope:
    """Return the instrumentation scope of everything that is sent."""
    return InstrumentationScope(SCOPE, encoding.version, SCHEMA_URL)


def only(kind: type[_T], items: Iterable[object]) -> list[_T]:
    """Return the items, all of this kind; raise TypeError for another one."""
    kept = []
    for item in items:
        if not isinstance(item, kind):
            raise TypeError(f"{type(item).__name__} among {kind.__name__} items")
        kept.append(item)
    return kept
