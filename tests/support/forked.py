"""The command line in a process of its own, forked from one that has imported the program already.

A new interpreter takes most of its time for imports. The forked process has its own descriptors, environment,
directory and arguments, and exits like any other, except that its objects are not freed, so a test sees what a shell
sees. Use a new interpreter to test imports, the encoding of streams, signals or limits.
"""

from __future__ import annotations

import atexit
import functools
import json
import math
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import bound_s

SERVER = """
import atexit

exit_codes, streams = [], []

@atexit.register  # the first one is called last
def exit_at_once():  # to free all objects takes longer than most commands
    if exit_codes:
        for stream in filter(None, streams):
            stream.flush()
        os._exit(exit_codes[0])

import gc, importlib, json, os, select, signal, socket, sys, time, warnings
from otel_logtail import installed, plugins

for name in (
    "otel_logtail.cli.answers", "otel_logtail.cli.doctor", "otel_logtail.cli.exporters", "otel_logtail.cli.follow",
    "otel_logtail.cli.main", "otel_logtail.cli.query", "otel_logtail.cli.report", "otel_logtail.cli.service.command",
    "otel_logtail.cli.status", "otel_logtail.daemon.config", "otel_logtail.daemon.merge", "otel_logtail.doctor",
    "otel_logtail.events", "otel_logtail.exporters.otlp.exporter", "otel_logtail.exporters.otlp.http",
    "otel_logtail.observers.headroom.observer", "otel_logtail.query", "otel_logtail.report.marked",
    "otel_logtail.report.page", "otel_logtail.report.text", "otel_logtail.report.traces",
    "otel_logtail.store.maintenance", "otel_logtail.store.quarantine", "otel_logtail.store.writer", "rich.cells",
    "watchdog.observers",
    *(point.value.partition(":")[0] for group in (plugins.OBSERVERS, plugins.EXPORTERS)
      for point in installed.entry_points(group)),
):
    importlib.import_module(name)

gc.collect()
gc.freeze()  # what is imported is neither copied nor freed by the processes that are forked
jobs = socket.socket(fileno=int(sys.argv[1]))
requests = jobs.makefile("rb", buffering=0)
ended, wakes = os.pipe()
os.set_blocking(wakes, False)
signal.signal(signal.SIGCHLD, lambda number, frame: None)
signal.set_wakeup_fd(wakes)
running = set()
texts = [(stream.encoding, stream.errors) for stream in (sys.stdin, sys.stdout, sys.stderr)]  # as the locale has it
while True:
    readable, _, _ = select.select([jobs, ended], [], [])
    if ended in readable:
        os.read(ended, 4096)
        while running:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                break
            running.remove(child)
            jobs.sendall(b"%d %d\\n" % (child, os.waitstatus_to_exitcode(status)))
    if jobs in readable:
        line = requests.readline()
        if not line:
            sys.exit()
        if not (child := os.fork()):
            break
        running.add(child)
        jobs.sendall(b"%d started\\n" % child)

signal.set_wakeup_fd(-1)
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
os.close(ended)
os.close(wakes)
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
    encoding, errors = texts[number]
    mode, lines = ("r" if number == 0 else "w"), (1 if number == 2 else -1)
    streams.append(open(number, mode, buffering=lines, encoding=encoding, errors=errors, closefd=False))
sys.stdin, sys.stdout, sys.stderr = streams
sys.__stdin__, sys.__stdout__, sys.__stderr__ = streams

try:
    sys.modules["otel_logtail.cli.main"].main()
except SystemExit as end:
    exit_codes.append(end.code)
    raise
"""

CLOSED = None
"""A stream that is closed."""
UNREAD = "|"
"""A stream that is a pipe without a reader."""


AT_THE_START = ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONUTF8", "PYTHONCOERCECLOCALE", "LD_PRELOAD")
"""Variables that a process or an interpreter reads once: each of their values has a server of its own."""
OTHERS = ("LD_", "PYTHON", "OTEL_PYTHON", "OTEL_SDK", "OTEL_LOGTAIL_PURE", "GRPC_")
"""Beginnings of the names of others that act when a process or an interpreter starts."""


def can_fork(environ: Mapping[str, str]) -> bool:
    """Return whether a process with these variables, beside those of the test, may be forked."""
    return not any(name.startswith(OTHERS) for name in environ if name not in (*AT_THE_START, "PYTHONWARNINGS"))


