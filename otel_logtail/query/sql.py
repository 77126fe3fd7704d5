"""Answer ``query sql``: one statement of the user that reads."""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from tempfile import TemporaryFile

import msgspec

from otel_logtail.errors import UsageError, guess
from otel_logtail.query.reader import Reader
from otel_logtail.query.schema import VIEWS

_NAMES = " and ".join(", ".join(VIEWS).rsplit(", ", 1))
_HINT = f"the views are {_NAMES}; otel-logtail query schema lists their columns"
_IN_MEMORY = 10_000
"""The number of rows that are kept in memory; further rows wait in a temporary file."""

_READING_PRAGMAS = {
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "table_info",
    "table_list",
    "table_xinfo",
}
"""The statements ``PRAGMA name(argument)`` whose argument is the name of a table or an index."""


class SqlResult(msgspec.Struct, frozen=True):
    """Column names, made distinct where the statement repeats one, and the rows, read when they are taken."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[object, ...]]


def sql(reader: Reader, statement: str) -> SqlResult:
    """Run one statement that reads. BLOBs are returned as hexadecimal text.

    Raises:
        UsageError: SQLite rejects the statement, or it returns no rows.
    """
    reader.conn.set_authorizer(_deny_changes)
    with _sql_errors():
        cursor = reader.conn.execute(statement)
        if cursor.description is None:
            raise UsageError("the statement returns no rows", hint=f"only statements that read are allowed; {_HINT}")
        columns: list[str] = []
        for name, *_ in cursor.description:
            columns.append(name if name not in columns else f"{name}_{len(columns) + 1}")
    return SqlResult(tuple(columns), _rows(cursor))


def _rows(cursor: Iterable[Sequence[object]]) -> Iterator[tuple[object, ...]]:
    """Read all rows before the first one is returned, so that a slow consumer (a pager) holds no snapshot.

    If no temporary file can be created for rows that do not fit into memory, they are read as they are taken.
    """
    with _sql_errors():
        rows = (tuple(value.hex() if isinstance(value, bytes) else value for value in row) for row in cursor)
        first = list(itertools.islice(rows, _IN_MEMORY))
        try:
            spool = TemporaryFile() if len(first) == _IN_MEMORY else BytesIO()  # noqa: SIM115 - closed below
        except OSError:
            yield from first
            yield from rows
            return
        with spool:
            for row in rows:
                encoded = msgspec.msgpack.encode(row)
                spool.write(len(encoded).to_bytes(4, "big") + encoded)
            spool.seek(0)
            yield from first
            while size := spool.read(4):
                yield msgspec.msgpack.decode(spool.read(int.from_bytes(size, "big")), type=tuple[object, ...])


def _deny_changes(action: int, name: str | None, value: str | None, *_: str | None) -> int:
    """Deny what a read-only connection could change: another file (ATTACH, VACUUM INTO), and settings (PRAGMA)."""
    sets = action == sqlite3.SQLITE_PRAGMA and value is not None and (name or "").lower() not in _READING_PRAGMAS
    return sqlite3.SQLITE_DENY if sets or action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


@contextmanager
def _sql_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:  # Warning: two statements, under Python 3.10
        if str(error) == "not authorized":
            why = "the statement changes a setting or another file"
            raise UsageError(why, hint=f"only statements that read are allowed; {_HINT}") from None
        raise UsageError(f"sqlite: {error}", hint=f"{_guess(str(error))} {_HINT}".lstrip()) from None


def _guess(message: str) -> str:
    """Return the existing name that is closest to an unknown one in a message of SQLite, or nothing."""
    unknown = re.fullmatch(r"no such (table|column): (?:.*\.)?(.*)", message, re.DOTALL)
    if unknown is None:
        return ""
    columns = sorted({name for view in VIEWS.values() for name, _, _ in view})
    return guess(unknown[2].lower(), columns if unknown[1] == "column" else VIEWS)
