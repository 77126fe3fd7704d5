"""The schema: created, or migrated from any older version to this one, each step in one transaction."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path

from otel_logtail.errors import NotAStore, StoreError
from otel_logtail.store import migrations
from otel_logtail.store.connection import SCHEMA_VERSION, transaction

Step = Callable[[sqlite3.Connection], None]


def steps() -> dict[int, Step]:
    """Return the migrations by the version that each leads to."""
    found: dict[int, Step] = {}
    for file in Path(migrations.__path__[0]).iterdir():
        number, _, _ = file.name.partition("_")
        if not number.isdecimal():
            continue
        if file.name.endswith(".sql"):
            found[int(number)] = partial(run_script, file.read_text())
        elif file.name.endswith(".py"):
            module = import_module(f"{migrations.__name__}.{file.name.removesuffix('.py')}")
            found[int(number)] = module.migrate
    return dict(sorted(found.items()))


def run_script(script: str, connection: sqlite3.Connection) -> None:
    """Execute each statement of a script inside the transaction that is open: ``executescript`` would commit it."""
    for statement in _statements(script):
        connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def migrate(connection: sqlite3.Connection, path: Path, migrations_: Mapping[int, Step] | None = None) -> None:
    """Create the tables in an empty database, or migrate an older store. Each step is one transaction.

    Args:
        connection: The store, outside a transaction.
        path: Its path, for messages.
        migrations_: The steps by the version that each one leads to; if None, those of this package.

    Raises:
        StoreError: a newer otel-logtail wrote the store.
        NotAStore: the database is of another program.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer otel-logtail (schema {version}; this one has {SCHEMA_VERSION})",
            hint="upgrade otel-logtail, or name another store with --db",
        )
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not tables and not version:
        _create(connection)
        return
    if not version or not tables >= {"meta", "source", "file", "interval"}:
        raise NotAStore(path)
    # views of the user may name tables that a step creates again: they stay as they are
    connection.execute("PRAGMA legacy_alter_table = ON")
    for target, step in (steps() if migrations_ is None and version < SCHEMA_VERSION else migrations_ or {}).items():
        if target <= version:
            continue
        with transaction(connection):
            step(connection)
            if target >= SCHEMA_VERSION:
                _create_missing_views(connection)
            connection.execute(f"PRAGMA user_version = {target}")
    connection.execute("PRAGMA legacy_alter_table = OFF")
    _give_pages_back(connection)


def _create_missing_views(connection: sqlite3.Connection) -> None:
    """Create the views that the user deleted, or that a step deleted because they changed."""
    for statement in _statements(_schema()):
        _, create, view = statement.partition("CREATE VIEW ")
        if create:
            connection.execute(f"{create}IF NOT EXISTS {view}")


def _give_pages_back(connection: sqlite3.Connection) -> None:
    """Rewrite an older store once, so that it can give free pages back."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 2:
        return
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
    except sqlite3.OperationalError:
        pass  # no space for a second copy, or the store is being read: the next start tries again


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(
        "PRAGMA auto_vacuum = INCREMENTAL"
    )  # to give free pages back; only possible before the first table
    # executescript runs outside of Python's transaction handling, so the script brings its own
    connection.executescript(
        f"BEGIN IMMEDIATE;\n{_schema()}\n"
        f"INSERT INTO meta VALUES ('instance', '{uuid.uuid4()}'), ('created_ns', '{time.time_ns()}');\n"
        f"PRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;"
    )


def _schema() -> str:
    return Path(__file__).with_name("schema.sql").read_text()
