"""`otel-logtail prune`, and how bounds on the store are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli_errors import errors_as_exit
from otel_logtail.errors import StoreError, UsageError
from otel_logtail.paths import default_db
from otel_logtail.sizes import parse_bytes

if TYPE_CHECKING:
    from otel_logtail.upkeep import Limits

DEFAULT_RETENTION = "30d"
DEFAULT_MAX_DB_SIZE = "1GiB"

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LEAST_BYTES = 1 << 20


def limits_of(retention: str, max_db_size: str) -> Limits:
    """The bounds that two options ask for.

    Raises:
        UsageError: one of them is no duration, or no size.
    """
    from otel_logtail.upkeep import Limits

    return Limits(_retention_ns(retention.strip().lower()), _max_bytes(max_db_size.strip().lower()))


def _retention_ns(text: str) -> int | None:
    if text == "none":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min|h|d|w)", text)
    ns = round(float(match[1]) * _SECONDS[match[2]] * 10**9) if match else 0
    if not 60 * 10**9 <= ns < 2**62:
        raise UsageError(f"--retention '{text}' is no duration of a minute or more", hint="write 30d, 12h, 2w or none")
    return ns


def _max_bytes(text: str) -> int | None:
    if text == "none":
        return None
    size = parse_bytes(text) or 0
    if not _LEAST_BYTES <= size < 2**62:
        raise UsageError(f"--max-db-size '{text}' is no size of 1 MiB or more", hint="write 1GiB, 500MB or none")
    return size


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
    from otel_logtail.health import size_on_disk
    from otel_logtail.reporter import Reporter
    from otel_logtail.store import Store
    from otel_logtail.when import iso

    limits = limits_of(retention, max_db_size)
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
    for drop in upkeep.dropped:
        span = f"{iso(drop.from_ns)} to {iso(drop.to_ns)}"
        typer.echo(f"{drop.exporter}: {drop.count} {drop.stream.value} of {span} left undelivered", err=True)
    typer.echo(f"{path}: {before} bytes before, {size_on_disk(path)} now", err=True)
