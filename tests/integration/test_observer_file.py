"""The real program with an observer from a file: a flag, a configuration in another folder, and a service unit."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import forked

OBSERVER = '''
import re
from otel_logtail import Drift, Observer, PathRule, Sample, Shape

SHAPE = Shape()

class Acme(Observer):
    """Requests of acme."""

    name = "acme"
    source = "acme-web"
    marker = b" took "

    def paths(self):
        return PathRule(patterns=("/nowhere/acme.log",), live="acme.log")

    def observe(self, line):
        match = re.fullmatch(rb"([0-9]{10}) took ([0-9]{1,6}) ms", line)
        if match is None:
            raise Drift("not a line of acme")
        time_ns, took_ns = int(match[1]) * 10**9, int(match[2]) * 10**6
        return Sample(time_ns, took_ns, time_ns, "request", "", SHAPE)
'''


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    """A folder with an observer, a log of it, and an empty folder to start the program in."""
    (tmp_path / "acme.py").write_text(OBSERVER)
    (tmp_path / "acme.log").write_text("1795608000 took 700 ms\n1795608001 took 20 ms\n")
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


def run(cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return forked.completed(arguments, {"HOME": str(cwd), "TZ": "UTC"}, cwd)


def sources(db: Path) -> list[tuple[str, str, int]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute("SELECT name, observer, samples FROM source").fetchall()


def test_a_relative_file_starts_at_the_current_folder(folder: Path) -> None:
    db = folder / "store.db"
    done = run(folder, "--observer", "./acme.py:Acme", "--path", "acme.log", "--db", db, "--once")
    assert done.returncode == 0, done.stderr
    assert sources(db) == [("acme-web", "acme", 2)]
    assert sorted(path.name for path in folder.iterdir() if path.suffix in ("", ".py")) == ["acme.py", "elsewhere"]
    moved = folder / "elsewhere" / "renamed.py"
    (folder / "acme.py").rename(moved)
    done = run(folder, "--observer", f"{moved}:Acme", "--path", "acme.log", "--db", db, "--once")
    assert done.returncode == 0, done.stderr
    assert sources(db) == [("acme-web", "acme", 2)]  # the store has the name of the observer, not its path


def test_in_a_configuration_it_starts_at_the_folder_of_the_file(folder: Path) -> None:
    config, db = folder / "otel-logtail.toml", folder / "store.db"
    config.write_text('db = "store.db"\n[source.web]\nobserver = "acme.py:Acme"\npaths = ["acme.log"]\n')
    done = run(folder / "elsewhere", "--config", config, "--once")
    assert done.returncode == 0, done.stderr
    assert sources(db) == [("web", "acme", 2)]


PLUGIN = """
from otel_logtail import Choice, ObserverPlugin, Option

UNIT = Option("acme_unit", Choice(("ms", "s")), "Unit of durations.", default="ms")


def make(context):
    acme = Acme()
    acme.source = f"acme-{context.require(UNIT)}"
    return acme

ACME = ObserverPlugin(summary="Acme with a unit.", make=make, options=(UNIT,))
"""


def test_an_option_of_a_file_is_a_key_of_the_source(folder: Path) -> None:
    (folder / "acme.py").write_text(OBSERVER + PLUGIN)
    config = folder / "otel-logtail.toml"
    text = 'db = "store.db"\n[source.web]\nobserver = "acme.py:ACME"\npaths = ["acme.log"]\nunit = "s"\n'
    config.write_text(text)
    assert run(folder, "--config", config, "--once").returncode == 0
    assert sources(folder / "store.db") == [("web", "acme", 2)]
    config.write_text(text.replace('"s"', '"h"'))
    assert "source.web.unit 'h': expected ms or s" in run(folder, "--config", config, "--once").stderr
    shown = run(folder, "observers", "show", "./acme.py:ACME").stdout
    assert shown.startswith("acme: Acme with a unit.\n")
    assert "  unit = ms|s\n      Unit of durations. Default: ms.\n" in shown
    assert "acme-ms" in shown


@pytest.mark.parametrize(
    ("observer", "message"),
    [
        ("nothing.py:Acme", "otel-logtail.toml:3: source.web.observer: cannot read the observer "),
        ("acme.py:Nothing", "acme.py has no 'Nothing'"),
        ("acme.py", "has no name of a class"),
    ],
)
def test_a_mistake_in_a_configuration_has_its_line(folder: Path, observer: str, message: str) -> None:
    config = folder / "otel-logtail.toml"
    config.write_text(f'db = "store.db"\n[source.web]\nobserver = "{observer}"\npaths = ["acme.log"]\n')
    done = run(folder, "--config", config, "--once")
    assert done.returncode == 2
    assert f"error: {config}:3: source.web.observer: " in done.stderr
    assert message in done.stderr


def test_a_mistake_on_the_command_line_names_the_flag(folder: Path) -> None:
    done = run(folder, "--observer", "./acme.py:Nothing", "--path", "acme.log", "--once")
    assert done.returncode == 2
    assert f"error: {folder}/acme.py has no 'Nothing' (--observer)\n\nhint: it defines Acme\n" in done.stderr


def test_doctor_checks_its_logs_if_the_file_is_given(folder: Path) -> None:
    db = folder / "store.db"
    options = ("--observer", "./acme.py:Acme", "--path", "acme.log", "--db", db)
    assert run(folder, *options, "--once").returncode == 0
    given = run(folder, *options, "doctor").stdout
    assert f"logs of acme-web: {folder}/acme.log: 2 samples in " in given
    alone = run(folder, "doctor", "--db", db).stdout
    assert "warn  logs of acme-web: not checked: unknown observer 'acme'" in alone
    assert "pass the daemon's options, such as: otel-logtail" in " ".join(alone.split())


def test_a_service_unit_has_the_absolute_path(folder: Path) -> None:
    options = ("--path", folder / "acme.log", "--otlp-endpoint", "http://localhost:4318")
    done = run(folder, "service", "systemd", "--user", "root", "--observer", f"{folder}/acme.py:Acme", *options)
    assert done.returncode == 0, done.stderr
    assert f"--observer {folder}/acme.py:Acme" in done.stdout
    assert f'ReadOnlyPaths="-{folder}"' in done.stdout
    done = run(folder, "service", "systemd", "--user", "root", "--observer", "./acme.py:Acme", *options)
    assert done.returncode == 2
    assert "--observer './acme.py:Acme' is relative to this folder, and the service runs in another" in done.stderr
