"""Tables for people, on a stream, laid out a piece at a time.

On a terminal a table fits the width: its last columns, which matter least, are omitted and named on stderr. In a file
or pipe it has every column.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TextIO

import msgspec

from otel_logtail.cli.errors import say
from otel_logtail.cli.streams import encodable, is_colored, takes_all
from otel_logtail.table import Paint, left_out, records, row_lines, shell_lines, widths_of, wrap
from otel_logtail.text import printable

Row = Sequence[object]

_PIECE = 500  # rows that are measured and written together
_COLORS = {"degraded": "33", "stall": "1;31"}


class Column(msgspec.Struct, frozen=True):
    """One column: the key of its values, its heading, how a value is shown, and its alignment.

    ``wraps``: a long value may take several lines, if the table has no room for it.
    """

    key: str
    title: str
    show: Callable[[object], str] = str
    right: bool = False
    wraps: bool = False


def terminal_width(out: TextIO) -> int | None:
    """Return the number of characters in a line of the terminal, or None if the stream is not a terminal."""
    return shutil.get_terminal_size().columns if out.isatty() else None


class Table:
    """A table on a stream.

    Args:
        out: The stream.
        columns: The columns, the least important one last.
        width: The width of a line; None: the terminal's, or no limit if the stream is not a terminal.
        complete: If the table is too wide, write its rows as records instead of omitting columns.
    """

    def __init__(
        self, out: TextIO, columns: Sequence[Column], *, width: int | None = None, complete: bool = False
    ) -> None:
        self._out = out
        self._columns = columns
        self._sides = "".join("r" if column.right else "lw"[column.wraps] for column in columns)
        self._width = terminal_width(out) if width is None else width
        self._complete = complete

    def write(self, keys: Sequence[str], rows: Iterable[Row]) -> int:
        """Write rows whose values have these keys, and return their number."""
        heading = [column.title for column in self._columns]
        widths: list[int] = []
        heads: list[Iterator[str]] = []
        number, shown = 0, len(heading)
        for piece in self._pieces(keys, iter(rows)):
            if not number or self._width is not None:
                widths = widths_of([heading, *piece], self._sides, self._width, breaks=not self._complete)
                heads = [row_lines(heading, self._sides, widths, self._paint(is_heading=True))]
            if self._complete and len(widths) < len(heading):
                self._write([""] * bool(number), records(heading, piece, self._width or 0, self._paint()))
            else:
                wraps, paint = self._width is not None, self._paint()
                self._write(*heads, *(row_lines(row, self._sides, widths, paint, wraps=wraps) for row in piece))
                heads, shown = [], min(shown, len(widths))
            number += len(piece)
        if omitted := heading[shown:]:
            self._out.flush()
            say(left_out(omitted))
        return number

    def _write(self, *parts: Iterable[str]) -> None:
        for lines in parts:
            self._out.writelines(line + "\n" for line in lines)

    def _paint(self, *, is_heading: bool = False) -> Paint | None:
        if not is_colored(self._out):
            return None
        return _bold if is_heading else self._colored

    def _colored(self, index: int, cell: str, part: str) -> str:
        """Add color to a severity. A threshold, a source or a cause may have the same name."""
        is_severity = self._columns[index].key == "severity" and cell in _COLORS
        return f"\x1b[{_COLORS[cell]}m{part}\x1b[0m" if is_severity else part

    def _pieces(self, keys: Sequence[str], rows: Iterator[Row]) -> Iterator[list[list[str]]]:
        """Yield the cells of some rows at a time, at least once: an empty table has a heading."""
        shown = [(column.show, list(keys).index(column.key)) for column in self._columns]
        out = self._out
        fit = printable if takes_all(out) else lambda text: encodable(printable(text), out)
        is_first = True
        while True:
            cells = [[fit(show(row[index])) for show, index in shown] for row in islice(rows, _PIECE)]
            if cells or is_first:
                yield cells
            if len(cells) < _PIECE:
                return
            is_first = False


def _bold(_: int, __: str, part: str) -> str:
    return f"\x1b[1m{part}\x1b[0m"


def write_text(out: TextIO, text: str, indent: str = "  ") -> None:
    """Write a line of text from anywhere; on a terminal in several lines, all but the first one indented."""
    line = encodable(printable(text), out)
    width = terminal_width(out)
    start = line[: len(line) - len(line.lstrip())]
    parts = [line.lstrip()] if width is None else wrap(line.lstrip(), width - len(start), indent)
    out.writelines(f"{start}{part}\n" for part in parts)


def write_command(out: TextIO, command: str) -> None:
    """Write a command for a shell; on a terminal in several lines, which can be copied as they are."""
    out.writelines(
        encodable(printable(line), out) + "\n"
        for line in shell_lines(map(shlex.quote, shlex.split(command)), terminal_width(out))
    )
