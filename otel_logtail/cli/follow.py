"""One run of the daemon: the parts that need the process, and the start over if the store is deleted."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from otel_logtail.cli.errors import log_errors, logs_in_one_line, redact_logs
from otel_logtail.cli.health import health_site
from otel_logtail.cli.signals import Signals
from otel_logtail.daemon.build import Parts, build
from otel_logtail.daemon.loop import RETRY_STORE_S, Loop
from otel_logtail.daemon.paths import home_directory
from otel_logtail.daemon.settings import Settings
from otel_logtail.daemon.supervisor import Supervisor
from otel_logtail.environment import DETECTORS
from otel_logtail.errors import LogtailError, StoreCorrupt, StoreGone, StoreUnavailable
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.installed import version
from otel_logtail.log import Form, Style, is_journal
from otel_logtail.redact import Redactor, secrets_of
from otel_logtail.store.damage import suspect
from otel_logtail.tail.descriptors import DESCRIPTORS
from otel_logtail.tail.firstlook import FirstLooks
from otel_logtail.tail.watch import TimedWatcher, WatchdogWatcher, Watcher
from otel_logtail.text import escaped

if TYPE_CHECKING:
    from otel_logtail.daemon.health import HealthSite

_REPAIRS = 2
"""How often a corrupt store is opened again: the first time it is read through, the second time it is moved away."""


def context_of_exporters(detected: Mapping[str, Any] | None = None) -> ExporterContext:
    """Return what exporters are created from, without their options."""
    host = escaped(os.uname().nodename)
    return ExporterContext(os.environ, host=host, version=version(), detected=detected or {}, started_ns=time.time_ns())


def run(settings: Settings) -> int:
    """Follow until stopped, or read once; return the exit code."""
    DESCRIPTORS.allow_many()
    # The state of thousands of files lives long. Python's default thresholds (700, 10, 10) would spend a fifth of the
    # start on searching it for cycles.
    gc.set_threshold(5_000, 20, 50)
    redact = Redactor((*secrets_of(os.environ, (*sys.argv, *settings.values())), *settings.secrets()))
    redact_logs(redact)
    logs_in_one_line(redact)
    style = _style(settings)
    reporter = Reporter(style=style, redact=redact)
    if style.form == "json" or style.in_journal:
        log_errors(reporter.log)
    for text in settings.warnings:
        reporter.ignored(text)
    supervisor = Supervisor(os.environ, is_probed=settings.health_port is not None)
    with health_site(settings, supervisor, reporter) as site:
        return _follow(settings, reporter, supervisor, site)


def _follow(settings: Settings, reporter: Reporter, supervisor: Supervisor, site: HealthSite | None) -> int:
    """Run until stopped; if the store is deleted, start again with a new one."""
    first_looks, signals = FirstLooks(), Signals(once=settings.once)
    context = context_of_exporters(_detected(reporter) if settings.exporters else None)
    while True:
        watcher = _watcher(reporter, once=settings.once)
        make = partial(
            build,
            settings,
            exporter_context=context,
            home=home_directory(),
            reporter=reporter,
            first_looks=first_looks,
        )
        try:
            parts = build_when_ready(make, watcher, reporter, supervisor, settings)
        except LogtailError as problem:
            watcher.close()
            raise settings.explain(problem) from None
        except BaseException:
            watcher.close()
            raise
        if site is not None:
            site.drains = parts.drains
        if reporter.log.style.form == "text":  # until here, an error is an answer to the user who started the daemon
            log_errors(reporter.log)
        running = Loop(parts, watcher, reporter, supervisor)
        try:
            signals.stop_with(running)
            return signals.exit_code(running.run())
        except StoreGone:
            if settings.once:
                raise
        finally:
            running.close()


def _detected(reporter: Reporter) -> Mapping[str, Any]:
    """Return the attributes of the resource detectors that the environment requests."""
    if not os.environ.get(DETECTORS, "").strip():
        return {}
    from otel_logtail.exporters import detectors

    return detectors.detect(os.environ, reporter)


def _style(settings: Settings) -> Style:
    """Return the form of messages: a person waits for a run with ``--once``, as for a command."""
    form: Form = "command" if settings.once else "text"
    if settings.log_format == "json":
        form = "json"
    return Style(form, settings.log_level, in_journal=is_journal(os.environ))


def _watcher(reporter: Reporter, *, once: bool) -> Watcher:
    try:
        return TimedWatcher() if once else WatchdogWatcher()
    except (OSError, ImportError) as problem:
        reporter.watcher_failed(getattr(problem, "strerror", "") or str(problem))
        return TimedWatcher()


def build_when_ready(
    make: Callable[[], Parts], watcher: Watcher, reporter: Reporter, supervisor: Supervisor, settings: Settings
) -> Parts:
    """Build the parts; without ``--once``, log a fault of the store that may pass, and wait until it is over.

    Some damage shows only in use. It is noted, so that the next try finds the damage and moves the store away.
    """
    repairs = 0
    while True:
        supervisor.building()
        try:
            parts = make()
        except StoreUnavailable as problem:
            if settings.once:
                raise
            why = str(problem)
            reporter.store_failed(why)
            supervisor.turned(time.monotonic(), partial(str, why))
            watcher.wait(RETRY_STORE_S)
        except StoreCorrupt:
            suspect(settings.db)
            repairs += 1
            if repairs > _REPAIRS:
                raise
        else:
            reporter.store_works()
            return parts
