"""The command ``detect``: which observer reads a log, and the command to run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import reader_may_leave
from otel_logtail.cli.options import Format, OutputFormat

if TYPE_CHECKING:
    from otel_logtail.cli.observers.detection import Detected


def detect(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Logs, e.g. /var/log/haproxy.log.")],
    form: OutputFormat = Format.TABLE,
) -> None:
    """Find the observer that reads a log.

    Some lines of each log are read. A log can be compressed. The exit code is 1 if no observer fits.

    Example: otel-logtail detect /var/log/haproxy.log
    """
    from otel_logtail.cli import answers
    from otel_logtail.cli.observers.detection import Detected, detect
    from otel_logtail.cli.observers.excerpt import read_excerpt
    from otel_logtail.cli.tables import write_command, write_text

    found = [detect(read_excerpt(path)) for path in paths]
    with reader_may_leave():
        if form is Format.TABLE:
            for each in found:
                for line in _lines(each):
                    write_text(sys.stdout, line)
                if each.command:
                    write_command(sys.stdout, each.command)
        else:
            answers.write_records(sys.stdout, Detected, found, form.value)
    if not any(each.observer for each in found):
        raise typer.Exit(1)


def _lines(found: Detected) -> Iterator[str]:
    """Yield the lines about one log, for people."""
    if not found.observer:
        yield f"{found.path}: no observer finds a sample in {_count(found.lines, 'line')}"
        for name, todo in found.todo.items():
            yield f"  {name}: {todo}"
        yield f"  tried: {', '.join(found.tried)}"
        yield "  'otel-logtail observers show NAME' prints the log format that a program has to write"
        return
    yield f"{found.path}: {found.observer}, {_count(found.samples, 'sample')} in {_count(found.lines, 'line')}"
    if found.framing != "none":
        yield f"  the wrapper of each line ({found.framing}) is removed"
    if found.rejected or found.drift:
        yield f"  {_count(found.rejected, 'line')} rejected, {found.drift} of an unknown format"
    if found.needs_zone:
        yield "  the time stamps have no zone: add --timezone if it is not that of this machine"
    if found.others:
        yield f"  {', '.join(found.others)} can read it, too"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
