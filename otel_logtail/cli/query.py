"""The commands that read the store: ``query samples|episodes|marks|summary|stages|sql`` and ``status``.

Answers go to stdout, notes about them to stderr. Slow imports are inside the commands, so that ``--help`` is fast.
"""

from __future__ import annotations

import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import errors_as_exit, say, say_error
from otel_logtail.cli.options import Db, Format, OutputFormat, Since, Source, Until, open_reader

if TYPE_CHECKING:
    from otel_logtail.model import Severity
    from otel_logtail.query import Damage

_TABLE_LIMIT = 50


class SeverityName(str, Enum):
    """Severities, as users write them."""

    OK = "ok"
    DEGRADED = "degraded"
    STALL = "stall"


_Severities = Annotated[
    list[SeverityName] | None, typer.Option("--severity", help="Only this severity; can be repeated.")
]
_Limit = Annotated[
    int | None,
    typer.Option("--limit", min=0, help=f"Only the newest N; 0: all. Default: {_TABLE_LIMIT} in a table, else 0."),
]

query_app = typer.Typer(name="query", help="Query the samples and episodes in the store.", no_args_is_help=True)


@query_app.command()
@errors_as_exit()
def samples(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    severity: _Severities = None,
    source: Source = None,
    limit: _Limit = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show the newest samples, oldest first."""
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db, since, until, source) as reader:
        rows = query.samples(reader, severities=_severities(severity), limit=_limit(limit, form))
        number = answers.write_records(sys.stdout, query.SampleRow, rows, form.value, answers.sample_columns())
    _note("samples", number, limited=limit is None and form is Format.TABLE, ranged=bool(since or until))
    _exit_if_damaged(reader.damage)


@query_app.command()
@errors_as_exit()
def episodes(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    severity: _Severities = None,
    source: Source = None,
    limit: _Limit = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show the newest episodes in the range, oldest first."""
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db, since, until, source) as reader:
        rows = query.episodes(reader, severities=_severities(severity), limit=_limit(limit, form))
        number = answers.write_records(sys.stdout, query.EpisodeRow, rows, form.value, answers.episode_columns())
    _note("episodes", number, limited=limit is None and form is Format.TABLE, ranged=bool(since or until))


@query_app.command()
@errors_as_exit()
def marks(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    source: Source = None,
    limit: _Limit = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show the newest marks in the range, oldest first."""
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db, since, until, source) as reader:
        rows = query.marks(reader, limit=_limit(limit, form))
        number = answers.write_records(sys.stdout, query.MarkRow, rows, form.value, answers.mark_columns())
    _note("marks", number, limited=limit is None and form is Format.TABLE, ranged=bool(since or until))


@query_app.command()
@errors_as_exit()
def summary(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    source: Source = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show counts, percentiles (within 1 %) and stalls."""
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db, since, until, source) as reader:
        answer = query.summary(reader)
    answers.write_summary(sys.stdout, answer, form.value)
    _note("samples", answer.count, ranged=bool(since or until))
    _exit_if_damaged(reader.damage)


@query_app.command()
@errors_as_exit()
def stages(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    source: Source = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show counts and percentiles (within 1 %) of each stage."""
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db, since, until, source) as reader:
        answer = query.stages(reader)
    number = answers.write_records(sys.stdout, query.StageRow, answer, form.value, answers.STAGE_COLUMNS)
    _note("stages", number, ranged=bool(since or until))
    _exit_if_damaged(reader.damage)


@query_app.command()
@errors_as_exit()
def sql(
    statement: Annotated[str, typer.Argument(help="One statement that reads, e.g. 'SELECT * FROM minutes'.")],
    db: Db = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Run SQL on the views samples, breaches, episodes, minutes."""
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db) as reader:
        answer = query.sql(reader, statement)
        number = answers.write_rows(sys.stdout, answer.columns, answer.rows, form.value)
    _note("rows", number)


@errors_as_exit()
def status(db: Db = None, form: OutputFormat = Format.TABLE) -> None:
    """Show progress, deliveries, pending data and errors."""
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db) as reader:
        answer = query.status(reader)
    answers.write_status(sys.stdout, answer, form.value)


def _severities(names: list[SeverityName] | None) -> frozenset[Severity]:
    from otel_logtail.model import Severity

    return frozenset(Severity[name.name] for name in names or ())


def _limit(limit: int | None, form: Format) -> int:
    return limit if limit is not None else _TABLE_LIMIT if form is Format.TABLE else 0


def _note(noun: str, number: int, *, limited: bool = False, ranged: bool = False) -> None:
    """Log on stderr that an answer is empty, or that the default limit may have cut it."""
    sys.stdout.flush()
    if not number:
        say(f"no {noun} in this range" if ranged else f"no {noun}")
    elif limited and number == _TABLE_LIMIT:
        say(f"the newest {number} {noun}; --limit 0 shows all")


def _exit_if_damaged(damage: Damage) -> None:
    """Exit with 1 after an incomplete answer, so that scripts can detect it."""
    if text := str(damage):
        sys.stdout.flush()
        say_error(f"the store is damaged: {text}")
        raise typer.Exit(1)
