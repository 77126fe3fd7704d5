"""otel-logtail: follow the log of a program that you may not touch, and turn its latency samples into OpenTelemetry.

What a plug-in author imports is here; everything else is internal.
"""

from otel_logtail.errors import Drift
from otel_logtail.export import Exporter, ExporterContext
from otel_logtail.model import (
    BreachRecord,
    Delivered,
    Delivery,
    EpisodeRecord,
    ExportBatch,
    Ignored,
    Observed,
    Partial,
    Point,
    Refused,
    Rejected,
    Retry,
    Sample,
    Shape,
    Stream,
)
from otel_logtail.observe import Observer, ObserverContext, PathRule

__all__ = [
    "BreachRecord",
    "Delivered",
    "Delivery",
    "Drift",
    "EpisodeRecord",
    "ExportBatch",
    "Exporter",
    "ExporterContext",
    "Ignored",
    "Observed",
    "Observer",
    "ObserverContext",
    "Partial",
    "PathRule",
    "Point",
    "Refused",
    "Rejected",
    "Retry",
    "Sample",
    "Shape",
    "Stream",
]
