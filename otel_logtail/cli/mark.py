"""`otel-logtail mark`: add or remove a point in time that may explain a change, such as a deployment."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import say
from otel_logtail.cli.options import Db, store_at
from otel_logtail.errors import LogtailError, UsageError

if TYPE_CHECKING:
    from otel_logtail.model import Mark
    from otel_logtail.store.marks import Removed

_SECOND_NS = 10**9


def mark(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Name of the mark, e.g. 'upgrade 0.42'.")],
    when: Annotated[
        str | None,
        typer.Option(
            "--time", metavar="WHEN", help="Time of the mark: 2026-11-20T10:00, 90m (ago) or @seconds. Default: now."
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Only this source, e.g. headroom. Default: all.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the mark with this text, and this --time if there are several.")
    ] = False,
    db: Db = None,
) -> None:
    """Write or remove a mark, such as a deployment.

    Reports show marks, and what changed since the newest one. A running daemon exports the mark.

    Example: otel-logtail mark 'upgrade 0.42' --time 2026-11-20T10:00
    """
    from otel_logtail.model import Mark
    from otel_logtail.text import brief, local, parse_past

    now_ns = time.time_ns()
    time_ns = None if when is None else parse_past(when, now_ns, where="--time")
    name = brief(text)
    if not name:
        raise UsageError("the text of the mark is empty", hint="otel-logtail mark 'upgrade 0.42'")
    if remove:
        _remove(store_at(db), name, time_ns, source)
        return
    found = Mark(now_ns if time_ns is None else time_ns, name)
    _add(store_at(db), found, source)
    say(f"marked {local(found.time_ns)}: {found.text}")


def _check(path: Path, source: str | None) -> None:
    """Check the store and the name of a source.

    Raises:
        UsageError: the store has no such source, or none at all.
    """
    from otel_logtail.query import Reader

    with Reader.open(path, source=source) as reader:
        reader.source_id()
        has_sources = reader.conn.execute("SELECT 1 FROM source LIMIT 1").fetchone() is not None
    if not has_sources:
        raise UsageError(f"the store {path} has no source yet", hint="start the daemon first: it adds its sources")


def _add(path: Path, found: Mark, source: str | None) -> None:
    """Write a mark, also beside a running daemon.

    Raises:
        UsageError: the store has no such source, or none at all.
        LogtailError: the hour of the mark has too many.
    """
    from contextlib import closing

    from otel_logtail.store import marks
    from otel_logtail.store.connection import connect, transaction, translated

    _check(path, source)
    with translated(path), closing(connect(path)) as writer, transaction(writer):
        added = marks.add_by_hand(writer, found, source)
    if not added:
        raise LogtailError(
            f"not stored: the hour of this mark has {marks.MOST_PER_HOUR} marks", hint="choose another --time"
        )


def _remove(path: Path, text: str, time_ns: int | None, source: str | None) -> None:
    """Remove a mark, and print which receivers have it.

    Raises:
        UsageError: there is no such mark, or there are several.
    """
    from contextlib import closing

    from otel_logtail.store import marks
    from otel_logtail.store.connection import connect, transaction, translated
    from otel_logtail.text import local

    _check(path, source)
    around = None if time_ns is None else _to_the_second(time_ns)
    with translated(path), closing(connect(path)) as writer, transaction(writer):
        found = marks.remove(writer, text, around, source)
        existing = marks.times_of(writer, text, source)
    if len(found.times_ns) != 1:
        raise _not_one(text, time_ns, found, existing)
    say(f"removed {local(found.times_ns[0])}: {text}")
    if found.sent_by:
        names = ", ".join(found.sent_by)
        say(f"may already have been sent by {names}: a receiver keeps the mark until you delete it there")


def _to_the_second(time_ns: int) -> tuple[int, int]:
    """Return the range of times that a user means who may have left out the fraction of a second."""
    return (time_ns, time_ns + (_SECOND_NS if time_ns % _SECOND_NS == 0 else 10**6))


def _not_one(text: str, time_ns: int | None, found: Removed, existing: tuple[int, ...]) -> UsageError:
    """Return the error of a text that no mark has, none at this time, or marks at several times."""
    from otel_logtail.text import iso

    if not existing:
        return UsageError(f"no such mark: '{text}'", hint="otel-logtail query marks lists all of them")
    times = " or ".join(map(iso, (found.times_ns or existing)[-5:]))
    if time_ns is not None and not found.times_ns:
        return UsageError(f"no mark '{text}' at {iso(time_ns)}", hint=f"use a time that exists: --time {times}")
    return UsageError(
        f"{len(found.times_ns)} marks have the text '{text}'", hint=f"add the time of one of them: --time {times}"
    )
