"""The commands of `otel-logtail observers`; without one of them, the list."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from otel_logtail.cli.complete import complete_observers
from otel_logtail.cli.exporters import list_plugins
from otel_logtail.cli.options import Format, OutputFormat

observers_app = typer.Typer(
    name="observers",
    help="List the available observers, show one, or write one.\n\nExample: otel-logtail observers show nginx",
    invoke_without_command=True,
)


@observers_app.callback()
def observers(context: typer.Context, form: OutputFormat = Format.TABLE) -> None:
    """List the available observers, show one, or write one."""
    from otel_logtail.plugins import OBSERVERS

    if context.invoked_subcommand is None:
        list_plugins(OBSERVERS, form)


@observers_app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Observer, e.g. headroom or ./acme.py:Acme.", autocompletion=complete_observers
        ),
    ],
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show an observer, its options and the log format to set.

    Example: otel-logtail observers show headroom
    """
    from otel_logtail.cli.observers.show import described, write_description

    write_description(sys.stdout, described(name), form.value)


@observers_app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the program, e.g. acme.")],
    sample: Annotated[
        Path, typer.Option("--sample", metavar="PATH", help="Log with real lines of the program, e.g. app.log.")
    ],
) -> None:
    """Write an observer and its test, from lines of a log.

    Both files appear in the current folder. Example: otel-logtail observers new acme --sample app.log
    """
    from otel_logtail.cli.observers.excerpt import read_excerpt
    from otel_logtail.cli.observers.new import write_observer
    from otel_logtail.cli.tables import write_command, write_text

    excerpt = read_excerpt(sample)
    written = write_observer(name, excerpt, Path())
    out = sys.stdout
    found = f"finds {_number(written.samples, 'sample')} in {_number(len(excerpt.lines), 'line')} of {sample}"
    write_text(out, f"wrote {written.observer}: {found}")
    write_text(out, f"wrote {written.test}: its test")
    if written.is_unit_guessed:
        write_text(out, "the log does not name the unit of the durations: check UNIT_NS")
    if written.needs_no_framing:
        write_text(out, "the time stamps look like those of syslog: --framing none keeps them")
    if written.needs_zone:
        write_text(out, "the time stamps have no zone: pass --timezone if it is not that of this machine")
    command = [
        "otel-logtail",
        "--observer",
        f"./{written.observer}:{written.class_name}",
        "--path",
        str(sample),
        *(["--framing", "none"] if written.needs_no_framing else []),
        "--once",
    ]
    write_text(out, "next: decide what TODO marks, then run")
    write_command(out, f"pytest {written.test}")
    write_command(out, shlex.join(command))


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
