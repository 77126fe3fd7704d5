"""The real command line, run to its end in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.places import CAPTURES
from tests.support.waiting import bound_s

USAGE = "\nUsage: otel-logtail [OPTIONS] COMMAND [ARGS]...\n"
"""The end of an error about an argument of the daemon."""


def run(
    *arguments: object, home: Path, check: bool = True, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The real command line, in a home of its own."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTELCOL", "HEADROOM"))
    }
    return subprocess.run(
        [sys.executable, "-m", "otel_logtail", *map(str, arguments)],
        env={**inherited, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "TZ": "UTC", **(environ or {})},
        capture_output=True,
        text=True,
        timeout=bound_s(180),
        check=check,
    )


def ask(db: Path, *arguments: object, home: Path) -> Any:
    """A question's answer, from its JSON."""
    return json.loads(run(*arguments, "--db", db, "--format", "json", home=home).stdout)


PROGRAM = (sys.executable, "-m", "otel_logtail")


HEADROOM = ("--observer", "headroom", "--path", "/var/log/headroom/*.log")


ARGUMENTS: dict[tuple[str, ...], tuple[str, ...]] = {  # what a command needs beside the store
    ("mark",): ("upgrade 0.42",),
    ("query", "sql"): ("SELECT * FROM samples",),
    ("service", "systemd"): HEADROOM,
    ("service", "launchd"): HEADROOM,
    ("detect",): (str(CAPTURES / "0.42.0-stall.log"),),
    ("observers", "show"): ("headroom",),
    ("observers", "new"): ("acme", "--sample", "/nowhere.log"),
}


def environ(home: Path, store: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return {**kept, "HOME": str(home), "OTEL_LOGTAIL_DB": str(store), "PYTHONWARNINGS": "error"}


def words_of(names: tuple[str, ...]) -> list[str]:
    return [*names, *ARGUMENTS.get(names, ())]
