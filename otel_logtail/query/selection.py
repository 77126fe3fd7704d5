"""The rows of an answer that are shown, and their order: a condition, a column to sort by, and a limit."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any, TypeVar

import msgspec

from otel_logtail.errors import invalid
from otel_logtail.query.condition import Condition, as_sql, unknown_column

Record = TypeVar("Record", bound=msgspec.Struct)

Keep = Callable[[msgspec.Struct], bool]
"""The test whether a row is selected."""

SORT = "--sort"


class Selection:
    """The rows of an answer that are shown.

    Args:
        kind: The kind of the rows; its fields are the columns.
        where: An SQL expression over the columns; empty: every row.
        sort: A column, or ``-`` and a column for the largest values first; empty: the order of the answer.
        limit: The maximum number of rows: the first ones in the order of ``sort``, else the last ones; 0: all.

    Raises:
        UsageError: ``where`` is not an expression, or ``sort`` is not a column.
    """

    def __init__(self, kind: type[msgspec.Struct], *, where: str = "", sort: str = "", limit: int = 0) -> None:
        columns = kind.__struct_encode_fields__
        self._kind = kind
        self._condition = Condition(where, columns) if where else None
        self._is_descending = sort.startswith("-")
        self._sort = sort.removeprefix("-")
        self._limit = limit
        if sort == "-":
            raise invalid(SORT, sort, "the column is missing", f"columns: {', '.join(columns)}")
        if self._sort and self._sort not in columns:
            raise unknown_column(SORT, sort, self._sort, columns)

    @property
    def keep(self) -> Keep | None:
        """The test whether a row is selected; None: every row is."""
        return None if self._condition is None else self._condition.holds

    @property
    def newest(self) -> int:
        """The number of the newest selected rows that are needed; 0: all."""
        return 0 if self._sort else self._limit

    def ordered(self, rows: Iterator[Record]) -> Iterator[Record]:
        """Return the selected rows, read with ``keep`` and ``newest``, in their order."""
        if not self._sort:
            return rows
        if not self._limit:
            return self._sorted(rows)
        select = heapq.nlargest if self._is_descending else heapq.nsmallest
        return iter(select(self._limit, rows, key=lambda row: _comparable(self._key(row))))

    def _key(self, row: msgspec.Struct) -> Any:
        return as_sql(msgspec.structs.astuple(row)[self._kind.__struct_encode_fields__.index(self._sort)])

    def _sorted(self, rows: Iterable[Record]) -> Iterator[Record]:
        """Yield all rows, sorted in a temporary file: memory does not grow with their number."""
        order = "DESC" if self._is_descending else "ASC"
        encode, decode = msgspec.msgpack.encode, msgspec.msgpack.Decoder(self._kind).decode
        with closing(sqlite3.connect("", isolation_level=None)) as conn:
            conn.execute("CREATE TABLE row (key, value BLOB)")
            conn.execute("BEGIN")
            conn.executemany("INSERT INTO row VALUES (?, ?)", ((self._key(row), encode(row)) for row in rows))
            for (value,) in conn.execute(f"SELECT value FROM row ORDER BY key {order}, rowid"):
                yield decode(value)  # type: ignore[misc]


def _comparable(value: Any) -> tuple[int, Any]:
    """Return a value that compares with values of every type, in SQLite's order: null, numbers, texts."""
    return (0, 0) if value is None else (2, value) if isinstance(value, str) else (1, value)
