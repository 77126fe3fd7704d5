"""`otel-logtail prune`: delete expired data now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import say
from otel_logtail.cli.options import Db, store_at
from otel_logtail.cli.settings import flag
from otel_logtail.cli.start import given_by
from otel_logtail.daemon.options import MAX_DB_SIZE, RETENTION
from otel_logtail.errors import NotAStore, StoreCorrupt, StoreError

if TYPE_CHECKING:
    from otel_logtail.store.maintenance import Limits


def prune(
    context: typer.Context,
    db: Db = None,
    retention: Annotated[str, flag(RETENTION)] = RETENTION.default,
    max_db_size: Annotated[str, flag(MAX_DB_SIZE)] = MAX_DB_SIZE.default,
) -> None:
    """Delete expired data from the store now.

    A running daemon does this by itself. A store of an older version is migrated. Data that an exporter has not
    received is kept unless --max-db-size cannot be met without deleting it. Example: otel-logtail prune --retention 7d
    """
    from otel_logtail.store.health import size_on_disk
    from otel_logtail.store.maintenance import Limits

    given = given_by(context)
    limits = Limits(given.require(RETENTION) or None, given.require(MAX_DB_SIZE) or None)
    path = store_at(db)
    if not path.is_file():
        raise StoreError(f"no store at {path}", hint="pass the store with --db")
    _check(path)
    before = size_on_disk(path)
    _prune(path, limits)
    say(f"{path}: {before} bytes before, {size_on_disk(path)} now")


def _check(path: Path) -> None:
    """Refuse a file of another program, which would be moved away like a damaged store.

    Raises:
        NotAStore: the file is a database of another program.
        StoreCorrupt: the file is not a store, and no store was opened at its path before.
    """
    from otel_logtail.query import Reader
    from otel_logtail.store.lock import was_opened

    try:
        with Reader.open(path, traceless=True):
            pass
    except NotAStore:
        raise
    except StoreCorrupt:
        if not was_opened(path.resolve()):
            raise
    except StoreError:
        pass  # an older store is migrated; any other error is found again when the store is opened


def _prune(path: Path, limits: Limits) -> None:
    from otel_logtail.events import Reporter
    from otel_logtail.store.writer import Store
    from otel_logtail.text import iso

    with Store.open(path) as store:
        if store.set_aside is not None:
            Reporter().store_set_aside(str(path), str(store.set_aside))
        done = store.maintenance(limits, ()).run()
    Reporter().counts_damaged("maintenance", done.repaired.kept, done.repaired.lost)
    for drop in done.dropped:
        span = f"{iso(drop.from_ns)} to {iso(drop.to_ns)}"
        say(f"{drop.exporter}: deleted {drop.count} undelivered {drop.stream.value}, {span}")
