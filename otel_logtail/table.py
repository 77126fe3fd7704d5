"""Tables of text, and text in lines of a width. Pure.

A table that is too wide wraps its long cells at spaces, omits its last columns, or becomes records with a value on each
line. Only a word that is longer than a line or a wide column continues on the next line, if possible after a ``/`` or
another mark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import zip_longest

GAP = 2
"""The number of spaces between two columns."""

_LEAST = 24
"""A column that wraps is not made narrower than this."""

_PART = re.compile(r"[^/,;:=&?._-]*[/,;:=&?._-]*")

Row = Sequence[str]
Paint = Callable[[int, str, str], str]
"""Adds color to a part of a cell; the arguments are the number of the column, the cell and the part."""


def cells(text: str) -> int:
    """Return the width of a text on a terminal, in cells."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # takes 4 ms, which most answers do not need

    return cell_len(text)


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Return a text as lines of words that fit a width; lines after the first one start with ``indent``."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        room = width - len(indent) * bool(lines)
        joined = f"{line} {word}" if line else word
        if cells(joined) <= room:
            line = joined
            continue
        if line:
            lines.append(line)
        *full, line = _parts(word, width, width - len(indent))
        lines += full
    first, *rest = [*lines, line]
    return [first, *(indent + each for each in rest)]


def _parts(word: str, width: int, rest: int) -> list[str]:
    """Return a word in parts that fit a line, cut after a mark if there is one."""
    limit = max(1, min(width, rest))
    if cells(word) <= limit:
        return [word]
    parts = [""]
    for piece in _PART.findall(word):
        if cells(parts[-1] + piece) > limit and parts[-1]:
            parts.append("")
        for char in piece if cells(piece) > limit else [piece]:
            if cells(parts[-1] + char) > limit:
                parts.append("")
            parts[-1] += char
    return parts


# --- columns ------------------------------------------------------------------------------------------------------


def widths_of(rows: Iterable[Row], sides: str, width: int | None = None, *, breaks: bool = True) -> list[int]:
    """Return the widths of the columns that fit side by side: at least one, and of two columns both.

    Args:
        rows: All rows, the heading included.
        sides: A letter for each column, the least important one last: ``l`` left, ``r`` right, ``w`` left, and its
            cells may wrap at spaces.
        width: The width of a line; None: no limit.
        breaks: Whether a long word of a cell that wraps may be broken; otherwise its column is as wide as the word.
    """
    columns = list(zip(*rows, strict=True))
    natural = [max(map(cells, column)) for column in columns]
    if width is None:
        return natural
    unbroken = [
        min(size, max(_LEAST, *map(_longest_word, column))) if side == "w" else size
        for side, size, column in zip(sides, natural, columns, strict=True)
    ]
    least = [min(size, _LEAST) if side == "w" and breaks else size for side, size in zip(sides, unbroken, strict=True)]
    found: list[int] = []
    spare = width
    for size, broken in zip(unbroken, least, strict=True):  # a word is broken to show its own column, not a later one
        fits = size if size <= spare else broken
        if fits > spare:
            break
        found.append(fits)
        spare -= fits + GAP
    if len(found) < min(2, len(natural)):
        return _squeezed(natural, width) if breaks else [min(natural[0], width)]
    spare += GAP
    for wanted in (unbroken, natural):
        for index, size in enumerate(found):
            more = min(spare, wanted[index] - size)
            found[index] += more
            spare -= more
    return found


def _squeezed(natural: Sequence[int], width: int) -> list[int]:
    """Return the widths of two columns that do not fit: their cells take several lines. Else of the first one alone."""
    room = width - GAP
    if len(natural) != 2 or room < 2:
        return [min(natural[0], width)]
    second = min(natural[1], max(room - natural[0], room // 2))
    return [min(natural[0], room - second), second]


def _longest_word(text: str) -> int:
    return max(map(cells, text.split(" ")))


def row_lines(
    row: Row, sides: str, widths: Sequence[int], paint: Paint | None = None, *, wraps: bool = True
) -> Iterator[str]:
    """Yield the lines of one row: one line, unless a cell wraps.

    Args:
        row: The cells; those without a width are left out.
        sides: As in :func:`widths_of`.
        widths: The widths of the columns.
        paint: Adds color to a cell.
        wraps: Whether a cell that is wider than its column wraps; otherwise it moves the next columns.
    """
    split = [
        wrap(cell, width) if wraps and cells(cell) > width else [cell] for cell, width in zip(row, widths, strict=False)
    ]
    for parts in zip_longest(*split, fillvalue=""):
        shown = []
        for index, (part, side, width, cell) in enumerate(zip(parts, sides, widths, row, strict=False)):
            space = " " * (width - cells(part))
            painted = part if paint is None else paint(index, cell, part)
            shown.append(space + painted if side == "r" else painted + space)
        yield (" " * GAP).join(shown).rstrip()


def lay_out(rows: Sequence[Row], sides: str, width: int | None = None, indent: str = "") -> Iterator[str]:
    """Yield the lines of a table; the arguments are those of :func:`widths_of`."""
    if not rows:
        return
    widths = widths_of(rows, sides, None if width is None else width - len(indent))
    for row in rows:
        for line in row_lines(row, sides, widths, wraps=width is not None):
            yield (indent + line).rstrip()


def shell_lines(words: Iterable[str], width: int | None, indent: str = "  ") -> list[str]:
    """Return a command for a shell in lines that can be copied as they are; ``width`` None: in one line."""
    lines, line = [], indent[:-1]
    for word in words:
        if width is not None and line.strip() and cells(f"{line} {word} \\") > width:
            lines.append(f"{line} \\")
            line = f"{indent} "
        line += f" {word}"
    return [*lines, line]


def left_out(titles: Sequence[str]) -> str:
    """Return the sentence about columns that a table has no room for."""
    number = len(titles)
    columns, them = ("column", "it") if number == 1 else ("columns", "them")
    return f"{number} {columns} left out ({', '.join(titles)}): a wider terminal or --format json has {them}"


def records(heading: Row, rows: Iterable[Row], width: int, paint: Paint | None = None) -> Iterator[str]:
    """Yield rows as records, a value on each line after its title, with an empty line between two records.

    A value with a word that does not fit beside the title starts on the next line.
    """
    sizes = (max(map(cells, heading)), max(1, width - max(map(cells, heading)) - GAP))
    for number, row in enumerate(rows):
        if number:
            yield ""
        for index, (title, cell) in enumerate(zip(heading, row, strict=True)):
            if _longest_word(cell) <= sizes[1]:
                yield from row_lines((title, cell), "ll", sizes, paint and partial(_painted, paint, index))
            else:
                yield title
                yield from (" " * GAP + line for line in wrap(cell, width - GAP))


def _painted(paint: Paint, index: int, place: int, cell: str, part: str) -> str:
    """Add color to the value of a record, which is in the second column; titles have none."""
    return paint(index, cell, part) if place else part
