"""Observers and exporters by name, through entry points. The built-in ones are found in the same way as others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from otel_logtail.errors import UsageError, guess
from otel_logtail.exporter import SHARED_OPTIONS, Exporter, ExporterContext, ExporterPlugin
from otel_logtail.installed import EntryPoint, entry_points
from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin
from otel_logtail.observer_file import is_file, load
from otel_logtail.option import File, Option, distinct

OBSERVERS = "otel_logtail.observers"
EXPORTERS = "otel_logtail.exporters"
_KINDS = {OBSERVERS: "observer", EXPORTERS: "exporter"}


class Plugin(msgspec.Struct, frozen=True):
    """An entry of a list: a name, one sentence about it, and the package that brings it."""

    name: str
    what: str
    package: str


def names(group: str) -> list[str]:
    """Return the names that are registered in an entry point group."""
    return sorted({point.name for point in entry_points(group)})


def describe(group: str) -> list[Plugin]:
    """Return what is registered in an entry point group, by name. One that cannot be loaded has the reason."""
    found = []
    for point in entry_points(group):
        try:
            what = _load(point, _KINDS[group]).summary
        except UsageError as problem:
            what = f"can't be loaded: {str(problem).partition(': ')[2]}"
        found.append(Plugin(point.name, what.partition("\n")[0], point.package))
    return found


def observers() -> Mapping[str, ObserverPlugin]:
    """Return all observers that can be loaded, by name. :func:`find_observer` has the reason for any other."""
    return _all(OBSERVERS)


def find_observer(name: str) -> ObserverPlugin:
    """Return the declaration of an observer, by its name or by an absolute path and a class (``/x/acme.py:Acme``).

    Raises:
        UsageError: there is none, or it can't be loaded.
    """
    return load(name) if is_file(name) else cast(ObserverPlugin, _find(OBSERVERS, name))


def make_observer(name: str, context: ObserverContext) -> Observer:
    """Create the observer of this name, or of a path and a class.

    Raises:
        UsageError: there is none, it can't be loaded, its options are wrong, or its marker is none.
    """
    observer: Observer = _make(find_observer(name), "observer", name, context)
    if observer.name != name and not is_file(name):
        raise UsageError(
            f"the observer '{name}' calls itself '{observer.name}'", hint="ask its author to give it one name"
        )
    if type(observer.marker) is not bytes or b"\n" in observer.marker:
        raise UsageError(
            f"the observer '{name}' has the marker {observer.marker!r}",
            hint="ask its author for some bytes of one line, or b'' for every line",
        )
    return observer


def options_of(
    plugins: Mapping[str, ObserverPlugin] | Mapping[str, ExporterPlugin],
) -> tuple[Option[Any], ...]:
    """Return the options of plug-ins in their order, each once."""
    return distinct(option for plugin in plugins.values() for option in plugin.options)


def advice(observer: str) -> str:
    """Return how a log without any sample can get some, for the user."""
    try:
        plugin = find_observer(observer)
    except UsageError:
        return _NO_SAMPLE
    text = plugin.no_sample or _NO_SAMPLE
    return text if " observers show " in text else f"{text}; see 'otel-logtail observers show {observer}'"


def explain(observer: str, cause: str) -> Explanation | None:
    """Return the meaning of a cause; None: its observer is not installed, is a file, or does not explain it.

    Args:
        observer: The name in a store. A store is data: no file that it names is run.
        cause: The name of the cause.
    """
    try:
        return None if is_file(observer) else find_observer(observer).causes.get(cause)
    except UsageError:
        return None


_NO_SAMPLE = "the observer finds no duration in it; it may be the log of another program, or lack durations"


def exporters() -> Mapping[str, ExporterPlugin]:
    """Return all exporters that can be loaded, by name. :func:`find_exporter` has the reason for any other."""
    return _all(EXPORTERS)


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
    exporter: Exporter = _make(find_exporter(name), "exporter", name, context)
    if exporter.name != name:  # the store keeps cursors under one name, and looks for them under the other
        exporter.close()
        raise UsageError(
            f"the exporter '{name}' calls itself '{exporter.name}'", hint="ask its author to give it one name"
        )
    return exporter


def _make(plugin: Any, kind: str, name: str, context: ObserverContext | ExporterContext) -> Any:
    try:
        return plugin.make(context)
    except ImportError as problem:
        package = f"its package {problem.name.partition('.')[0]}" if problem.name else "one of its packages"
        raise UsageError(
            f"the {kind} '{name}' can't be created: {package} can't be imported: {problem}",
            hint="install otel-logtail, or the package that brings the plug-in, again with its dependencies",
        ) from problem


def _all(group: str) -> dict[str, Any]:
    found = {}
    for name in names(group):
        try:
            found[name] = _find(group, name)
        except UsageError:
            continue
    return found


def _find(group: str, name: str) -> Any:
    kind = _KINDS[group]
    for point in entry_points(group):
        if point.name == name:
            return _load(point, kind)
    known = names(group)
    hint = f"{guess(name, known)} known: {', '.join(known) or 'none'}".lstrip()
    raise UsageError(f"unknown {kind} '{name}'", hint=hint, setting=kind)


def _load(point: EntryPoint, kind: str) -> Any:
    try:
        loaded = point.load()
    except Exception as problem:
        raise UsageError(
            f"the {kind} '{point.name}' can't be loaded: {problem}", hint="reinstall the package that brings it"
        ) from problem
    if wrong := _wrong(point.group, point.name, loaded):
        raise UsageError(f"the {kind} '{point.name}' can't be loaded: {wrong}", hint="ask its author to correct it")
    return loaded


def _wrong(group: str, name: str, plugin: object) -> str:
    """Return what is wrong with a declaration; empty if it can be used."""
    declared: type[ObserverPlugin | ExporterPlugin] = ObserverPlugin if group == OBSERVERS else ExporterPlugin
    if not isinstance(plugin, declared):
        found = "class" if isinstance(plugin, type) else type(plugin).__name__
        return f"its entry point is {'an' if found[0] in 'EO' else 'a'} {found}, not an {declared.__name__}"
    if isinstance(plugin, ObserverPlugin) and not _explains(plugin):
        return "its causes are not a mapping of names to Explanation"
    prefix = name.partition("-")[0] + "_"
    shared = SHARED_OPTIONS if group == EXPORTERS else ()
    for option in plugin.options:
        if not option.name.startswith(prefix) and option not in shared:
            return f"the name of its option {option.name!r} does not start with {prefix!r}"
        if group == OBSERVERS and isinstance(option.kind, File):
            return f"its option {option.name!r} is a file to write, and an observer writes none"
    return ""


def _explains(plugin: ObserverPlugin) -> bool:
    causes = plugin.causes
    return isinstance(causes, Mapping) and all(isinstance(found, Explanation) for found in causes.values())
