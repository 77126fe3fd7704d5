"""`otel-logtail observers`: the list, a description, and an observer that is written from a log and run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from otel_logtail.plugins import OBSERVERS, names, observers
from tests.support import forked

LOG = """\
2026-11-25T12:00:00.250Z GET /search took=734ms
2026-11-25T12:00:01.000Z starting
2026-11-25T12:00:02.000Z GET / took=12ms
"""


def run(cwd: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
    done = forked.completed(arguments, {**own, "HOME": str(cwd), "TZ": "UTC"}, cwd)
    assert done.returncode == code, done.stderr
    return done


def test_without_a_command_the_observers_are_listed(tmp_path: Path) -> None:
    listed = json.loads(run(tmp_path, "observers", "--format", "json").stdout)
    assert [entry["name"] for entry in listed] == names(OBSERVERS)


@pytest.mark.parametrize("name", names(OBSERVERS))
def test_each_observer_is_shown(tmp_path: Path, name: str) -> None:
    plugin = observers()[name]
    shown = run(tmp_path, "observers", "show", name).stdout
    assert shown.startswith(f"{name}: {plugin.summary}\n")
    assert plugin.no_sample in shown
    assert plugin.configuration().strip("\n") in shown
    found = json.loads(run(tmp_path, "observers", "show", name, "--format", "json").stdout)
    assert found["name"] == name
    assert found["configuration"] == plugin.configuration().strip("\n")
    assert [option["flag"] for option in found["options"]] == [option.flag for option in plugin.options]
    assert all(option["flag"] in shown and option["what"] in shown for option in found["options"])


def test_an_unknown_observer_cannot_be_shown(tmp_path: Path) -> None:
    done = run(tmp_path, "observers", "show", "nothing", code=2)
    assert "error: unknown observer 'nothing'\n\nhint: known: " in done.stderr


@pytest.mark.parametrize("words", [(), ("--format", "json")])
def test_an_option_of_the_daemon_before_the_list_is_an_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, "--observer", "headroom", "observers", *words, code=2)
    assert "error: --observer is given before 'observers', which has no such option" in done.stderr


def test_a_written_observer_runs_as_printed(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(LOG)
    done = run(tmp_path, "observers", "new", "acme", "--sample", "app.log")
    assert done.stdout.splitlines() == [
        "wrote acme.py: finds 2 samples in 3 lines of app.log",
        "wrote test_acme.py: its test",
        "next: decide what TODO marks, then run",
        "  pytest test_acme.py",
        "  otel-logtail --observer ./acme.py:Acme --path app.log --once",
    ]
    command = done.stdout.splitlines()[-1].split()[1:]
    run(tmp_path, *command, "--db", "store.db")
    samples = json.loads(run(tmp_path, "query", "samples", "--db", "store.db", "--format", "json").stdout)
    assert [(sample["duration_ms"], sample["source"]) for sample in samples] == [(734.0, "acme"), (12.0, "acme")]
    assert run(tmp_path, "observers", "show", "./acme.py:Acme").stdout.startswith("acme: The duration of each request")
    again = run(tmp_path, "observers", "new", "acme", "--sample", "app.log", code=2)
    hint = "hint: delete it, or use another name"
    assert again.stderr.startswith(
        f"otel-logtail: error: acme.py exists\n\n{hint}\n\nUsage: otel-logtail observers new "
    )
