"""Values that a shell completes: names of sources, observers and exporters, and columns of answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from otel_logtail.plugins import exporters, observers


def complete_observers(incomplete: str) -> list[str]:
    """Return the names of observers that start with a text."""
    return _starting(observers(), incomplete)


def complete_exporters(incomplete: str) -> list[str]:
    """Return the names of exporters that start with a text."""
    return _starting(exporters(), incomplete)


def complete_sources(ctx: Any, incomplete: str) -> list[str]:
    """Return the names of the sources in the store that start with a text; none if there is no store."""
    from otel_logtail.daemon.options import DB
    from otel_logtail.daemon.paths import default_db
    from otel_logtail.errors import LogtailError
    from otel_logtail.query import Reader
    from otel_logtail.query.reader import translated

    try:
        db = ctx.params.get("db")
        with Reader.open(DB.parse(db) if db else default_db()) as reader, translated():
            return _starting((name for (name,) in reader.conn.execute("SELECT name FROM source")), incomplete)
    except (LogtailError, OSError):
        return []


def complete_columns(ctx: Any, incomplete: str) -> list[str]:
    """Return the columns of a command's answer that start with a text, after a ``-`` if there is one."""
    from otel_logtail.query.schema import VIEWS

    view = "samples" if ctx.command.name == "samples" else "episodes"
    sign = "-" * incomplete.startswith("-")
    return [sign + name for name in _starting((name for name, _, _ in VIEWS[view]), incomplete.removeprefix("-"))]


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete) and name.isprintable())
