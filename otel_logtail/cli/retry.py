"""`otel-logtail retry`: list quarantined items and send them again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import redactor, say
from otel_logtail.cli.options import Db, store_at
from otel_logtail.errors import UsageError

if TYPE_CHECKING:
    from otel_logtail.store.quarantine import Quarantined


def retry(
    exporter: Annotated[
        str, typer.Option("--exporter", metavar="NAME", help="Only items of this exporter, e.g. otlp. Default: all.")
    ] = "",
    list_: Annotated[bool, typer.Option("--list", help="List the quarantined items and change nothing.")] = False,
    db: Db = None,
) -> None:
    """Send quarantined items again.

    An item is quarantined if a receiver refuses it every time. A running daemon sends released items within 30 s;
    otherwise they are sent when the daemon starts next. Example: otel-logtail retry --list
    """
    path = store_at(db)
    items = _list(path, exporter)
    if not items:
        say("no items are quarantined")
    elif list_:
        say(f"{_items(len(items))} quarantined; `otel-logtail retry` sends them again")
    else:
        released = _release(path, exporter)
        say(f"{_items(released)} released: a running daemon sends them within 30 s, otherwise the next start does")


def _list(path: Path, exporter: str) -> Sequence[Quarantined]:
    from otel_logtail.cli.tables import write_text
    from otel_logtail.query import Reader
    from otel_logtail.store import quarantine
    from otel_logtail.store.connection import translated
    from otel_logtail.text import iso

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
        write_text(sys.stdout, redactor()(line))
    lost = sum(not item.sendable for item in items)
    if lost:
        say(f"{_items(lost)} quarantined by an older version, which did not keep them: not sent again")
    return items


def _release(path: Path, exporter: str) -> int:
    from contextlib import closing

    from otel_logtail.store import quarantine
    from otel_logtail.store.connection import connect, transaction, translated

    with translated(path), closing(connect(path)) as writer, transaction(writer):
        return quarantine.release(writer, exporter or None)


def _items(number: int) -> str:
    return f"{number} item" + ("" if number == 1 else "s")
