"""The options that several commands share."""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.complete import complete_columns, complete_sources
from otel_logtail.cli.settings import flag
from otel_logtail.daemon.options import DB
from otel_logtail.daemon.paths import default_db
from otel_logtail.errors import UsageError

if TYPE_CHECKING:
    from otel_logtail.model import Severity
    from otel_logtail.query import Reader


class Format(str, Enum):
    """Output formats."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


SERVE_PORT = 4319
"""The port of ``report --serve`` if none is given."""

ROWS, OUTPUT = "Rows", "Output"
"""Panels of the help."""

TABLE_LIMIT = 50
"""The rows of a table if no limit is given."""

Db = Annotated[str | None, flag(DB)]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        help="Start, e.g. 24h or 7d (ago), today, 2026-11-24T18:30 or @seconds.",
        rich_help_panel=ROWS,
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="End, in the same formats.", rich_help_panel=ROWS)
]
Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="Only this source, e.g. headroom.",
        autocompletion=complete_sources,
        rich_help_panel=ROWS,
    ),
]
Slos = Annotated[
    list[str] | None,
    typer.Option(
        "--slo",
        metavar="METRIC<LIMIT",
        help="A target: p99<500ms, max<=5s, stalls<5/day, episodes<=20, breaches<1%, stalled<0.5%. Can be repeated.",
    ),
]
OutputFormat = Annotated[Format, typer.Option("--format", help="Output format.", rich_help_panel=OUTPUT)]


class SeverityName(str, Enum):
    """Severities, as users write them."""

    OK = "ok"
    DEGRADED = "degraded"
    STALL = "stall"


Severities = Annotated[
    list[SeverityName] | None,
    typer.Option("--severity", help="Only this severity; can be repeated.", rich_help_panel=ROWS),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        min=0,
        help=f"Number of rows; 0: all. Default: {TABLE_LIMIT} in a table, else all.",
        rich_help_panel=ROWS,
    ),
]
Where = Annotated[
    str,
    typer.Option(
        "--where",
        metavar="EXPRESSION",
        help="SQL that selects rows, e.g. 'duration_ms > 2000'.",
        show_default=False,
        rich_help_panel=ROWS,
    ),
]
Sort = Annotated[
    str,
    typer.Option(
        "--sort",
        metavar="COLUMN",
        help="Column to sort by; the largest first: -duration_ms.",
        show_default=False,
        autocompletion=complete_columns,
        rich_help_panel=ROWS,
    ),
]


def severities_of(names: list[SeverityName] | None) -> frozenset[Severity]:
    """Return the severities of the option --severity."""
    from otel_logtail.model import Severity

    return frozenset(Severity[name.name] for name in names or ())


def store_at(db: str | None) -> Path:
    """Return the absolute path of the store that --db names, or that of the default store.

    Raises:
        UsageError: the path is not valid.
    """
    return default_db() if db is None else DB.parse(db)


def open_reader(
    db: str | None, since: str | None = None, until: str | None = None, source: str | None = None
) -> Reader:
    """Open the store of the options --db, --since, --until and --source."""
    from otel_logtail.query import Reader
    from otel_logtail.text import parse_when

    now_ns = time.time_ns()  # one clock for both bounds: `--since 2h --until 1h` is exactly one hour
    since_ns = None if since is None else parse_when(since, now_ns, where="--since")
    until_ns = None if until is None else parse_when(until, now_ns, where="--until")
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise UsageError(f"--since {since} is not before --until {until}", hint="24h means 24 hours ago")
    return Reader.open(store_at(db), since_ns=since_ns, until_ns=until_ns, source=source)
