"""`otel-logtail mark`: add a point in time that may explain a change, such as a deployment."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import errors_as_exit, say
from otel_logtail.cli.options import Db, store_at
from otel_logtail.errors import LogtailError, UsageError

if TYPE_CHECKING:
    from otel_logtail.model import Mark


@errors_as_exit()
def mark(
    text: Annotated[str, typer.Argument(help="Name of the mark, e.g. 'upgrade 0.42'.")],
    when: Annotated[
        str, typer.Option("--time", metavar="WHEN", help="Its time: 2026-11-20T10:00, 90m (ago), @seconds.")
    ] = "now",
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Only for this source. Default: for all.")
    ] = None,
    db: Db = None,
) -> None:
    """Write a mark to the store, such as a deployment.

    Reports show marks, and what changed since the newest one. A running daemon exports the mark.

    Example: otel-logtail mark 'upgrade 0.42' --time 2026-11-20T10:00
    """
    from otel_logtail.model import Mark
    from otel_logtail.text import brief, local, parse_past

    time_ns = parse_past(when, time.time_ns(), where="--time")
    found = Mark(time_ns, brief(text))
    if not found.text:
        raise UsageError("the text of the mark is empty", hint="otel-logtail mark 'upgrade 0.42'")
    _add(store_at(db), found, source)
    say(f"marked {local(time_ns)}: {found.text}")


def _add(path: Path, found: Mark, source: str | None) -> None:
    """Write a mark, also beside a running daemon.

    Raises:
        UsageError: the store has no such source, or none at all.
        LogtailError: the hour of the mark has too many.
    """
    from contextlib import closing

    from otel_logtail.query import Reader
    from otel_logtail.store import marks
    from otel_logtail.store.connection import connect, transaction, translated

    with Reader.open(path, source=source) as reader:  # checks the store and the name of the source
        reader.source_id()
        has_sources = reader.conn.execute("SELECT 1 FROM source LIMIT 1").fetchone() is not None
    if not has_sources:
        raise UsageError(f"the store {path} has no source yet", hint="start the daemon first: it adds its sources")
    with translated(path), closing(connect(path)) as writer, transaction(writer):
        added = marks.add_by_hand(writer, found, source)
    if not added:
        raise LogtailError(
            f"not stored: the hour of this mark has {marks.MOST_PER_HOUR} marks", hint="choose another --time"
        )
