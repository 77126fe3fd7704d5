"""Observers and exporters by name, through entry points. The built-in ones are found in the same way as others."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

import msgspec

from otel_logtail.errors import UsageError
from otel_logtail.exporter import SHARED_OPTIONS, Exporter, ExporterContext, ExporterPlugin
from otel_logtail.observer import Observer, ObserverContext

OBSERVERS = "otel_logtail.observers"
EXPORTERS = "otel_logtail.exporters"
_KINDS = {OBSERVERS: "observer", EXPORTERS: "exporter"}


class Plugin(msgspec.Struct, frozen=True):
    """An entry of a list: a name, one sentence about it, and the package that brings it."""

    name: str
    what: str
    package: str


@cache
def _points(group: str) -> Sequence[EntryPoint]:
    """Return the entry points of a group, by name. Finding them takes a moment."""
    return sorted(entry_points(group=group), key=lambda point: point.name)


def names(group: str) -> list[str]:
    """Return the names that are registered in an entry point group."""
    return sorted({point.name for point in _points(group)})


def describe(group: str) -> list[Plugin]:
    """Return what is registered in an entry point group, by name. One that cannot be loaded has the reason."""
    found = []
    for point in _points(group):
        try:
            loaded = _load(point, _KINDS[group])
            what = loaded.summary if isinstance(loaded, ExporterPlugin) else inspect.getdoc(loaded) or ""
        except UsageError as problem:
            what = f"can't be loaded: {str(problem).partition(': ')[2]}"
        package = "" if point.dist is None else f"{point.dist.name} {point.dist.version}"
        found.append(Plugin(point.name, what.partition("\n")[0], package))
    return found


def make_observer(name: str, context: ObserverContext) -> Observer:
    """Create the observer of this name.

    Raises:
        UsageError: there is none, it can't be loaded, or its marker is none.
    """
    observer = cast(Observer, _find(OBSERVERS, name)(context))
    if type(observer.marker) is not bytes or b"\n" in observer.marker:
        raise UsageError(
            f"the observer '{name}' has the marker {observer.marker!r}",
            hint="ask its author for some bytes of one line, or b'' for every line",
        )
    return observer


def exporters() -> Mapping[str, ExporterPlugin]:
    """Return all exporters that can be loaded, by name. :func:`find_exporter` has the reason for any other."""
    found = {}
    for name in names(EXPORTERS):
        try:
            found[name] = find_exporter(name)
        except UsageError:
            continue
    return found


def find_exporter(name: str) -> ExporterPlugin:
    """Return the declaration of an exporter.

    Raises:
        UsageError: there is none, or it can't be loaded.
    """
    return cast(ExporterPlugin, _find(EXPORTERS, name))


def make_exporter(name: str, context: ExporterContext) -> Exporter:
    """Create the exporter of this name.

    Raises:
        UsageError: there is none, it can't be loaded, or its options are wrong.
    """
    exporter = find_exporter(name).make(context)
    if exporter.name != name:  # the store keeps cursors under one name, and looks for them under the other
        exporter.close()
        raise UsageError(
            f"the exporter '{name}' calls itself '{exporter.name}'", hint="ask its author to give it one name"
        )
    return exporter


def _find(group: str, name: str) -> Any:
    kind = _KINDS[group]
    for point in _points(group):
        if point.name == name:
            return _load(point, kind)
    raise UsageError(f"unknown {kind} '{name}'", hint=f"known: {', '.join(names(group)) or 'none'}", setting=kind)


def _load(point: EntryPoint, kind: str) -> Any:
    try:
        loaded = point.load()
    except Exception as problem:
        raise UsageError(
            f"the {kind} '{point.name}' can't be loaded: {problem}", hint="reinstall the package that brings it"
        ) from problem
    if point.group == EXPORTERS and (wrong := _wrong(point.name, loaded)):
        raise UsageError(f"the exporter '{point.name}' can't be loaded: {wrong}", hint="ask its author to correct it")
    return loaded


def _wrong(name: str, plugin: object) -> str:
    """Return what is wrong with a declaration; empty if it can be used."""
    if not isinstance(plugin, ExporterPlugin):
        return f"its entry point is a {type(plugin).__name__}, not an ExporterPlugin"
    prefix = name.partition("-")[0] + "_"
    for option in plugin.options:
        if not option.name.startswith(prefix) and option not in SHARED_OPTIONS:
            return f"the name of its option {option.name!r} does not start with {prefix!r}"
    return ""
