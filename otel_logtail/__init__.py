"""otel-logtail: follow the log of a program that you may not touch, and turn its latency samples into OpenTelemetry.

What a plug-in author imports is here; everything else is internal.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_logtail.errors import Drift as Drift
    from otel_logtail.errors import UsageError as UsageError
    from otel_logtail.exporter import Exporter as Exporter
    from otel_logtail.exporter import ExporterContext as ExporterContext
    from otel_logtail.model import BreachRecord as BreachRecord
    from otel_logtail.model import Delivered as Delivered
    from otel_logtail.model import Delivery as Delivery
    from otel_logtail.model import EpisodeRecord as EpisodeRecord
    from otel_logtail.model import ExportBatch as ExportBatch
    from otel_logtail.model import Ignored as Ignored
    from otel_logtail.model import Item as Item
    from otel_logtail.model import Observed as Observed
    from otel_logtail.model import Partial as Partial
    from otel_logtail.model import Point as Point
    from otel_logtail.model import Refused as Refused
    from otel_logtail.model import Rejected as Rejected
    from otel_logtail.model import Retry as Retry
    from otel_logtail.model import Sample as Sample
    from otel_logtail.model import Shape as Shape
    from otel_logtail.model import Stream as Stream
    from otel_logtail.observer import Observer as Observer
    from otel_logtail.observer import ObserverContext as ObserverContext
    from otel_logtail.observer import PathRule as PathRule

# made when they are asked for: `otel-logtail --help` needs none of them
_HOME_OF = {
    name: home
    for home, names in {
        "errors": "Drift UsageError",
        "exporter": "Exporter ExporterContext",
        "model": "BreachRecord Delivered Delivery EpisodeRecord ExportBatch Ignored Item Observed Partial Point Refused"
        " Rejected Retry Sample Shape Stream",
        "observer": "Observer ObserverContext PathRule",
    }.items()
    for name in names.split()
}

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
    "Item",
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
    "UsageError",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'otel_logtail' has no attribute {name!r}")
    return getattr(import_module(f"otel_logtail.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
