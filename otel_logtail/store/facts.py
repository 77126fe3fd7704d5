"""Facts about a source in the table ``meta``: its options at the last start, and when lines last had a problem.

All functions work inside the transaction of their caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from otel_logtail.store.connection import one


def note_problems(db: sqlite3.Connection, source: int, problems: Iterable[str], now_ns: int) -> None:
    """Note that lines of a source had problems now: ``drift``, ``oversized``, or the reason of a rejection."""
    db.executemany(
        "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(f"problem {source} {what}", str(now_ns)) for what in problems]
    )


def problems(db: sqlite3.Connection, source: int) -> dict[str, int]:
    """Return when lines of a source last had each problem. Those of an older otel-logtail have no time."""
    before = f"problem {source} "
    statement = "SELECT substr(key, ?), value FROM meta WHERE substr(key, 1, ?) = ?"
    rows = db.execute(statement, (len(before) + 1, len(before), before))
    return {what: int(value) for what, value in rows}


def note_options(db: sqlite3.Connection, source: int, options: Mapping[str, str]) -> None:
    """Note the options of a source at this start."""
    db.execute(
        "INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"options {source}", msgspec.json.encode(options).decode())
    )


def options(db: sqlite3.Connection, source: int) -> dict[str, str]:
    """Return the options of a source at its last start; empty if they are unknown or unreadable."""
    text = one(db, "SELECT value FROM meta WHERE key = ?", f"options {source}")
    try:
        return {} if text is None else msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError:
        return {}
