"""The commands of ``query``, which read the store.

Answers go to stdout, notes about them to stderr. Slow imports are inside the commands, so that ``--help`` is fast.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import say, say_error
from otel_logtail.cli.options import (
    ROWS,
    TABLE_LIMIT,
    Db,
    Format,
    Limit,
    OutputFormat,
    Severities,
    Since,
    Sort,
    Source,
    Until,
    Where,
    open_reader,
    severities_of,
)

if TYPE_CHECKING:
    import msgspec

    from otel_logtail.cli.tables import Column
    from otel_logtail.query import Damage

query_app = typer.Typer(
    name="query",
    help="Query the samples and episodes in the store.\n\nExample: otel-logtail query slowest --since 24h",
)


@query_app.command()
def samples(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    severity: Severities = None,
    source: Source = None,
    where: Where = "",
    sort: Sort = "",
    limit: Limit = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show the newest samples, oldest first.

    Example: otel-logtail query samples --since 1h --where "cause = 'wait'" --sort -duration_ms
    """
    from otel_logtail import query
    from otel_logtail.cli import answers

    asked = _Asked(query.SampleRow, where, sort, limit, form)
    with open_reader(db, since, until, source) as reader:
        rows = query.samples(reader, severities=severities_of(severity), limit=asked.newest, keep=asked.keep)
        number = asked.write(rows, answers.SAMPLE_COLUMNS)
    _note("samples", number, asked.cut, ranged=bool(since or until), where=where)
    _exit_if_damaged(reader.damage)


@query_app.command()
def slowest(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    source: Source = None,
    where: Where = "",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="Number of rows; 0: all.", rich_help_panel=ROWS)
    ] = 20,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show the slowest samples, with their stages and traces.

    Samples below the threshold of their source do not count. Example: otel-logtail query slowest --since 24h
    """
    from otel_logtail import query
    from otel_logtail.cli import answers

    selection = query.Selection(query.SlowestRow, where=where)
    with open_reader(db, since, until, source) as reader:
        rows = query.slowest(reader, limit=limit, keep=selection.keep)
        number = answers.write_records(sys.stdout, query.SlowestRow, rows, form.value, answers.SLOW_COLUMNS)
    _note("slow samples", number, ranged=bool(since or until), where=where)


@query_app.command()
def episodes(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    severity: Severities = None,
    source: Source = None,
    where: Where = "",
    sort: Sort = "",
    limit: Limit = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show the newest episodes in the range, oldest first.

    Example: otel-logtail query episodes --since 7d --sort -peak_ms --limit 10
    """
    from otel_logtail import query
    from otel_logtail.cli import answers

    asked = _Asked(query.EpisodeRow, where, sort, limit, form)
    with open_reader(db, since, until, source) as reader:
        rows = query.episodes(reader, severities=severities_of(severity), limit=asked.newest, keep=asked.keep)
        number = asked.write(rows, answers.EPISODE_COLUMNS)
    _note("episodes", number, asked.cut, ranged=bool(since or until), where=where)


