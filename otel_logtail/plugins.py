"""Observers and exporters by name, through their entry point groups: ours are found the same way as anyone's."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast

from otel_logtail.errors import UsageError
from otel_logtail.export import Exporter, ExporterContext
from otel_logtail.observe import Observer, ObserverContext

OBSERVERS = "otel_logtail.observers"
EXPORTERS = "otel_logtail.exporters"


def names(group: str) -> list[str]:
    """The names that are registered in an entry point group."""
    return sorted({point.name for point in entry_points(group=group)})


def make_observer(name: str, context: ObserverContext) -> Observer:
    """The observer of this name.

    Raises:
        UsageError: there is none, or it can't be loaded.
    """
    return cast(Observer, _make(OBSERVERS, name, "observer", context))


def make_exporter(name: str, context: ExporterContext) -> Exporter:
    """The exporter of this name.

    Raises:
        UsageError: there is none, it can't be loaded, or its options are wrong.
    """
    return cast(Exporter, _make(EXPORTERS, name, "exporter", context))


def _make(group: str, name: str, what: str, context: object) -> object:
    for point in entry_points(group=group):
        if point.name == name:
            try:
                factory = point.load()
            except Exception as problem:
                raise UsageError(
                    f"the {what} '{name}' can't be loaded: {problem}", hint="reinstall the package that brings it"
                ) from problem
            return factory(context)
    raise UsageError(f"unknown {what} '{name}'", hint=f"known: {', '.join(names(group)) or 'none'}")
