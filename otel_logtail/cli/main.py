"""The command line: arguments in, exit codes out. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from otel_logtail.cli.errors import ended, prepare_process
from otel_logtail.cli.start import given_plainly, start
from otel_logtail.errors import UsageError
from otel_logtail.installed import version

_USAGE = "Usage: otel-logtail [OPTIONS] COMMAND [ARGS]..."


def main() -> NoReturn:
    """Run the command of the console script; any exception becomes one line and an exit code."""
    prepare_process()
    try:
        code = _run(None if "_OTEL_LOGTAIL_COMPLETE" in os.environ else sys.argv[1:])
        sys.stdout.flush()
    except SystemExit as end:  # typer exits with 1 if the reader of --help is gone
        code = ended(end.__context__) if isinstance(end.__context__, BrokenPipeError) else end.code
    except BaseException as problem:  # noqa: BLE001 - each becomes one line
        code = ended(problem)
    sys.exit(code if isinstance(code, int) else 0)


def _run(words: Sequence[str] | None) -> Any:
    """Run the command that the arguments name; None: the program, for a shell that completes its arguments."""
    if words == ["--version"]:
        print(f"otel-logtail {version()}")
        return 0
    given = None if words is None else given_plainly(words)
    if given is None:
        from otel_logtail.cli.program import run  # takes as long as a run that reads a short log

        return run(words)
    try:
        return start(given)
    except UsageError as problem:
        return ended(problem, lambda: _USAGE)
