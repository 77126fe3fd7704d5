"""The commands that list what there is: ``observers`` and ``exporters``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from otel_logtail.cli_errors import errors_as_exit
from otel_logtail.cli_query import Format

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
    from otel_logtail import render
    from otel_logtail.plugins import Plugin, describe

    render.write_rows(
        sys.stdout,
        render.keys_of(Plugin),
        render.structs(describe(group)),
        form.value,
        width=render.terminal_width(sys.stdout),
    )
