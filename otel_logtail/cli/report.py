"""`otel-logtail report`: can I tolerate this? On the terminal, as one page, and as an exit code."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from otel_logtail.cli.errors import errors_as_exit, reader_may_leave, say, say_error
from otel_logtail.daemon.paths import default_db
from otel_logtail.errors import LogtailError, UsageError


@errors_as_exit()
def report(
    db: Annotated[
        Path | None,
        typer.Option("--db", envvar="OTEL_LOGTAIL_DB", help="The store; default: the one in your state directory."),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="From then on: 24h, 7d (ago), 2026-11-24T18:30, @seconds.")
    ] = "7d",
    until: Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Up to then, likewise.")] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only this source.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as one self-contained page, too.")
    ] = None,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            "--slo",
            metavar="WHAT<HOW MUCH",
            help="What can be tolerated: p99<500ms, max<=5s, stalls<5/day, episodes<=20, breaches<1%, stalled<0.5%."
            " May be repeated; the exit code is 1 when one is missed.",
        ),
    ] = None,
) -> None:
    """Percentiles, histogram, stalls by hour or day, causes, worst episodes; what was tolerable and what was not."""
    from otel_logtail import query
    from otel_logtail.cli import tables
    from otel_logtail.report.data import gather
    from otel_logtail.report.page import page
    from otel_logtail.report.slo import parse_slo
    from otel_logtail.report.text import lines

    slos = [parse_slo(text) for text in slo or ()]
    now_ns = time.time_ns()
    since_ns = query.parse_when(since, now_ns, where="--since")
    until_ns = None if until is None else query.parse_when(until, now_ns, where="--until")
    if until_ns is not None and since_ns >= until_ns:
        raise UsageError(f"--since {since} is not before --until {until}", hint="24h means 24 hours ago")
    damage = query.Damage()
    conn = query.open_readonly(db or default_db())
    try:
        found = gather(conn, since_ns=since_ns, until_ns=until_ns, source=source, slos=slos, damage=damage)
    finally:
        conn.close()
    with reader_may_leave():
        for line in lines(found, width=tables.terminal_width(sys.stdout)):
            sys.stdout.write(tables.encodable(line, sys.stdout) + "\n")
    if html is not None:
        _write(html, page(found, made_ns=now_ns))
        say(f"written to {html}")
    if not found.summary.count:
        say("no samples in this range")
    if text := str(damage):
        say_error(f"the store is damaged: {text}")
    if not all(verdict.kept for verdict in found.verdicts):
        raise typer.Exit(1)


def _write(path: Path, text: str) -> None:
    from otel_logtail.ownfile import replace_own
    from otel_logtail.report.page import BEGINS

    try:
        replace_own(path, text.encode(), begins=BEGINS)
    except OSError as problem:
        raise LogtailError(
            f"--html {path} can't be written: {problem.strerror}",
            hint="name a new file in a directory that you may write to",
        ) from None
