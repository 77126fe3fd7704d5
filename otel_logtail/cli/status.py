"""The command ``status``. Slow imports are inside it, so that ``--help`` is fast."""

from __future__ import annotations

import sys

from otel_logtail.cli.options import Db, Format, OutputFormat, open_reader


def status(db: Db = None, form: OutputFormat = Format.TABLE) -> None:
    """Show progress, deliveries, pending data and errors.

    Example: otel-logtail status
    """
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db) as reader:
        answer = query.status(reader)
    answers.write_status(sys.stdout, answer, form.value)
