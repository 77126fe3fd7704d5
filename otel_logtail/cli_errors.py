"""How a command ends: an error is one line and a hint on stderr, a reader who has left is no error."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from otel_logtail.errors import LogtailError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What writing fails with where stdout is a file."""


@contextmanager
def errors_as_exit() -> Iterator[None]:
    """Turn what our errors say into lines on stderr and their exit code; end quietly when stdout is closed.

    It flushes stdout, so that a pipe which broke late is noticed here as well. Works as a decorator too.
    """
    try:
        yield
        sys.stdout.flush()
    except LogtailError as error:
        typer.echo(f"otel-logtail: error: {error}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:
        _let_go_of_stdout()
        raise typer.Exit(0) from None
    except OSError as problem:
        if problem.filename is not None or problem.errno not in _NO_ROOM:
            raise
        _let_go_of_stdout()
        typer.echo(f"otel-logtail: error: standard output can't be written: {problem.strerror}", err=True)
        raise typer.Exit(1) from None


def _let_go_of_stdout() -> None:
    """What is still buffered goes nowhere: else Python complains about the pipe again when it ends."""
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):
        return  # no file of the system's (a test's buffer): nothing to complain about later
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stdout)
    os.close(nowhere)
