"""The daemon's command line into settings, and the run: signals, exit codes."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from types import FrameType
from typing import Any

from otel_logtail.cli.errors import logs_in_one_line, redact_logs, stop_early
from otel_logtail.daemon.build import Parts, build
from otel_logtail.daemon.config import EXPORTER_KEYS, Config, read_config
from otel_logtail.daemon.loop import RETRY_STORE_S, Loop
from otel_logtail.daemon.paths import default_db, home_directory
from otel_logtail.daemon.settings import (
    Settings,
    SourceSettings,
    event_name,
    explain,
    export_interval,
    flag_of,
    max_bytes,
    max_series,
    milliseconds,
    one_of,
    quiet_window,
    retention_ns,
    stall_threshold,
    unknown_local_zone,
    zone,
)
from otel_logtail.daemon.supervisor import Supervisor
from otel_logtail.environment import (
    asks_for_otlp,
    check_resolved,
    is_service_link,
    problem,
    problems,
    service_name,
)
from otel_logtail.environment import export_interval as metric_export_interval
from otel_logtail.errors import LogtailError, StoreCorrupt, StoreGone, StoreUnavailable, UsageError
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.plugins import EXPORTERS, OBSERVERS, find_exporter, names
from otel_logtail.redact import Redactor, secrets_of
from otel_logtail.store.file import suspect
from otel_logtail.store.maintenance import Limits
from otel_logtail.tail.descriptors import DESCRIPTORS
from otel_logtail.tail.firstlook import FirstLooks
from otel_logtail.tail.watch import TimedWaker, Waker, WatchdogWaker

_TRIES = 2
"""How often a store is opened again in which damage is met: first it is read through, then it is set aside."""

OF_A_SOURCE = (
    *("observer", "path", "source", "event", "threshold_ms", "stall_ms", "quiet_ms", "from_start", "timezone"),
)
"""Options that a file of several sources has for each of them."""

_OPTIONS = tuple(dict.fromkeys(option for keys in EXPORTER_KEYS.values() for option in keys.values()))


_WORDS = {"histogram": ("explicit", "exponential"), "events": ("span", "log", "both")}
"""What these options may say, whoever is to use them."""


def settings_of(
    params: Mapping[str, Any], given: Mapping[str, str], *, none_will_do: bool = False
) -> tuple[Settings, Config | None]:
    """What a daemon with these options is asked to do, and the file that says the rest, if one was named.

    Args:
        params: The values of all options, by their names.
        given: How those that were given were given (a flag or a variable): they win over the file.
        none_will_do: No source need be named.

    Raises:
        UsageError: something can't be meant.
    """
    environ, given = os.environ, dict(given)
    places = dict(given)
    try:
        return _settings_of(dict(params), given, places, environ, none_will_do=none_will_do)
    except UsageError as wrong:
        raise explain(wrong, places) from None


def _settings_of(
    params: dict[str, Any],
    given: dict[str, str],
    places: dict[str, str],
    environ: Mapping[str, str],
    *,
    none_will_do: bool,
) -> tuple[Settings, Config | None]:
    warnings = _without_service_links(params, given, environ)
    if given.get("path", "--").startswith("OTEL"):  # the command line's parser would split at spaces
        params["path"] = [part for part in environ[given["path"]].split(os.pathsep) if part]
    if given.get("exporter", "--").startswith("OTEL"):
        params["exporter"] = environ[given["exporter"]].replace(",", " ").split()
    for name, place in given.items():
        for value in params[name] if isinstance(params[name], list) else [params[name]]:
            if name != "path":  # there, ${VARIABLES} are filled in
                check_resolved(str(value), place, address=False)
    config = read_config(Path(params["config"]), environ, home_directory()) if params["config"] else None
    places |= {**(config.where if config else {}), **given}

    def where(name: str) -> str:
        return places.get(name, flag_of(name))

    for option, known in _WORDS.items():
        if given.get(option, "").startswith("--") and params[option]:
            one_of(params[option].strip().lower(), given[option], known)
    if config:
        if beside := [given[name] for name in OF_A_SOURCE if name in given]:
            raise UsageError(
                f"{beside[0]} beside --config: which source is meant?", hint="write it in the file, under [source.NAME]"
            )
        sources = config.sources
    else:
        sources = () if none_will_do and not params["observer"] else (_source(params, where),)

    def once(name: str, default: Any) -> Any:
        if name in given or config is None:
            return params[name] or default
        return config.once.get(name, default)

    chosen = _exporters(params, config)
    _see_that_each_is_used(params, given, chosen)
    lost_zone = unknown_local_zone(environ) if any(source.timezone is None for source in sources) else ""
    text = once("export_interval", "")
    asked = "" if text else metric_export_interval(environ)
    return Settings(
        db=Path(once("db", "") or default_db()).absolute(),
        sources=sources,
        interval_ns=export_interval(text or asked, where("export_interval")) if text or asked else None,
        once=params["once"],
        limits=Limits(
            retention_ns(once("retention", params["retention"]), where("retention")),
            max_bytes(once("max_db_size", params["max_db_size"]), where("max_db_size")),
        ),
        max_series=max_series(once("max_series", params["max_series"]), where("max_series")),
        exporters=chosen,
        exporters_from_now=one_of(once("exporter_from", "start"), where("exporter_from"), ("start", "now")) == "now",
        exporter_options={
            name: {
                **(config.exporters.get(name, {}) if config else {}),
                **{option: params[option] for option in _OPTIONS if params[option]},
                **_of_variables(name, environ),
            }
            for name in chosen
        },
        places=places,
        warnings=(*warnings, *(problems(environ) if chosen else ()), *filter(None, [lost_zone])),
    ), config


def _of_variables(exporter: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what variables give to the options of an exporter that has no flags."""
    options = () if exporter in EXPORTER_KEYS or exporter not in names(EXPORTERS) else find_exporter(exporter).options
    return {option.name: environ[option.variable] for option in options if environ.get(option.variable)}


