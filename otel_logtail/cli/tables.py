"""Tables for people, laid out a piece at a time.

On a terminal a table has color and fits the width: the last columns, which matter least, are omitted. In a file or pipe
it is plain text with every column. Text from a log cannot move the cursor: characters that do not print are escaped.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TextIO

import msgspec

from otel_logtail.cli.streams import encodable, takes_all
from otel_logtail.text import printable

Row = Sequence[object]

_PIECE = 500  # rows that are measured and written together
_GAP = 2
_COLORS = {"degraded": "yellow", "stall": "bold red"}


class Column(msgspec.Struct, frozen=True):
    """One column: the key of its values, its heading, how a value is shown, and its alignment."""

    key: str
    title: str
    show: Callable[[object], str] = str
    right: bool = False


def terminal_width(out: TextIO) -> int | None:
    """Return the number of characters in a line of the terminal, or None if the stream is not a terminal."""
    return shutil.get_terminal_size().columns if out.isatty() else None


class Table:
    """A table on a stream.

    Args:
        out: The stream.
        columns: The columns, the least important one last.
        width: The width of a line; None: the terminal's, or no limit if the stream is not a terminal.
        fold: Fold long cells instead of omitting columns if the table is too wide.
    """

    def __init__(self, out: TextIO, columns: Sequence[Column], *, width: int | None = None, fold: bool = False) -> None:
        self._out = out
        self._columns = columns
        self._width = terminal_width(out) if width is None else width
        self._fold = fold

    def write(self, keys: Sequence[str], rows: Iterable[Row]) -> int:
        """Write rows whose values have these keys, and return their number."""
        heading = [column.title for column in self._columns]
        widths: list[int] = []
        number = 0
        pieces = self._pieces(keys, iter(rows))
        for cells in pieces:
            if not number or self._width is not None:
                widths = [max(map(_cells, column)) for column in zip(heading, *cells, strict=True)]
            if self._width is None:
                lines = cells if number else chain([heading], cells)
                self._out.writelines(_plain(line, self._columns, widths) + "\n" for line in lines)
            else:
                fitting = len(widths) if self._fold else _fitting(widths, self._width)
                _write_on_terminal(self._out, self._columns[:fitting], cells, self._width)
            number += len(cells)
        return number

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


def _cells(text: str) -> int:
    """Return the width of a text on a terminal, in cells."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # takes 4 ms, which most answers do not need

    return cell_len(text)


def _fitting(widths: Sequence[int], width: int) -> int:
    """Return how many columns fit side by side, at least one."""
    used, number = 0, 0
    for each in widths:
        used += each + _GAP
        if number and used - _GAP > width:
            break
        number += 1
    return number


def _plain(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        space = " " * (width - _cells(cell))
        padded.append(space + cell if column.right else cell + space)
    return (" " * _GAP).join(padded).rstrip()


def _write_on_terminal(out: TextIO, columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_COLORS.get(cell, "")) for cell in row[: len(columns)]))
    Console(file=out, width=width, highlight=False, force_terminal=True).print(table)
