"""The commands that list what there is: ``observers`` and ``exporters``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from otel_logtail.cli.errors import errors_as_exit
from otel_logtail.cli.query import Format

_Format = Annotated[Format, typer.Option("--format", help="How to write the answer.")]


@errors_as_exit()
def observers(form: _Format = Format.TABLE) -> None:
    """Whose logs can be followed: the names for --observer, and what each is."""
    from otel_logtail.plugins import OBSERVERS

    _list(OBSERVERS, form)


@errors_as_exit()
def exporters(form: _Format = Format.TABLE) -> None:
    """Where can be sent to: the names for --exporter, and what each is."""
    from otel_logtail.plugins import EXPORTERS

    _list(EXPORTERS, form)


def _list(group: str, form: Format) -> None:
    from otel_logtail.cli import tables
    from otel_logtail.plugins import Plugin, describe

    tables.write_rows(
        sys.stdout,
        tables.keys_of(Plugin),
        tables.structs(describe(group)),
        form.value,
        width=tables.terminal_width(sys.stdout),
    )
