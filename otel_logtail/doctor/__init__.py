"""``doctor``: checks the logs, the store, the machine and the destinations, without disturbing a running daemon.

Nothing is written, no lock is taken, and the store is opened read-only. Each check is one line, also one that fails to
run.
"""

from __future__ import annotations

import glob
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any

import msgspec

from otel_logtail.check import FAIL, WARN, Check
from otel_logtail.daemon.build import ResolvedSource, resolve
from otel_logtail.daemon.options import FRAMING, TIMEZONE
from otel_logtail.daemon.safety import check_outputs
from otel_logtail.daemon.settings import Settings, SourceSettings
from otel_logtail.doctor.destinations import check_deliveries, check_receiver
from otel_logtail.doctor.logs import check_logs
from otel_logtail.doctor.machine import check_machine, versions
from otel_logtail.doctor.store import check_counts, check_store
from otel_logtail.errors import LogtailError, UsageError
from otel_logtail.exporter import ExporterContext
from otel_logtail.observer_file import is_file
from otel_logtail.query import Reader, status
from otel_logtail.store import sources as stored
from otel_logtail.store.place import holder
from otel_logtail.store.rows import path_of_text
from otel_logtail.tail.discover import discover

__all__ = ["Check", "examine"]


_OPTIONS_TODO = "pass the daemon's options, such as: otel-logtail --observer headroom doctor"


class Troubles(msgspec.Struct, frozen=True):
    """When lines of each source last had each problem, and when items of each exporter were last dropped."""

    problems: Mapping[str, Mapping[str, int]] = {}
    dropped: Mapping[str, int] = {}


def examine(settings: Settings, context: ExporterContext, home: str) -> Iterator[Check]:
    """Run all checks for a daemon with these settings, one after the other.

    If the settings have no sources, those in the store are checked, with the default paths of their observers.
    """
    yield versions(context.version)
    db = settings.db
    yield from _made("store", check_store(db, settings.limits.max_bytes))
    running = holder(db) is not None
    known = _status(db)
    sources = settings.sources or _known_sources(db)
    if not sources:
        yield Check(WARN, "logs", "no source is known", _OPTIONS_TODO)
    ages, now_ns = _troubles(db), time.time_ns()
    yield from check_counts(known, ages.problems, now_ns)
    wanted, problems = _wanted(sources, context, home, are_given=bool(settings.sources))
    yield from problems
    try:
        check_outputs(settings, [source.read for source in wanted])
    except UsageError as problem:
        named = settings.explain(problem)
        yield Check(FAIL, "files", str(named), named.hint)
    for source in wanted:
        yield from _made(f"logs of {source.name}", check_logs(source))
    if wanted:
        yield from _made("machine", check_machine(*_places(wanted)))
    for text in settings.warnings:
        yield Check(WARN, "environment", f"ignoring the variable {text}", "correct it, or unset it")
    delivered = {exporter["name"]: exporter for exporter in known["exporters"]}
    for name in dict.fromkeys((*settings.exporters, *delivered)):
        if name in settings.exporters:
            options = settings.exporter_options.get(name, {})
            own = msgspec.structs.replace(context, options=options, places=settings.places)
            yield from _made(f"exporter {name}", check_receiver(name, own, settings.explain, running=running))
        if name in delivered:
            yield check_deliveries(delivered[name], now_ns, running=running, dropped_ns=ages.dropped.get(name, now_ns))


def _made(area: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Yield the checks of an area. If one of them fails to run, that is the last one of the area."""
    try:
        yield from checks
    except (OSError, sqlite3.Error, UnicodeDecodeError, LogtailError) as problem:
        yield Check(FAIL, area, f"the check failed: {problem}", getattr(problem, "hint", ""))
    except Exception as problem:  # noqa: BLE001 - a broken package must not end the other checks
        yield Check(FAIL, area, f"the check failed: {type(problem).__name__}: {problem}")


def _status(db: Path) -> Mapping[str, Any]:
    try:
        with Reader.open(db, traceless=True) as reader:
            return status(reader)
    except LogtailError:  # the check of the store reports it
        return {"sources": [], "exporters": []}


def _known_sources(db: Path) -> Sequence[SourceSettings]:
    paths = "SELECT DISTINCT live FROM file WHERE source = ?"
    try:
        with Reader.open(db, traceless=True) as reader:
            rows = reader.conn.execute(
                "SELECT id, observer, name, event, threshold_ns, stall_ns, quiet_ns FROM source"
            ).fetchall()
            live = {id_: reader.conn.execute(paths, (id_,)).fetchall() for id_, *_ in rows}
            texts = {id_: stored.options(reader.conn, id_) for id_, *_ in rows}
    except (sqlite3.Error, UnicodeDecodeError, LogtailError):  # the check of the store reports it
        return ()
    return [
        SourceSettings(
            observer=observer,
            name=name,
            event=event,
            patterns=tuple(glob.escape(path) for (text,) in live[id_] if Path(path := path_of_text(text)).exists()),
            threshold_ns=threshold_ns,
            stall_ns=stall_ns,
            quiet_ns=quiet_ns,
            framing=texts[id_].pop(FRAMING.name, FRAMING.default),
            timezone=_zone(texts[id_].pop(TIMEZONE.name, "")),
            options=texts[id_],
        )
        for id_, observer, name, event, threshold_ns, stall_ns, quiet_ns in rows
    ]


def _zone(text: str) -> tzinfo | None:
    try:
        return TIMEZONE.parse(text) if text else None
    except UsageError:  # this machine does not have it: times are read as local ones
        return None


def _troubles(db: Path) -> Troubles:
    try:
        with Reader.open(db, traceless=True) as reader:
            sources = reader.conn.execute("SELECT id, name FROM source").fetchall()
            dropped = reader.conn.execute("SELECT exporter, max(time_ns) FROM dropped GROUP BY exporter").fetchall()
            return Troubles({name: stored.problems(reader.conn, id_) for id_, name in sources}, dict(dropped))
    except (sqlite3.Error, UnicodeDecodeError, ValueError, LogtailError):  # the check of the store reports it
        return Troubles()


def _wanted(
    sources: Sequence[SourceSettings], context: ExporterContext, home: str, *, are_given: bool
) -> tuple[list[ResolvedSource], list[Check]]:
    found, problems = [], []
    for source in sources:
        try:
            if is_file(source.observer) and not are_given:  # a store is data: no file that it names is run
                raise UsageError(f"the store names the file {source.observer} as the observer")
            found.append(resolve(source, context, home))
        except LogtailError as problem:
            area = f"logs of {source.name}"
            if are_given:
                problems.append(Check(FAIL, area, str(problem), problem.hint))
            else:  # the store has the name of an observer, and not the file that holds it
                problems.append(Check(WARN, area, f"not checked: {problem}", _OPTIONS_TODO))
    return found, problems


def _places(wanted: Sequence[ResolvedSource]) -> tuple[set[str], int]:
    files = {
        path
        for source in wanted
        for path in discover(source.patterns, source.rule, trusted=bool(source.settings.patterns))
    }
    return {str(Path(path).parent) for path in files}, len(files)