def _without_service_links(params: dict[str, Any], given: dict[str, str], environ: Mapping[str, str]) -> list[str]:
    """Forget the options that Kubernetes has set and not the user; returns what is to be said of them."""
    links = {name: v for name, v in given.items() if v in environ and is_service_link(v, environ[v])}
    for name in links:
        params[name] = ""
        del given[name]
    return [f"{variable}: {problem(variable, environ[variable])}" for variable in links.values()]


def _see_that_each_is_used(params: Mapping[str, Any], given: Mapping[str, str], chosen: Collection[str]) -> None:
    """A flag of an exporter that is not chosen would be without effect; a variable may be there for others.

    Raises:
        UsageError: there is such a flag.
    """
    if not all(name in EXPORTER_KEYS for name in chosen):
        return  # somebody else's may use any of them
    for option in _OPTIONS:
        if not params[option] or not given.get(option, "").startswith("--"):
            continue
        users = [name for name, keys in EXPORTER_KEYS.items() if option in keys.values()]
        if not any(name in chosen for name in users):
            hint = f"add --exporter {' or '.join(users)}" + (", or --otlp-endpoint URL" if "otlp" in users else "")
            raise UsageError(f"{given[option]} is for {' or '.join(users)}, and that is not chosen", hint=hint)


def _source(params: Mapping[str, Any], where: Callable[[str], str]) -> SourceSettings:
    if not params["observer"]:
        raise UsageError(
            "no observer is named: whose log is it?",
            hint=f"--observer {' | '.join(names(OBSERVERS))}; --help shows all",
        )
    threshold_ns = milliseconds(params["threshold_ms"], where("threshold_ms"))
    return SourceSettings(
        observer=params["observer"],
        name=params["source"] or service_name(os.environ),
        event=event_name(params["event"], where("event")),
        patterns=tuple(params["path"] or ()),
        threshold_ns=threshold_ns,
        stall_ns=stall_threshold(params["stall_ms"], threshold_ns, where("stall_ms"), where("threshold_ms")),
        quiet_ns=quiet_window(params["quiet_ms"], where("quiet_ms")),
        from_start=params["from_start"],
        timezone=zone(params["timezone"], where("timezone")),
    )


