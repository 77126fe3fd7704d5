"""An exporter in its own telemetry: its attributes, and the number of records of a batch. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from otel_logtail.exporters.otlp import metrics
from otel_logtail.exporters.otlp.config import Signal
from otel_logtail.exporters.otlp.encoding import Encoding, SignalName
from otel_logtail.model import Attributes, EpisodeRecord, ExportBatch, PartRecord, Point

_KINDS: dict[SignalName, str] = {"metrics": "metric", "traces": "span", "logs": "log"}


def component_of(signal: Signal, name: SignalName) -> Attributes:
    """Return the type of a signal's exporter by the semantic conventions, and the address of its receiver."""
    protocol = "grpc" if signal.protocol == "grpc" else "http"
    kind: Attributes = (("otel.component.type", f"otlp_{protocol}_{_KINDS[name]}_exporter"),)
    endpoint = signal.endpoint if "//" in signal.endpoint else f"//{signal.endpoint}"
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        return kind
    if parts.scheme in ("unix", "unix-abstract") or not host:
        return kind
    port = port or {"https": 443, "http": 80}.get(parts.scheme)
    return (*kind, ("server.address", host), *((("server.port", port),) if port else ()))


def records_of(batch: ExportBatch, encoding: Encoding) -> int:
    """Return the number of data points, spans or log records that carry a batch."""
    total = 0
    for item in batch.items:
        if isinstance(item, Point):
            total += metrics.weight_of(item) if item.delta.count or not encoding.delta else 0
        elif isinstance(item, EpisodeRecord | PartRecord):
            total += 1 + (len(item.breaches) if encoding.events == "spans" else 0)
        else:
            total += 1
    return total
