"""A condition of the user on the columns of an answer: an SQL expression that is evaluated for one row at a time.

It is evaluated in a database of its own, which is empty and in memory. So an expression can use the values of its row
and nothing else: no table, no file, no second statement, no function that is not in a list.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Sequence

import msgspec

from otel_logtail.errors import UsageError, guess, invalid

WHERE = "--where"
_EXAMPLE = "e.g. \"duration_ms > 2000 AND cause = 'wait'\""

_FUNCTIONS = {
    *("abs", "coalesce", "date", "datetime", "glob", "ifnull", "iif", "instr", "json_extract", "julianday", "length"),
    *("like", "lower", "ltrim", "max", "min", "nullif", "round", "rtrim", "strftime", "substr", "substring", "time"),
    *("trim", "typeof", "unixepoch", "upper", "->", "->>"),
}
_SELECTS = 2
"""The number of SELECTs in a statement of ours: one, and one for the row."""

_STEPS = 10_000
"""The number of SQLite instructions after which an expression is stopped. One has about as many as it has words."""

_LONGEST_PATTERN = 1000
"""The most bytes of a pattern of LIKE or GLOB: the time to match one grows with its length times that of the text."""

_SHOWN = 200
"""The most characters of an expression that an error repeats."""

_QUOTED = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")*)"|`[^`]*`|\[[^]]*\]|--[^\n]*|/\*.*?(?:\*/|$)""", re.DOTALL)
"""A text, a name in quotes (the group), a name in other quotes, or a comment."""


_TIME_WITH_A_SPACE = re.compile(r"'([0-9]{4}-[0-9]{2}-[0-9]{2}) +([0-9]{2}:[0-9:.]*)")
_SQL_TIME = re.compile(r"\b(?:datetime|strftime)\s*\(", re.IGNORECASE)
"""A function of SQLite whose results have a space between date and time."""


class Condition:
    """An SQL expression over named columns.

    Raises:
        UsageError: the text is not an expression over these columns.
    """

    def __init__(self, text: str, columns: Sequence[str]) -> None:
        self._text = text
        self._columns = columns
        self._used = [place for place, name in enumerate(columns) if name.lower() in text.lower()]
        self._values: list[object] = [None] * len(columns)
        self._guard = _Guard()
        # an exception keeps a condition in a cycle, which the garbage collector may find in any thread
        self._conn = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._conn.set_progress_handler(self._guard.is_too_long, _STEPS)
        self._conn.set_authorizer(self._guard.authorize)
        if sys.version_info >= (3, 11):
            self._conn.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _LONGEST_PATTERN)
        _check_names(text, columns)
        row = f"(SELECT {', '.join(f'? AS {_quoted(name)}' for name in columns)})"
        self._statement = f"SELECT 1 FROM {row} WHERE ({text}\n)"
        # a text that closes our parenthesis, to add another clause, is valid in one of the two places at most
        self._run(f"SELECT ({text}\n) FROM {row}", self._values)
        self._run(self._statement, self._values)

    def __del__(self) -> None:
        self._conn.close()

    def holds(self, record: msgspec.Struct) -> bool:
        """Return whether the condition is true for a record, whose fields are the columns."""
        fields = msgspec.structs.astuple(record)
        values = self._values.copy()
        for place in self._used:
            values[place] = as_sql(fields[place])
        return self._run(self._statement, values) is not None

    def _run(self, statement: str, values: Sequence[object]) -> object:
        self._guard.start()
        try:
            return self._conn.execute(statement, values).fetchone()
        except (sqlite3.Error, sqlite3.Warning, ValueError) as problem:
            raise self._explained(str(problem)) from None

    def _explained(self, message: str) -> UsageError:
        if column := re.fullmatch(r"no such column: (.*)", message, re.DOTALL):
            return unknown_column(WHERE, self._text, column[1], self._columns)
        if function := re.fullmatch(r"(?:not authorized to use|no such) function: (.*)", message, re.DOTALL):
            return invalid(
                WHERE,
                _shortened(self._text),
                f"{_shortened(function[1])} is not an available function",
                f"available: {_listed()}",
            )
        if "prohibited" in message or "not authorized" in message or "no such table" in message:
            message = "only an expression over the columns of a row is allowed"
        return invalid(WHERE, _shortened(self._text), message, f"{_EXAMPLE}; columns: {', '.join(self._columns)}")


class _Guard:
    """The limits of one statement: SQLite asks what the statement may do.

    It does not refer to the condition, so the connection is closed as soon as the condition is not used any more.
    """

    def __init__(self) -> None:
        self._selects = self._pauses = 0

    def start(self) -> None:
        """A statement starts."""
        self._selects = self._pauses = 0

    def is_too_long(self) -> bool:
        """Return whether the statement is stopped."""
        self._pauses += 1
        return self._pauses > 1  # the instructions before the first pause are those of other rows

    def authorize(self, action: int, name: str | None, function: str | None, *_: str | None) -> int:
        """Return whether the statement may do this."""
        if action == sqlite3.SQLITE_SELECT:
            self._selects += 1
            return sqlite3.SQLITE_OK if self._selects <= _SELECTS else sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_READ:
            return sqlite3.SQLITE_DENY if name else sqlite3.SQLITE_OK  # a column of our row is in no table
        if action == sqlite3.SQLITE_FUNCTION and (function or "").lower() in _FUNCTIONS:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY


def unknown_column(where: str, text: str, column: str, columns: Sequence[str]) -> UsageError:
    """Return the error of a column that does not exist; its hint lists the columns, the closest one first."""
    hint = f"{guess(column.lower(), columns)} columns: {', '.join(columns)}".lstrip()
    return invalid(where, _shortened(text), f"no column {_shortened(column)}", hint)


def _check_names(text: str, columns: Sequence[str]) -> None:
    """Raise the error of a name in double quotes that is not a column, or of a time with a space.

    SQLite takes such a name as a text. It compares such a time with the texts of the columns and selects wrong rows.
    """
    known = {name.lower() for name in columns}
    for quoted in _QUOTED.finditer(text):
        if (spaced := _TIME_WITH_A_SPACE.match(quoted[0])) and not _SQL_TIME.search(text):
            why = "times are texts with a T between date and time, so this one compares with none"
            raise invalid(WHERE, _shortened(text), why, f"write '{spaced[1]}T{spaced[2]}' (in UTC)")
        name = quoted[1]
        if name is not None and name.replace('""', '"').lower() not in known:
            problem = unknown_column(WHERE, text, quoted[0], columns)
            problem.hint = f"{problem.hint}; a text is in single quotes"
            raise problem


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _listed() -> str:
    return ", ".join(sorted(name for name in _FUNCTIONS if name.isidentifier()))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def as_sql(value: object) -> object:
    """Return a value as SQLite stores it: mappings and lists as JSON."""
    return msgspec.json.encode(value).decode() if isinstance(value, (dict, list, tuple)) else value
