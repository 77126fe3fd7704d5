"""The command ``exporters``, which lists plug-ins, and the list of any kind of plug-in."""

from __future__ import annotations

import sys

from otel_logtail.cli.options import Format, OutputFormat


def exporters(form: OutputFormat = Format.TABLE) -> None:
    """List the available exporters.

    Example: otel-logtail exporters
    """
    from otel_logtail.plugins import EXPORTERS

    list_plugins(EXPORTERS, form)


def list_plugins(group: str, form: Format) -> None:
    """Write the plug-ins of an entry point group."""
    from otel_logtail.cli import answers
    from otel_logtail.plugins import Plugin, describe

    answers.write_records(sys.stdout, Plugin, describe(group), form.value)
