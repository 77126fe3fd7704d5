"""A dependency that is installed but cannot be imported: an error with its name, and everything else works."""

from __future__ import annotations

import io
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from otel_logtail import plugins
from otel_logtail.cli.follow import _watcher
from otel_logtail.daemon.settings import Settings
from otel_logtail.doctor import destinations, examine, machine
from otel_logtail.errors import UsageError
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext, ExporterPlugin
from otel_logtail.plugins import find_exporter, make_exporter
from otel_logtail.tail.watch import TimedWatcher

CONTEXT = ExporterContext({}, host="h", version="1")


def use(*_: object) -> Any:
    return import_module("requests.adapters")


BROKEN = ExporterPlugin(summary="An exporter.", make=use, probe=use)


@pytest.fixture(autouse=True)
def unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("requests", "requests.adapters", "watchdog.observers"):
        monkeypatch.setitem(sys.modules, name, None)
    for module in (plugins, destinations):
        monkeypatch.setattr(module, "find_exporter", lambda name: BROKEN if name == "broken" else find_exporter(name))


def test_an_exporter_names_the_package_that_cannot_be_imported() -> None:
    with pytest.raises(UsageError, match="the exporter 'broken' can't be created: its package requests can't") as error:
        make_exporter("broken", CONTEXT)
    assert "with its dependencies" in error.value.hint


def test_a_daemon_scans_periodically_with_one_warning() -> None:
    out = io.StringIO()
    assert type(_watcher(Reporter(out), once=False)) is TimedWatcher
    (warning,) = out.getvalue().splitlines()
    assert warning.startswith("otel-logtail: warning: file system events failed (")


def test_doctor_continues_with_the_other_checks(tmp_path: Path) -> None:
    settings = Settings(db=tmp_path / "s.db", sources=(), exporters=("broken", "console"))
    checks = list(examine(settings, CONTEXT, str(tmp_path)))
    failed, last = (check for check in checks if check.area.startswith("exporter "))
    assert (failed.level, last.area) == ("FAIL", "exporter console")
    assert failed.what.startswith("the check failed: ModuleNotFoundError: ")
    assert "requests" in failed.what


def test_doctor_warns_of_missing_events_and_checks_the_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    events, descriptors = machine.check_machine([str(tmp_path)], 1)
    assert (events.level, events.area, descriptors.area) == ("warn", "events", "descriptors")
    assert "watchdog" in events.what
    assert "with its dependencies" in events.todo
