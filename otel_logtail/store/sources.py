"""Sources: the settings and options of their last start, their counters, and when lines last had a problem.

All functions work inside the transaction of their caller.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from otel_logtail.model import SourceInfo, Tally
from otel_logtail.store.connection import one

_COUNTERS = ("bytes", "samples", "ignored", "drift", "oversized")


def save(db: sqlite3.Connection, info: SourceInfo, options: Mapping[str, str]) -> SourceInfo:
    """Add a source by its name, or give it the settings and options of this start; returns it with its id."""
    db.execute(
        "INSERT INTO source (name, observer, event, threshold_ns, stall_ns, quiet_ns) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET observer = excluded.observer, event = excluded.event,"
        " threshold_ns = excluded.threshold_ns, stall_ns = excluded.stall_ns, quiet_ns = excluded.quiet_ns",
        (info.name, info.observer, info.event, info.threshold_ns, info.stall_ns, info.quiet_ns),
    )
    id_ = int(one(db, "SELECT id FROM source WHERE name = ?", info.name))
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"options {id_}", msgspec.json.encode(options).decode()))
    return msgspec.structs.replace(info, id=id_)


def count(db: sqlite3.Connection, source: int, tallies: Sequence[Tally], now_ns: int) -> None:
    """Add to the counters of a source, and note its problems."""
    if not any(tally.bytes or tally.oversized for tally in tallies):
        return
    db.execute(
        f"UPDATE source SET {', '.join(f'{name} = {name} + ?' for name in _COUNTERS)} WHERE id = ?",
        (*(sum(getattr(tally, name) for tally in tallies) for name in _COUNTERS), source),
    )
    if problems := {name for tally in tallies for name in _COUNTERS[3:] if getattr(tally, name)}:
        _note_problems(db, source, problems, now_ns)
    rejected: Counter[str] = Counter()
    for tally in tallies:
        rejected.update(tally.rejected)
    if rejected:
        count_rejected(db, source, rejected, now_ns)


def count_rejected(db: sqlite3.Connection, source: int, rejected: Mapping[str, int], now_ns: int) -> None:
    """Count rejected lines of a source by reason."""
    _note_problems(db, source, [f"rejected {reason}" for reason in rejected], now_ns)
    db.executemany(
        "INSERT INTO rejected VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [(source, reason, number) for reason, number in rejected.items()],
    )


def _note_problems(db: sqlite3.Connection, source: int, problems: Iterable[str], now_ns: int) -> None:
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


def options(db: sqlite3.Connection, source: int) -> dict[str, str]:
    """Return the options of a source at its last start; empty if they are unknown or unreadable."""
    text = one(db, "SELECT value FROM meta WHERE key = ?", f"options {source}")
    try:
        return {} if text is None else msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError:
        return {}
