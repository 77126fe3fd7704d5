"""`otel-logtail doctor`: check an installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import logs_in_one_line, reader_may_leave, redact_logs
from otel_logtail.cli.options import Format, OutputFormat
from otel_logtail.cli.settings import flag
from otel_logtail.daemon.options import CONFIG, DB
from otel_logtail.option import Options

if TYPE_CHECKING:
    from otel_logtail.doctor import Check


def doctor(
    context: typer.Context,
    config: Annotated[Path | None, flag(CONFIG, variable=False)] = None,
    db: Annotated[str | None, flag(DB, variable=False)] = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Check logs, store, exporters and the machine.

    The exit code is 1 if a check fails. A running daemon is not disturbed. Pass the daemon's own options before the
    command. Without them, only the sources in the store are checked, and no receiver.

    Example: otel-logtail --observer headroom --otlp-endpoint http://localhost:4318 doctor
    """
    from otel_logtail.cli.follow import context_of_exporters
    from otel_logtail.daemon.merge import settings_of
    from otel_logtail.daemon.paths import home_directory
    from otel_logtail.doctor import Check, examine
    from otel_logtail.redact import Redactor, secrets_of

    given: Options = context.obj
    for option, value in ((CONFIG, config), (DB, db)):
        if value is not None:
            texts, places = {**given.options, option.name: str(value)}, {**given.places, option.name: option.flag}
            given = Options(given.environ, texts, places)
    settings = settings_of(given, without_source=True)
    redact = Redactor((*secrets_of(os.environ, (*sys.argv, *settings.values())), *settings.secrets()))
    redact_logs(redact)
    logs_in_one_line(redact)
    checks = examine(settings, context_of_exporters(), home_directory())
    if not _write((Check(c.level, c.area, redact(c.what), redact(c.todo)) for c in checks), form):
        raise typer.Exit(1)


def _write(checks: Iterator[Check], form: Format) -> bool:
    """Write checks, in a table each one as soon as it is done; return whether none failed."""
    from otel_logtail.cli.answers import write_records
    from otel_logtail.cli.tables import write_text
    from otel_logtail.doctor import Check

    done = []
    for check in checks:
        done.append(check)
        if form is Format.TABLE:
            todo = f"  \u2013 {check.todo}" if check.todo else ""
            with reader_may_leave():
                write_text(sys.stdout, f"{check.level:<4}  {check.area}: {check.what}{todo}", " " * 6)
    if form is not Format.TABLE:
        with reader_may_leave():
            write_records(sys.stdout, Check, done, form.value)
    return all(check.level != "FAIL" for check in done)
