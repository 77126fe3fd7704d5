"""`otel-logtail prune`: let what is old leave the store now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from otel_logtail.cli.errors import errors_as_exit, say
from otel_logtail.daemon.paths import default_db
from otel_logtail.errors import StoreError

DEFAULT_RETENTION = "30d"
DEFAULT_MAX_DB_SIZE = "1GiB"


@errors_as_exit()
def prune(
    db: Annotated[
        Path | None,
        typer.Option("--db", envvar="OTEL_LOGTAIL_DB", help="The store; default: the one in your state directory."),
    ] = None,
    retention: Annotated[
        str,
        typer.Option(envvar="OTEL_LOGTAIL_RETENTION", metavar="DURATION", help="30d, 12h, or none (keep for ever)."),
    ] = DEFAULT_RETENTION,
    max_db_size: Annotated[
        str, typer.Option(envvar="OTEL_LOGTAIL_MAX_DB_SIZE", metavar="SIZE", help="1GiB, 500MB, or none.")
    ] = DEFAULT_MAX_DB_SIZE,
) -> None:
    """Let what is old leave the store now, as a running daemon does by itself; brings an older store up to date too.

    What an exporter has still to get stays, unless the size can't be held without it.
    """
    from otel_logtail.daemon.settings import max_bytes, retention_ns
    from otel_logtail.events import Reporter
    from otel_logtail.store.health import size_on_disk
    from otel_logtail.store.maintenance import Limits
    from otel_logtail.store.writer import Store
    from otel_logtail.text import iso

    limits = Limits(retention_ns(retention, "--retention"), max_bytes(max_db_size, "--max-db-size"))
    path = (db or default_db()).absolute()
    if not path.is_file():
        raise StoreError(f"no store at {path}", hint="name it with --db")
    before = size_on_disk(path)
    store = Store.open(path)
    if store.set_aside is not None:
        Reporter().store_set_aside(str(path), str(store.set_aside))
    try:
        upkeep = store.upkeep(limits, ())
        upkeep.run()
    finally:
        store.close()
    if upkeep.mended:
        Reporter().counts_mended("upkeep", upkeep.mended)
    for drop in upkeep.dropped:
        span = f"{iso(drop.from_ns)} to {iso(drop.to_ns)}"
        say(f"{drop.exporter}: {drop.count} {drop.stream.value} of {span} left undelivered")
    say(f"{path}: {before} bytes before, {size_on_disk(path)} now")
