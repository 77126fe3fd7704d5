"""The exporters of OpenTelemetry's SDK that are installed: entry points of three groups, one for each signal."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from otel_logtail.environment import unwanted
from otel_logtail.errors import UsageError, invalid
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.sdk.options import EXPORTER
from otel_logtail.exporters.wording import printable

SIGNALS = ("metrics", "traces", "logs")


class SdkExporter(Protocol):
    """An exporter of the SDK. Its result is an enumeration with a member ``SUCCESS``."""

    def export(self, data: Any, /) -> Any:
        """Send records of one signal."""

    def shutdown(self) -> None:
        """Stop, also while records are sent."""


def load(context: ExporterContext) -> dict[str, SdkExporter]:
    """Return a new exporter for each signal that the named one has, without signals that are switched off.

    Raises:
        UsageError: none is installed under this name, or one of them cannot be created.
    """
    name = context.require(EXPORTER)
    groups = {signal: _installed(signal) for signal in SIGNALS}
    found = {signal: entries[name] for signal, entries in groups.items() if name in entries}
    if not found:
        names = sorted({name for entries in groups.values() for name in entries})
        raise invalid(
            context.where(EXPORTER), name, "no installed package has this exporter", f"use one of {', '.join(names)}"
        )
    without = unwanted(context.environ)
    made = {signal: _create(entry, context) for signal, entry in found.items() if signal not in without}
    if not made:
        variables = " and ".join(f"OTEL_{signal.upper()}_EXPORTER" for signal in found)
        raise UsageError(
            f"the exporter sdk has nothing to send: {variables} are none",
            hint="leave out --exporter sdk, or one of the variables",
        )
    return made


def _installed(signal: str) -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"opentelemetry_{signal}_exporter")}


def _create(entry: EntryPoint, context: ExporterContext) -> SdkExporter:
    where = context.where(EXPORTER)
    try:
        made = entry.load()()
    except Exception as problem:
        why = f"{entry.value} cannot be created: {type(problem).__name__}: {printable(str(problem))}"
        raise invalid(where, entry.name, why, "check the settings that its package documents") from problem
    if not callable(getattr(made, "export", None)):
        why = f"{entry.value} is read by others, and sends nothing"
        raise invalid(where, entry.name, why, "name another exporter; for scrapes, use --exporter prometheus")
    exporter: SdkExporter = made
    return exporter
