"""`otel-logtail report`: figures on the terminal, as a page, and as an exit code."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import errors_as_exit, reader_may_leave, say, say_error
from otel_logtail.cli.options import Db, Since, Source, Until, open_reader
from otel_logtail.errors import LogtailError

if TYPE_CHECKING:
    from otel_logtail.report.data import Report


@errors_as_exit()
def report(
    db: Db = None,
    since: Since = "7d",
    until: Until = None,
    source: Source = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write the report as one self-contained page.")
    ] = None,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            "--slo",
            metavar="METRIC<LIMIT",
            help="A target: p99<500ms, max<=5s, stalls<5/day, episodes<=20, breaches<1%, stalled<0.5%."
            " Can be repeated; the exit code is 1 if one is missed.",
        ),
    ] = None,
) -> None:
    """Report percentiles, stalls, causes and SLOs."""
    from otel_logtail.report.data import gather
    from otel_logtail.report.page import page
    from otel_logtail.report.slo import parse_slo

    slos = [parse_slo(text) for text in slo or ()]
    with open_reader(db, since, until, source) as reader:
        gathered = gather(reader, slos)
    _print(gathered)
    if html is not None:
        _write(html, page(gathered, made_ns=time.time_ns()))
        say(f"written to {html}")
    if not gathered.summary.count:
        say("no samples in this range")
    if text := str(reader.damage):
        say_error(f"the store is damaged: {text}")
    if not all(verdict.is_met for verdict in gathered.verdicts):
        raise typer.Exit(1)


def _print(gathered: Report) -> None:
    from otel_logtail.cli.streams import encodable
    from otel_logtail.cli.tables import terminal_width
    from otel_logtail.report.text import lines

    with reader_may_leave():
        for line in lines(gathered, width=terminal_width(sys.stdout)):
            sys.stdout.write(encodable(line, sys.stdout) + "\n")


def _write(path: Path, text: str) -> None:
    from otel_logtail.ownfile import replace_own
    from otel_logtail.report.page import BEGINS

    try:
        replace_own(path, text.encode(), begins=BEGINS)
    except OSError as problem:
        raise LogtailError(
            f"cannot write --html {path}: {problem.strerror}",
            hint="pass a new file in a directory that you can write to",
        ) from None
