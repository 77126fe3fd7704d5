"""The commands ``observers`` and ``exporters``, which list plug-ins."""

from __future__ import annotations

import sys

from otel_logtail.cli.errors import errors_as_exit
from otel_logtail.cli.options import Format, OutputFormat


@errors_as_exit()
def observers(form: OutputFormat = Format.TABLE) -> None:
    """List the available observers."""
    from otel_logtail.plugins import OBSERVERS

    _list(OBSERVERS, form)


@errors_as_exit()
def exporters(form: OutputFormat = Format.TABLE) -> None:
    """List the available exporters."""
    from otel_logtail.plugins import EXPORTERS

    _list(EXPORTERS, form)


def _list(group: str, form: Format) -> None:
    from otel_logtail.cli import answers
    from otel_logtail.plugins import Plugin, describe

    answers.write_records(sys.stdout, Plugin, describe(group), form.value)
