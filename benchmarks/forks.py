"""The CPU time of a function in a process forked from this one, where all modules are imported already.

The start of an interpreter costs as much as reading 100,000 samples. Without it, short runs show the work itself.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

LIMIT_S = 300
"""A process that takes longer is killed by its alarm clock."""
SERVER_LIMIT_S = 3600
"""The same for one that serves others until it is stopped."""


class Fork:
    """A running function; ``stops``: it has no end, and a SIGTERM is not a failure."""

    def __init__(self, function: Callable[[], object], *, stops: bool = False) -> None:
        self._codes = (0, -signal.SIGTERM) if stops else (0,)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - cpu_s closes it
        self.pid = os.fork()
        if self.pid == 0:
            _child(function, self._errors.fileno(), SERVER_LIMIT_S if stops else LIMIT_S)

    def stop(self) -> None:
        """Send it SIGTERM."""
        os.kill(self.pid, signal.SIGTERM)

    def cpu_s(self) -> float:
        """Wait for its end; return its user and system time.

        Raises:
            RuntimeError: it failed.
        """
        _, status, usage = os.wait4(self.pid, 0)
        with self._errors:
            self._errors.seek(0)
            errors = self._errors.read().decode(errors="replace")
        code = os.waitstatus_to_exitcode(status)
        if code not in self._codes:
            raise RuntimeError(f"a measured process ended with {code}: {errors[-2000:]}")
        return usage.ru_utime + usage.ru_stime


def cpu_s(function: Callable[[], object]) -> float:
    """Run a function in a process of its own."""
    return Fork(function).cpu_s()


def import_what_it_imports(function: Callable[[], object]) -> None:
    """Run a function in a process of its own, and import here all that it imported."""
    reader, writer = os.pipe()

    def noted() -> None:
        before = set(sys.modules)
        try:
            function()
        finally:
            os.write(writer, "\n".join(set(sys.modules) - before).encode())

    fork = Fork(noted)
    os.close(writer)
    with os.fdopen(reader) as names:
        found = names.read().split()
    fork.cpu_s()
    for name in found:
        with suppress(ImportError):
            importlib.import_module(name)


def program(*arguments: object) -> Callable[[], object]:
    """Return a function that runs the command line with these arguments."""

    def run() -> None:
        from otel_logtail.cli.main import main

        sys.argv = ["otel-logtail", *map(str, arguments)]
        main()

    return run


def _child(function: Callable[[], object], errors: int, limit_s: int) -> NoReturn:
    """Run it without output and end the process."""
    code: object = 1
    try:
        signal.alarm(limit_s)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number, place in enumerate((nowhere, nowhere, errors)):
            os.dup2(place, number)
        for name in [name for name in os.environ if name.startswith("OTEL_")]:
            del os.environ[name]
        function()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001 - the parent has the exit code and the text
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