@query_app.command()
def stalls(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    source: Source = None,
    where: Where = "",
    sort: Sort = "",
    limit: Limit = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show the newest episodes with a stall, oldest first.

    Example: otel-logtail query stalls --since 24h --sort -duration_ms
    """
    from otel_logtail import query
    from otel_logtail.cli import answers
    from otel_logtail.model import Severity

    asked = _Asked(query.EpisodeRow, where, sort, limit, form)
    with open_reader(db, since, until, source) as reader:
        rows = query.episodes(reader, severities={Severity.STALL}, limit=asked.newest, keep=asked.keep)
        number = asked.write(rows, answers.EPISODE_COLUMNS)
    _note("stalls", number, asked.cut, ranged=bool(since or until), where=where)


@query_app.command()
def marks(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    source: Source = None,
    where: Where = "",
    sort: Sort = "",
    limit: Limit = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show the newest marks in the range, oldest first.

    Example: otel-logtail query marks --since 30d
    """
    from otel_logtail import query
    from otel_logtail.cli import answers

    asked = _Asked(query.MarkRow, where, sort, limit, form)
    with open_reader(db, since, until, source) as reader:
        number = asked.write(query.marks(reader, limit=asked.newest, keep=asked.keep), answers.MARK_COLUMNS)
    _note("marks", number, asked.cut, ranged=bool(since or until), where=where)


@query_app.command()
def summary(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    source: Source = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show counts, percentiles (within 1 %) and stalls.

    Example: otel-logtail query summary --since 24h
    """
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db, since, until, source) as reader:
        answer = query.summary(reader)
    answers.write_summary(sys.stdout, answer, form.value)
    _note("samples", answer.count, ranged=bool(since or until))
    _exit_if_damaged(reader.damage)


@query_app.command()
def stages(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    source: Source = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show counts and percentiles (within 1 %) of each stage.

    Example: otel-logtail query stages --since 24h
    """
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db, since, until, source) as reader:
        answer = query.stages(reader)
    number = answers.write_records(sys.stdout, query.StageRow, answer, form.value, answers.STAGE_COLUMNS)
    _note("stages", number, ranged=bool(since or until))
    _exit_if_damaged(reader.damage)


@query_app.command()
def sql(
    statement: Annotated[
        str, typer.Argument(metavar="STATEMENT", help="One statement that reads, e.g. 'SELECT * FROM minutes'.")
    ],
    db: Db = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Run SQL on the views of the store.

    'otel-logtail query schema' lists the views and their columns.

    Example: otel-logtail query sql 'SELECT * FROM minutes'
    """
    from otel_logtail import query
    from otel_logtail.cli import answers

    with open_reader(db) as reader:
        answer = query.sql(reader, statement)
        number = answers.write_rows(sys.stdout, answer.columns, answer.rows, form.value)
    _note("rows", number)


@query_app.command()
def schema(form: OutputFormat = Format.TABLE) -> None:
    """List the views for SQL, their columns and units.

    Example: otel-logtail query schema
    """
    from otel_logtail import query
    from otel_logtail.cli import answers

    answers.write_records(sys.stdout, query.ColumnRow, query.schema(), form.value, answers.SCHEMA_COLUMNS)


class _Asked:
    """The rows that are selected, and the form in which they are written."""

    def __init__(self, kind: type[msgspec.Struct], where: str, sort: str, limit: int | None, form: Format) -> None:
        from otel_logtail.query import Selection

        shown = limit if limit is not None else TABLE_LIMIT if form is Format.TABLE else 0
        self._kind, self._form = kind, form
        self._selection = Selection(kind, where=where, sort=sort, limit=shown)
        self.newest, self.keep = self._selection.newest, self._selection.keep
        self.cut = "" if limit is not None or not shown else "first" if sort else "newest"

    def write(self, rows: Iterator[msgspec.Struct], columns: Sequence[Column]) -> int:
        from otel_logtail.cli.answers import write_records

        return write_records(sys.stdout, self._kind, self._selection.ordered(rows), self._form.value, columns)


def _note(noun: str, number: int, cut: str = "", *, ranged: bool = False, where: str = "") -> None:
    """Log on stderr that an answer is empty, or that the default limit may have cut it to the ``cut`` rows."""
    sys.stdout.flush()
    if not number:
        say(f"no {noun}{' in this range' if ranged else ''}{' match --where' if where else ''}")
    elif cut and number == TABLE_LIMIT:
        say(f"the {cut} {number} {noun}; --limit 0 shows all")


def _exit_if_damaged(damage: Damage) -> None:
    """Exit with 1 after an incomplete answer, so that scripts can detect it."""
    if text := str(damage):
        sys.stdout.flush()
        say_error(f"the store is damaged: {text}")
        raise typer.Exit(1)
