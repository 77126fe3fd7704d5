"""The command line in a process of its own, forked from one that has imported the program already.

A new interpreter takes most of its time for imports. The forked process has its own descriptors, environment,
directory and arguments, and exits like any other, so a test sees what a shell sees. Use a new interpreter to test
imports, the encoding of streams, signals or limits.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import bound_s

SERVER = """
import gc, importlib, json, os, socket, sys, time, warnings

for name in (
    "cli.answers", "cli.doctor", "cli.follow", "cli.main", "cli.service.command", "daemon.config", "doctor", "events",
    "observers.headroom.observer", "plugins", "query", "report.page", "report.text", "store.maintenance",
    "store.quarantine", "store.writer",
):
    importlib.import_module(f"otel_logtail.{name}")

gc.collect()
gc.freeze()  # what is imported is neither copied nor freed by the processes that are forked
jobs = socket.socket(fileno=int(sys.argv[1]))
requests = jobs.makefile("rb")
while line := requests.readline():
    if not (child := os.fork()):
        break
    jobs.sendall(b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
else:
    requests.close()
    jobs.close()
    sys.exit()

job = json.loads(line)
requests.close()
jobs.close()
os.environ.clear()
os.environ.update(job["environ"])
time.tzset()
if "PYTHONWARNINGS" in os.environ:
    warnings.simplefilter(os.environ["PYTHONWARNINGS"])
os.chdir(job["cwd"])
os.umask(job["umask"])
sys.argv = [sys.modules["otel_logtail"].__path__[0] + "/__main__.py", *job["words"]]
streams = []
for number, place in enumerate(job["streams"]):
    if place == "|":
        read, opened = os.pipe()
        os.close(read)
    elif place is not None:
        opened = os.open(place, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.close(number)
    if place is None:
        streams.append(None)
        continue
    os.dup2(opened, number)
    os.close(opened)
    errors = "backslashreplace" if number == 2 else "strict"
    streams.append(open(number, "r" if number == 0 else "w", errors=errors, closefd=False))
sys.stdin, sys.stdout, sys.stderr = streams
sys.__stdin__, sys.__stdout__, sys.__stderr__ = streams

sys.modules["otel_logtail.cli.main"].main()
"""

CLOSED = None
"""A stream that is closed."""
UNREAD = "|"
"""A stream that is a pipe without a reader."""


class Server:
    """The process that forks, one command at a time."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HEADROOM"))}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=inherited,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._answers = self._socket.makefile("rb")

    def run(self, job: Mapping[str, object]) -> int:
        """Run one command and return its exit code."""
        self._socket.settimeout(bound_s(60))
        self._socket.sendall(json.dumps(job).encode() + b"\n")
        try:
            return int(self._answers.readline())
        except (TimeoutError, ValueError):
            self.close()
            pytest.fail(f"{job['words']} did not exit")

    def close(self) -> None:
        """Stop the process and what it has forked."""
        server.cache_clear()
        self._answers.close()
        self._socket.close()
        try:
            os.killpg(self._process.pid, 9)
        except ProcessLookupError:
            pass  # it has exited
        self._process.wait()


@functools.cache
def server() -> Server:
    """Return the server of this test process."""
    made = Server()
    atexit.register(made.close)
    return made


def exit_code(
    words: list[str],
    *,
    environ: Mapping[str, str],
    streams: tuple[str | None, str | None, str | None] = (os.devnull, os.devnull, os.devnull),
) -> int:
    """Run a command and return its exit code.

    Args:
        words: Its arguments.
        environ: Its whole environment.
        streams: The paths of its standard input, output and error; or ``CLOSED`` or ``UNREAD``.
    """
    umask = os.umask(0)
    os.umask(umask)
    job = {"words": words, "environ": dict(environ), "streams": streams, "cwd": os.getcwd(), "umask": umask}
    return server().run(job)


def run(
    *arguments: object, home: Path, check: bool = True, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a home directory of its own; the result is that of :func:`subprocess.run`."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTELCOL", "HEADROOM"))
    }
    own = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "TZ": "UTC", **(environ or {})}
    done = completed(arguments, {**inherited, **own})
    if check:
        done.check_returncode()
    return done


def completed(arguments: Iterable[object], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command in this whole environment; the result is that of :func:`subprocess.run`."""
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        out.touch()
        err.touch()
        code = exit_code(words, environ=environ, streams=(os.devnull, str(out), str(err)))
        return subprocess.CompletedProcess(["otel-logtail", *words], code, out.read_text(), err.read_text())


def ask(db: Path, *arguments: object, home: Path) -> Any:
    """Return the JSON answer of a command that reads a store."""
    return json.loads(run(*arguments, "--db", db, "--format", "json", home=home).stdout)