def _exporters(params: Mapping[str, Any], config: Config | None) -> tuple[str, ...]:
    """Those that are named; else those that have a table; else otlp, where an endpoint is given."""
    chosen = params["exporter"] or (list(config.exporters) if config else [])
    if not chosen and (params["otlp_endpoint"] or asks_for_otlp(os.environ)):
        chosen = ["otlp"]
    return tuple(dict.fromkeys(chosen))


def context_of_exporters() -> ExporterContext:
    """What exporters are made with, but for their options."""
    return ExporterContext(os.environ, host=socket.gethostname(), version=version())


def run(settings: Settings, config: Config | None) -> int:
    """Follow until stopped, or read once; returns the exit code."""
    DESCRIPTORS.allow_many()
    # State of thousands of files lives long. With Python's thresholds (700, 10, 10), a fifth of the start goes to
    # looking for cycles in it.
    gc.set_threshold(5_000, 20, 50)
    redact = Redactor(secrets_of(os.environ, (*sys.argv, *settings.values())))
    redact_logs(redact)
    logs_in_one_line(redact)
    reporter = Reporter(redact=redact)
    for text in settings.warnings:
        reporter.ignored(text)
    supervisor, first_looks = Supervisor(os.environ), FirstLooks()
    signals = _Signals(once=settings.once)
    while True:
        waker = _waker(reporter, once=settings.once)
        make = partial(
            build,
            settings,
            exporter_context=context_of_exporters(),
            home=home_directory(),
            reporter=reporter,
            first_looks=first_looks,
        )
        try:
            parts = _when_the_store_is_ready(make, waker, reporter, settings.db, patient=not settings.once)
        except LogtailError as problem:
            waker.close()
            raise settings.explain(problem) from None
        except BaseException:
            waker.close()
            raise
        running = Loop(parts, waker, reporter, supervisor)
        try:
            signals.end(running)
            return signals.code(running.run())
        except StoreGone:
            if settings.once:
                raise
        finally:
            running.close()


def _waker(reporter: Reporter, *, once: bool) -> Waker:
    try:
        return TimedWaker() if once else WatchdogWaker()
    except OSError as problem:
        reporter.watcher_failed(problem.strerror or str(problem))
        return TimedWaker()


def _when_the_store_is_ready(
    make: Callable[[], Parts], waker: Waker, reporter: Reporter, db: Path, *, patient: bool
) -> Parts:
    """A fault that may pass is no other at the start than later: it is said once, and waited for.

    Damage that is met by more than opening the store is noted, so that the next try finds it and sets the store aside.
    """
    damaged = 0
    while True:
        try:
            parts = make()
        except StoreUnavailable as problem:
            if not patient:
                raise
            reporter.store_failed(str(problem))
            waker.wait(RETRY_STORE_S)
        except StoreCorrupt:
            suspect(db)
            damaged += 1
            if damaged > _TRIES:
                raise
        else:
            reporter.store_works()
            return parts


def version() -> str:
    """What is installed."""
    try:
        return version_of("otel-logtail")
    except PackageNotFoundError:  # run from a checkout
        return "0"


class _Signals:
    """SIGTERM and SIGINT end the run in order; a second SIGINT at once (the store is right at every instruction).

    Until the run is made there is nothing to end in order: they end the process there and then. A daemon that is
    stopped has done what it was asked, so its exit code is 0. A run that reads ``once`` has not: 128 and the signal.
    """

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._running: Loop | None = None
        self._interrupts = 0
        self._asked = 0
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._look_now)

    def end(self, running: Loop) -> None:
        """From now on they end this run in order."""
        self._running = running
        if self._asked:  # before, and where an exception is lost (a destructor)
            running.stop()

    def code(self, code: int) -> int:
        """Return the exit code of a run that ended with ``code``."""
        return 128 + self._asked if self._asked and self._once else code

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._asked = self._asked or number
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            os._exit(130)
        if self._running is None:
            stop_early(number, once=self._once)
        self._running.stop()

    def _look_now(self, number: int, frame: FrameType | None) -> None:
        if self._running is not None:
            self._running.scan_now()
