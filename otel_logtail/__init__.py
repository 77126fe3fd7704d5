"""otel-logtail: measure the latency of a program that you cannot instrument, from the log it already writes.

The names that plug-in authors import are here; everything else is internal.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_logtail.check import Check as Check
    from otel_logtail.errors import Drift as Drift
    from otel_logtail.errors import UsageError as UsageError
    from otel_logtail.exporter import Exporter as Exporter
    from otel_logtail.exporter import ExporterContext as ExporterContext
    from otel_logtail.exporter import ExporterPlugin as ExporterPlugin
    from otel_logtail.model import BreachRecord as BreachRecord
    from otel_logtail.model import Delivered as Delivered
    from otel_logtail.model import Delivery as Delivery
    from otel_logtail.model import EpisodeRecord as EpisodeRecord
    from otel_logtail.model import ExportBatch as ExportBatch
    from otel_logtail.model import Ignored as Ignored
    from otel_logtail.model import Item as Item
    from otel_logtail.model import Mark as Mark
    from otel_logtail.model import Observed as Observed
    from otel_logtail.model import Partial as Partial
    from otel_logtail.model import Point as Point
    from otel_logtail.model import Refused as Refused
    from otel_logtail.model import Rejected as Rejected
    from otel_logtail.model import Retry as Retry
    from otel_logtail.model import Sample as Sample
    from otel_logtail.model import Shape as Shape
    from otel_logtail.model import Stream as Stream
    from otel_logtail.observer import Explanation as Explanation
    from otel_logtail.observer import Frame as Frame
    from otel_logtail.observer import Observer as Observer
    from otel_logtail.observer import ObserverContext as ObserverContext
    from otel_logtail.observer import ObserverPlugin as ObserverPlugin
    from otel_logtail.observer import PathRule as PathRule
    from otel_logtail.option import Choice as Choice
    from otel_logtail.option import Duration as Duration
    from otel_logtail.option import File as File
    from otel_logtail.option import Flag as Flag
    from otel_logtail.option import Integer as Integer
    from otel_logtail.option import Option as Option
    from otel_logtail.option import Size as Size
    from otel_logtail.option import Text as Text
    from otel_logtail.trace import join_trace as join_trace
    from otel_logtail.trace import parse_traceparent as parse_traceparent

# imported on first use: `otel-logtail --help` needs none of them
_HOME_OF = {
    name: home
    for home, names in {
        "check": "Check",
        "errors": "Drift UsageError",
        "exporter": "Exporter ExporterContext ExporterPlugin",
        "model": "BreachRecord Delivered Delivery EpisodeRecord ExportBatch Ignored Item Mark Observed Partial Point"
        " Refused Rejected Retry Sample Shape Stream",
        "observer": "Explanation Frame Observer ObserverContext ObserverPlugin PathRule",
        "option": "Choice Duration File Flag Integer Option Size Text",
        "trace": "join_trace parse_traceparent",
    }.items()
    for name in names.split()
}

__all__ = [
    "BreachRecord",
    "Check",
    "Choice",
    "Delivered",
    "Delivery",
    "Drift",
    "Duration",
    "EpisodeRecord",
    "Explanation",
    "ExportBatch",
    "Exporter",
    "ExporterContext",
    "ExporterPlugin",
    "File",
    "Flag",
    "Frame",
    "Ignored",
    "Integer",
    "Item",
    "Mark",
    "Observed",
    "Observer",
    "ObserverContext",
    "ObserverPlugin",
    "Option",
    "Partial",
    "PathRule",
    "Point",
    "Refused",
    "Rejected",
    "Retry",
    "Sample",
    "Shape",
    "Size",
    "Stream",
    "Text",
    "UsageError",
    "join_trace",
    "parse_traceparent",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'otel_logtail' has no attribute {name!r}")
    return getattr(import_module(f"otel_logtail.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
