"""The real command line, run to its end in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
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


FORKING = """
import json, os, sys
from otel_logtail.__main__ import main

for number, words in enumerate(json.loads(sys.argv[1])):
    if os.fork() == 0:
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{sys.argv[2]}/{number}.{name}", os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
        sys.argv[1:] = words
        main()
        sys.exit()
    os.wait()
"""


def run_each(*commands: Iterable[object], home: Path, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Run commands, each in a process forked from one start; return the output and the errors of each."""
    words = [[str(word) for word in command] for command in commands]
    with tempfile.TemporaryDirectory(dir=home) as out:
        subprocess.run(
            [sys.executable, "-c", FORKING, json.dumps(words), out],
            env={**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "TZ": "UTC", **environ},
            timeout=bound_s(180),
            check=True,
        )
        files = [(Path(out, f"{number}.out"), Path(out, f"{number}.err")) for number in range(len(words))]
        return [(printed.read_text(), errors.read_text()) for printed, errors in files]


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
