"""Checks of destinations: each exporter's options and receiver, and its deliveries as the store has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from otel_logtail.check import FAIL, NOTE, OK, WARN, Check, check_writable, is_recent
from otel_logtail.errors import LogtailError
from otel_logtail.exporter import ExporterContext, ExporterPlugin
from otel_logtail.plugins import find_exporter
from otel_logtail.text import parse_when, span

_ROOM = "give the daemon more room: --max-db-size 4GiB"


def check_receiver(
    name: str, context: ExporterContext, explain: Callable[[LogtailError], LogtailError], *, running: bool
) -> Iterator[Check]:
    """Check an exporter's options, and ask its probe about the receiver.

    Args:
        name: The exporter.
        context: The context of the exporter.
        explain: Adds the place of a wrong value to an error.
        running: True if a daemon runs, so that the exporter's own port is taken.
    """
    area = f"exporter {name}"
    try:
        plugin = find_exporter(name)
        for option in plugin.options:
            context.get(option)
        checks = plugin.probe(context, running) if plugin.probe else _check_files(plugin, context)
        for check in checks:
            yield check if check.area else msgspec.structs.replace(check, area=area)
    except LogtailError as problem:
        named = explain(problem)
        yield Check(FAIL, area, str(named), named.hint)


def _check_files(plugin: ExporterPlugin, context: ExporterContext) -> Iterable[Check]:
    """Check the files of an exporter that has no probe of its own."""
    files = [
        check_writable(path, f"fix its permissions, or name another file with {option.flag}")
        for option, path in plugin.files(context)
    ]
    return files or [Check(OK, "", plugin.summary)]


def check_deliveries(exporter: Mapping[str, Any], now_ns: int, *, running: bool, dropped_ns: int = 0) -> Check:
    """Check the deliveries of one exporter.

    Args:
        exporter: An entry of ``query.status``.
        now_ns: The clock.
        running: True if a daemon runs.
        dropped_ns: When undelivered data was last deleted.
    """
    area, pending = f"exporter {exporter['name']}", exporter["pending"]
    ago = "never"
    if exporter["last_success"]:
        ago = span((now_ns - parse_when(exporter["last_success"], 0)) / 1e9) + " ago"
    what = f"{exporter['delivered']} delivered, last {ago}; {pending} pending"
    if exporter["dropped"]:
        lost = ", ".join(f"{d['count']} {d['stream']} of {d['from']} to {d['to']}" for d in exporter["dropped"])
        if is_recent(dropped_ns, now_ns):
            return Check(WARN, area, f"{what}; left the store undelivered: {lost}", _ROOM)
        what += f"; left the store undelivered more than a week ago: {lost}"
    failed = f"; last error: {exporter['last_error']}" if exporter["last_error"] else ""
    if exporter["quarantined"]:
        todo = "otel-logtail retry --list shows them with the reason; otel-logtail retry sends them again"
        return Check(WARN, area, f"{what}; {exporter['quarantined']} quarantined{failed}", todo)
    if failed:
        todo = "everything is kept and tried again" + ("" if running else " once a daemon runs")
        if exporter["refused"] and not pending:
            todo = "nothing is pending; data that the receiver rejected is not sent again"
        return Check(WARN, area, what + failed, todo)
    if exporter["refused"]:
        what += f"; {exporter['refused']} refused since the store was created"
    if pending and not running:
        return Check(WARN, area, what, "they are delivered once a daemon runs with this exporter")
    return Check(NOTE if exporter["dropped"] else OK, area, what, _ROOM if exporter["dropped"] else "")
