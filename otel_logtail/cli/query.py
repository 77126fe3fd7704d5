"""The commands that read: ``query samples|episodes|summary|stages|sql`` and ``status``.

Data goes to stdout, what there is to say about it to stderr. Imports that take time stand inside the commands, so that
``--help`` is fast.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import errors_as_exit, say, say_error
from otel_logtail.daemon.paths import default_db
from otel_logtail.errors import UsageError

if TYPE_CHECKING:
    import sqlite3

    from otel_logtail.model import Severity
    from otel_logtail.query import Damage

_TABLE_LIMIT = 50


class Format(str, Enum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class SeverityName(str, Enum):
    """The severities, as users write them."""

    OK = "ok"
    DEGRADED = "degraded"
    STALL = "stall"


_Db = Annotated[
    Path | None,
    typer.Option("--db", envvar="OTEL_LOGTAIL_DB", help="The store; default: the one in your state directory."),
]
_Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="From then on: 24h, 7d (ago), today, 2026-11-24T18:30, @seconds."),
]
_Until = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Up to then, likewise.")]
_Severities = Annotated[list[SeverityName] | None, typer.Option("--severity", help="Only these; may be repeated.")]
_Source = Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only this source.")]
_Limit = Annotated[
    int | None,
    typer.Option("--limit", min=0, help=f"The newest ones; 0: all. Default: {_TABLE_LIMIT} in a table, else all."),
]
_Format = Annotated[Format, typer.Option("--format", help="How to write the answer.")]

query_app = typer.Typer(name="query", help="Ask the store what the program's samples were like.", no_args_is_help=True)


@query_app.command()
@errors_as_exit()
def samples(
    db: _Db = None,
    since: _Since = None,
    until: _Until = None,
    severity: _Severities = None,
    source: _Source = None,
    limit: _Limit = None,
    form: _Format = Format.TABLE,
) -> None:
    """The newest samples, oldest first."""
    from otel_logtail import query
    from otel_logtail.cli import tables

    since_ns, until_ns = _range(since, until)
    damage = query.Damage()
    with _store(db) as conn:
        rows = query.samples(
            conn,
            since_ns=since_ns,
            until_ns=until_ns,
            severities=_severities(severity),
            source=source,
            limit=_limit(limit, form),
            damage=damage,
        )
        number = tables.write_rows(
            sys.stdout,
            tables.keys_of(query.SampleRow),
            tables.structs(rows),
            form.value,
            columns=tables.columns_of("samples"),
            width=tables.terminal_width(sys.stdout),
        )
    _tell("samples", number, since, until, limit, form)
    _end_with(damage)


@query_app.command()
@errors_as_exit()
def episodes(
    db: _Db = None,
    since: _Since = None,
    until: _Until = None,
    severity: _Severities = None,
    source: _Source = None,
    limit: _Limit = None,
    form: _Format = Format.TABLE,
) -> None:
    """The newest episodes that overlap the range, open ones too, oldest first."""
    from otel_logtail import query
    from otel_logtail.cli import tables

    since_ns, until_ns = _range(since, until)
    with _store(db) as conn:
        rows = query.episodes(
            conn,
            since_ns=since_ns,
            until_ns=until_ns,
            severities=_severities(severity),
            source=source,
            limit=_limit(limit, form),
        )
        number = tables.write_rows(
            sys.stdout,
            tables.keys_of(query.EpisodeRow),
            tables.structs(rows),
            form.value,
            columns=tables.columns_of("episodes"),
            width=tables.terminal_width(sys.stdout),
        )
    _tell("episodes", number, since, until, limit, form)


@query_app.command()
@errors_as_exit()
def summary(
    db: _Db = None,
    since: _Since = None,
    until: _Until = None,
    source: _Source = None,
    form: _Format = Format.TABLE,
) -> None:
    """Counts, percentiles (within 1 %) and stalls of the range."""
    from otel_logtail import query
    from otel_logtail.cli import tables

    since_ns, until_ns = _range(since, until)
    with _store(db) as conn:
        damage = query.Damage()
        answer = query.summary(conn, since_ns=since_ns, until_ns=until_ns, source=source, damage=damage)
    tables.write_summary(sys.stdout, answer, form.value, width=tables.terminal_width(sys.stdout))
    _tell("samples", answer.count, since, until)
    _end_with(damage)


@query_app.command()
@errors_as_exit()
def stages(
    db: _Db = None,
    since: _Since = None,
    until: _Until = None,
    source: _Source = None,
    form: _Format = Format.TABLE,
) -> None:
    """Counts and percentiles (within 1 %) of every stage, the one that took the most time first."""
    from otel_logtail import query
    from otel_logtail.cli import tables

    since_ns, until_ns = _range(since, until)
    with _store(db) as conn:
        damage = query.Damage()
        answer = query.stages(conn, since_ns=since_ns, until_ns=until_ns, source=source, damage=damage)
    number = tables.write_rows(
        sys.stdout,
        tables.keys_of(query.StageRow),
        tables.structs(answer),
        form.value,
        columns=tables.columns_of("stages"),
        width=tables.terminal_width(sys.stdout),
    )
    _tell("stages", number, since, until)
    _end_with(damage)


@query_app.command()
@errors_as_exit()
def sql(
    statement: Annotated[str, typer.Argument(help="One statement that reads: 'SELECT * FROM minutes'.")],
    db: _Db = None,
    form: _Format = Format.TABLE,
) -> None:
    """Anything else: SQL over the views samples, episodes and minutes. Nothing can be changed."""
    from otel_logtail import query
    from otel_logtail.cli import tables

    with _store(db) as conn:
        answer = query.sql(conn, statement)
        width = tables.terminal_width(sys.stdout)
        number = tables.write_rows(sys.stdout, answer.columns, answer.rows, form.value, width=width)
    _tell("rows", number, None, None)


@errors_as_exit()
def status(db: _Db = None, form: _Format = Format.TABLE) -> None:
    """What was read and delivered, what is still waiting, and what went wrong."""
    from otel_logtail import query
    from otel_logtail.cli import tables

    with _store(db) as conn:
        answer = query.status(conn, db or default_db())
    tables.write_status(sys.stdout, answer, form.value, width=tables.terminal_width(sys.stdout))


@contextmanager
def _store(db: Path | None) -> Iterator[sqlite3.Connection]:
    from otel_logtail import query

    conn = query.open_readonly(db or default_db())
    try:
        yield conn
    finally:
        conn.close()


def _end_with(damage: Damage) -> None:
    """An answer that is not whole is one all the same, but a script must be able to tell."""
    if text := str(damage):
        sys.stdout.flush()
        say_error(f"the store is damaged: {text}")
        raise typer.Exit(1)


def _range(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """The bounds in ns; both are told by one clock, so that ``--since 2h --until 1h`` is an hour."""
    from otel_logtail.query import parse_when

    now_ns = time.time_ns()
    since_ns = None if since is None else parse_when(since, now_ns, where="--since")
    until_ns = None if until is None else parse_when(until, now_ns, where="--until")
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise UsageError(f"--since {since} is not before --until {until}", hint="24h means 24 hours ago")
    return since_ns, until_ns


def _severities(names: list[SeverityName] | None) -> frozenset[Severity]:
    from otel_logtail.model import Severity

    return frozenset(Severity[name.name] for name in names or ())


def _limit(limit: int | None, form: Format) -> int:
    return limit if limit is not None else _TABLE_LIMIT if form is Format.TABLE else 0


def _tell(
    what: str, number: int, since: str | None, until: str | None, limit: int | None = 0, form: Format | None = None
) -> None:
    """Say on stderr what the answer can't: that it is empty, or that there may be more than a table shows unasked."""
    sys.stdout.flush()
    if not number:
        say(f"no {what} in this range" if since or until else f"no {what}")
    elif limit is None and form is Format.TABLE and number == _TABLE_LIMIT:
        say(f"the newest {number} {what}; --limit 0 shows all")
