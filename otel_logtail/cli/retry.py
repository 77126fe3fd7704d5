"""`otel-logtail retry`: list quarantined items and have them sent again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from otel_logtail.cli.errors import errors_as_exit, redactor, say
from otel_logtail.daemon.paths import default_db
from otel_logtail.errors import UsageError


@errors_as_exit()
def retry(
    exporter: Annotated[
        str, typer.Option("--exporter", metavar="NAME", help="Only items of this exporter, e.g. otlp. Default: all.")
    ] = "",
    list_: Annotated[bool, typer.Option("--list", help="List the quarantined items and change nothing.")] = False,
    db: Annotated[
        Path | None,
        typer.Option("--db", envvar="OTEL_LOGTAIL_DB", help="The store; default: the one in your state directory."),
    ] = None,
) -> None:
    """Send quarantined items again: those that a receiver kept refusing.

    A running daemon sends them within 30 s; otherwise they are sent when it starts next.
    """
    from otel_logtail.query import Reader
    from otel_logtail.store import quarantine
    from otel_logtail.store.connection import connect, transaction, translated
    from otel_logtail.text import iso, printable

    path = (db or default_db()).absolute()
    with Reader.open(path) as reader, translated(path):
        known = [name for (name,) in reader.conn.execute("SELECT name FROM exporter ORDER BY name")]
        if exporter and exporter not in known:
            raise UsageError(
                f"invalid --exporter '{exporter}': the store has no such exporter",
                hint=f"one of: {', '.join(known)}" if known else "no exporter was used with this store yet",
            )
        items = quarantine.listed(reader.conn, exporter or None)
    for item in items:
        line = f"{item.exporter}: {item.stream} {item.item} of {iso(item.about_ns)}: {item.why}"
        typer.echo(printable(redactor()(line)))
    unknown = sum(not item.sendable for item in items)
    if unknown:
        say(f"{_items(unknown)} quarantined by an older version, which did not keep them: not sent again")
    if not items:
        say("no items are quarantined")
    elif list_:
        say(f"{_items(len(items))} quarantined; `otel-logtail retry` sends them again")
    else:
        with translated(path), closing(connect(path)) as writer, transaction(writer):
            released = quarantine.release(writer, exporter or None)
        say(f"{_items(released)} released: a running daemon sends them within 30 s, otherwise the next start does")


def _items(number: int) -> str:
    return f"{number} item" + ("" if number == 1 else "s")
