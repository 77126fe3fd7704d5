"""The schema: made new, or brought from any older version to this one, in one transaction each."""

from __future__ import annotations

import itertools
import sqlite3
import time
import uuid
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import msgspec

from otel_logtail.database import SCHEMA_VERSION, transaction
from otel_logtail.errors import StoreError
from otel_logtail.rows import encode_block

_BLOCK_SAMPLES = 1000
_stages = msgspec.json.Decoder(list[int | None]).decode


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty database, or bring an older store to this version; a step is whole or not made.

    Raises:
        StoreError: it was written by a newer otel-logtail, or is somebody else's database.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer otel-logtail (schema {version}; this one knows {SCHEMA_VERSION})",
            hint="upgrade otel-logtail, or name another store with --db",
        )
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not tables and not version:
        _create(connection)
        return
    if not version or not tables >= {"meta", "source", "file", "interval"}:
        raise StoreError(f"{path} is a SQLite database, but no store of otel-logtail", hint="name another with --db")
    # somebody's own views may name what a step makes anew: they are none of its business
    connection.execute("PRAGMA legacy_alter_table = ON")
    for step in range(version, SCHEMA_VERSION):
        with transaction(connection):
            _STEPS[step](connection)
            connection.execute(f"PRAGMA user_version = {step + 1}")
    connection.execute("PRAGMA legacy_alter_table = OFF")
    _give_pages_back(connection)


def _give_pages_back(connection: sqlite3.Connection) -> None:
    """Let an older store give back what is pruned: it has to be rewritten for that, once."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 2:
        return
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
    except sqlite3.OperationalError:
        pass  # no room for a second copy, or somebody reads: it works without, and the next start tries again


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that what is pruned is given back; only before a table
    # executescript runs outside of Python's transaction handling, so the script brings its own
    connection.executescript(
        f"BEGIN IMMEDIATE;\n{_schema()}\n"
        f"INSERT INTO meta VALUES ('instance', '{uuid.uuid4()}'), ('created_ns', '{time.time_ns()}');\n"
        f"PRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;"
    )


def _schema() -> str:
    return files("otel_logtail").joinpath("schema.sql").read_text()


def _statements(*names: str) -> list[str]:
    """The statements of schema.sql that make these tables, indices and views, as the newest version has them."""
    made: list[str] = []
    text = ""
    for line in _schema().splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            head = text[text.index("CREATE") :].split("(")[0].split()
            if head[2] in names or (head[1] == "INDEX" and head[-1] in names):
                made.append(text)
            text = ""
    return made


def _to_2(connection: sqlite3.Connection) -> None:
    """Samples go into blocks, breaches stand for themselves; exporters are watched, what is dropped is counted."""
    for view in ("samples", "episodes", "minutes"):
        connection.execute(f"DROP VIEW {view}")
    connection.execute("ALTER TABLE breach RENAME TO breach_1")
    connection.execute("DROP INDEX breach_span")
    for statement in _statements("block", "breach", "dropped", "samples", "episodes", "minutes"):
        connection.execute(statement)
    connection.execute("CREATE INDEX interval_end ON interval (end_ns)")
    connection.execute(
        "INSERT INTO breach SELECT b.id, b.source, s.id >> 40, s.id & 0xFFFFFFFFFF, b.uid, s.time_ns, s.duration_ns,"
        " s.kind, s.stages, b.trace_id, b.span_id FROM breach_1 AS b JOIN sample AS s ON s.id = b.sample"
    )
    # a table's AUTOINCREMENT goes on behind what was given, also where rows have left it
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'breach'")
    connection.execute("UPDATE sqlite_sequence SET name = 'breach' WHERE name = 'breach_1'")
    connection.execute("DROP TABLE breach_1")
    rows = connection.cursor().execute(
        "SELECT s.id, s.time_ns, s.duration_ns, s.kind, json(s.stages), k.source"
        " FROM sample AS s JOIN kind AS k ON k.id = s.kind ORDER BY s.id"
    )
    for (_, source), group in itertools.groupby(rows, key=lambda row: (row[0] >> 40, row[5])):
        while part := [row[:5] for row in itertools.islice(group, _BLOCK_SAMPLES)]:
            decoded = [(id_, t, d, k, _stages(stages)) for id_, t, d, k, stages in part]
            connection.execute("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)", encode_block(source, decoded))
    connection.execute("DROP TABLE sample")
    for column in (
        "failures INTEGER NOT NULL DEFAULT 0",
        "last_seen_ns INTEGER NOT NULL DEFAULT 0",
        "generation INTEGER NOT NULL DEFAULT 0",
    ):
        connection.execute(f"ALTER TABLE exporter ADD COLUMN {column}")
    connection.execute("ALTER TABLE file ADD COLUMN gone_ns INTEGER NOT NULL DEFAULT 0")
    connection.execute("UPDATE exporter SET last_seen_ns = ?", (time.time_ns(),))


def _to_3(connection: sqlite3.Connection) -> None:
    """What an exporter is not given, since it is too old to act on, is counted."""
    connection.execute("ALTER TABLE exporter ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0")


def _to_4(connection: sqlite3.Connection) -> None:
    """Open intervals are kept in the order in which they are sealed."""
    connection.execute("CREATE TEMP TABLE open_interval_3 AS SELECT * FROM open_interval")
    connection.execute("DROP TABLE open_interval")
    for statement in _statements("open_interval"):
        connection.execute(statement)
    connection.execute("INSERT INTO open_interval SELECT * FROM open_interval_3 ORDER BY end_ns, start_ns, series")
    connection.execute("DROP TABLE open_interval_3")


_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _to_2, 2: _to_3, 3: _to_4}