class Process:
    """A forked process, with what the tests use of :class:`subprocess.Popen`."""

    def __init__(self, server: Server, pid: int) -> None:
        self._server = server
        self.pid = pid

    @property
    def returncode(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self._server.codes.get(self.pid)

    def poll(self) -> int | None:
        """Return the exit code if it has ended by now."""
        return self._server.code_of(self.pid, 0)

    def wait(self, timeout: float = math.inf) -> int:
        """Wait for its end, and return the exit code."""
        code = self._server.code_of(self.pid, timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, if it runs."""
        self.send_signal(9)


class Server:
    """The process that forks, and reports when a process starts and ends."""

    def __init__(self, environ: Mapping[str, str], python: str) -> None:
        self._socket, theirs = socket.socketpair()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HEADROOM"))}
        isolated = [] if python == sys.executable else ["-I"]  # the program is what is installed there
        with theirs:
            self._process = subprocess.Popen(
                [python, *isolated, "-c", SERVER, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**inherited, **environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._lock = threading.Lock()
        self._received = b""
        self._started: list[int] = []
        self.codes: dict[int, int] = {}

    def start(self, job: Mapping[str, object]) -> Process:
        """Fork a process."""
        with self._lock:
            self._socket.sendall(json.dumps(job).encode() + b"\n")
            end_s = time.monotonic() + bound_s(60)
            while not self._started:
                if time.monotonic() > end_s:
                    self.close()
                    pytest.fail(f"{job['words']} did not start")
                self._receive(0.1)
            return Process(self, self._started.pop())

    def code_of(self, pid: int, within_s: float) -> int | None:
        """Return the exit code of a process; None if it does not end in time."""
        end_s = time.monotonic() + within_s
        while True:
            with self._lock:
                self._receive(0)
                if pid in self.codes or time.monotonic() >= end_s:
                    return self.codes.get(pid)
            select.select([self._socket], [], [], min(0.1, within_s))  # another thread may receive the answer

    def _receive(self, timeout_s: float) -> None:
        """Take what the server has reported within this time."""
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return
        data = self._socket.recv(65536)
        assert data, "the process that forks has ended"
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            pid, _, word = line.partition(b" ")
            if word == b"started":
                self.codes.pop(int(pid), None)  # a number that is used again
                self._started.append(int(pid))
            else:
                self.codes[int(pid)] = int(word)

    def run(self, job: Mapping[str, object]) -> int:
        """Run one command and return its exit code."""
        try:
            return self.start(job).wait(bound_s(180))
        except subprocess.TimeoutExpired:
            self.close()
            pytest.fail(f"{job['words']} did not exit")

    def close(self) -> None:
        """Stop the process and what it has forked."""
        server.cache_clear()
        self._socket.close()
        try:
            os.killpg(self._process.pid, 9)
        except ProcessLookupError:
            pass  # it has exited
        self._process.wait()


_MAKING = threading.Lock()


@functools.cache
def server(environ: tuple[tuple[str, str], ...] = (), python: str = sys.executable) -> Server:
    """Return the server of this test process for an environment at the start, and an interpreter."""
    made = Server(dict(environ), python)
    atexit.register(made.close)
    return made


def start(
    words: Iterable[str],
    *,
    environ: Mapping[str, str],
    streams: tuple[str | None, str | None, str | None] = (os.devnull, os.devnull, os.devnull),
    folder: Path | None = None,
    python: str = sys.executable,
) -> Process:
    """Start a command.

    Args:
        words: Its arguments.
        environ: Its whole environment.
        streams: The paths of its standard input, output and error; or ``CLOSED`` or ``UNREAD``.
        folder: Its working directory, if it is not that of the test.
        python: The interpreter in whose environment the program is installed.
    """
    return _server_for(environ, python).start(_job(words, environ, streams, folder))


def exit_code(
    words: Iterable[str],
    *,
    environ: Mapping[str, str],
    streams: tuple[str | None, str | None, str | None] = (os.devnull, os.devnull, os.devnull),
    folder: Path | None = None,
    python: str = sys.executable,
) -> int:
    """Run a command, with the arguments of :func:`start`, and return its exit code."""
    return _server_for(environ, python).run(_job(words, environ, streams, folder))


def _server_for(environ: Mapping[str, str], python: str) -> Server:
    own = (
        (name, environ[name])
        for name in AT_THE_START
        if environ.get(name, os.environ.get(name)) != os.environ.get(name)
    )
    with _MAKING:  # the cache does not keep two threads from making one each
        return server(tuple(own), python)


def _job(
    words: Iterable[str],
    environ: Mapping[str, str],
    streams: tuple[str | None, str | None, str | None],
    folder: Path | None,
) -> dict[str, object]:
    # os.umask changes the umask to return it, which another thread would notice
    (umask,) = re.findall(r"^Umask:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    cwd = os.getcwd() if folder is None else str(folder)
    return {"words": [*words], "environ": dict(environ), "streams": streams, "cwd": cwd, "umask": int(umask, 8)}


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


def completed(
    arguments: Iterable[object],
    environ: Mapping[str, str],
    folder: Path | None = None,
    python: str = sys.executable,
) -> subprocess.CompletedProcess[str]:
    """Run a command in this whole environment, in a directory; the result is that of :func:`subprocess.run`."""
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as outputs:
        out, err = Path(outputs, "out"), Path(outputs, "err")
        out.touch()
        err.touch()
        streams = (os.devnull, str(out), str(err))
        code = exit_code(words, environ=environ, streams=streams, folder=folder, python=python)
        return subprocess.CompletedProcess(["otel-logtail", *words], code, out.read_text(), err.read_text())


def ask(db: Path, *arguments: object, home: Path) -> Any:
    """Return the JSON answer of a command that reads a store."""
    return json.loads(run(*arguments, "--db", db, "--format", "json", home=home).stdout)
