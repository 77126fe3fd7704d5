"""Observers and exporters by name, through their entry point groups: ours are found the same way as anyone's."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points
from typing import cast

import msgspec

from otel_logtail.errors import UsageError
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.observer import Observer, ObserverContext

OBSERVERS = "otel_logtail.observers"
EXPORTERS = "otel_logtail.exporters"


class Plugin(msgspec.Struct, frozen=True):
    """One of them: what it says of itself (the first line of its docstring), and the package that brings it."""

    name: str
    what: str
    package: str


def names(group: str) -> list[str]:
    """The names that are registered in an entry point group."""
    return sorted({point.name for point in entry_points(group=group)})


def describe(group: str) -> list[Plugin]:
    """What is registered in an entry point group, by name; each is loaded, and one that can't be says why."""
    found = []
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            what = (inspect.getdoc(point.load()) or "").partition("\n")[0]
        except Exception as problem:  # noqa: BLE001 - whatever a stranger's module raises when it is imported
            what = f"can't be loaded: {problem}"
        package = "" if point.dist is None else f"{point.dist.name} {point.dist.version}"
        found.append(Plugin(point.name, what, package))
    return found


def make_observer(name: str, context: ObserverContext) -> Observer:
    """The observer of this name.

    Raises:
        UsageError: there is none, it can't be loaded, or its marker is none.
    """
    observer = cast(Observer, _make(OBSERVERS, name, "observer", context))
    if type(observer.marker) is not bytes or b"\n" in observer.marker:
        raise UsageError(
            f"the observer '{name}' has the marker {observer.marker!r}",
            hint="ask its author for some bytes of one line, or b'' for every line",
        )
    return observer


def make_exporter(name: str, context: ExporterContext) -> Exporter:
    """The exporter of this name.

    Raises:
        UsageError: there is none, it can't be loaded, or its options are wrong.
    """
    exporter = cast(Exporter, _make(EXPORTERS, name, "exporter", context))
    if exporter.name != name:  # its cursors are kept under the one, and asked for by the other
        exporter.close()
        raise UsageError(
            f"the exporter '{name}' calls itself '{exporter.name}'", hint="ask its author to give it one name"
        )
    return exporter


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
    raise UsageError(f"unknown {what} '{name}'", hint=f"known: {', '.join(names(group)) or 'none'}", setting=what)
