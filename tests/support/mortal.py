"""A connection to SQLite whose process can be killed before any statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


class Killed(BaseException):
    """The process died here."""


class MortalConnection:
    """A connection whose process dies before its k-th statement."""

    def __init__(self, connection: sqlite3.Connection, k: int) -> None:
        self._connection = connection
        self._left = k

    def _live(self) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1

    def execute(self, sql: str, parameters: Iterable[object] = ()) -> sqlite3.Cursor:
        self._live()
        return self._connection.execute(sql, tuple(parameters))

    def executemany(self, sql: str, parameters: Iterable[Iterable[object]]) -> sqlite3.Cursor:
        self._live()
        return self._connection.executemany(sql, parameters)  # type: ignore[arg-type]

    def executescript(self, sql: str) -> sqlite3.Cursor:
        self._live()
        return self._connection.executescript(sql)

    @property
    def in_transaction(self) -> bool:
        return False  # who is dead rolls nothing back
