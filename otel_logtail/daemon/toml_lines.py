"""The line of each key in a TOML file. Pure.

The standard library's parser returns values without their lines. This module finds the lines in a text that the parser
has accepted. It reads no values. It only skips strings and comments, which may hold a ``=``, a bracket or a newline.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

KeyPath = tuple[str, ...]

_PIECE = re.compile(
    r"""(?P<skip>[ \t\r]+|\#[^\n]*)
      | (?P<text>\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')
      | (?P<mark>[\[\]{}=,.\n])
      | (?P<word>[^\s\[\]{}=,.\#"']+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(["\\bfnrte]))')
_IN_AN_ARRAY = ("",)  # a table in an array has no path of its own
_CONTROL = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "e": "\x1b"}


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, that each key and each table is first named on."""
    walk = _Walk()
    for kind, piece, line in _pieces(text):
        walk.take(kind, piece, line)
    return walk.found


class _Walk:
    """The place in a text: the table, the key so far, and the open brackets.

    ``around`` has a kind for each bracket: ``(`` a table's header, ``[`` an array, ``{`` an inline table with the path
    of its keys.
    """

    def __init__(self) -> None:
        self.found: dict[KeyPath, int] = {}
        self._table: KeyPath = ()
        self._key: list[str] = []
        self._line_of_key = 1
        self._in_value = False
        self._around: list[tuple[str, KeyPath]] = []

    def take(self, kind: str, piece: str, line: int) -> None:
        """Take the next piece of the text."""
        inside = self._around[-1][0] if self._around else ""
        if piece == "\n" and not self._around:
            self._key, self._in_value = [], False
        elif kind == "mark" and piece == "[" and not self._in_value and not self._key:
            if inside != "(":
                self._around.append(("(", ()))
        elif inside == "(" or not self._in_value:
            self._take_name(kind, piece, line, is_header=inside == "(")
        else:
            self._take_value(kind, piece, inside)

    def _take_name(self, kind: str, piece: str, line: int, *, is_header: bool) -> None:
        if is_header and piece == "]":
            self._around.pop()
            self._table = tuple(self._key)
            self._note(())
            self._in_value = True  # after [[array]] there is another bracket, and nothing else on this line
        elif piece == "=" and not is_header:
            self._note(self._prefix())
            self._in_value = True
        elif piece == "}" and not is_header:  # an empty inline table, or a comma before its end
            self._around.pop()
            self._in_value = True
        elif kind != "mark":
            self._line_of_key = self._line_of_key if self._key else line
            self._key.append(_key(kind, piece))

    def _take_value(self, kind: str, piece: str, inside: str) -> None:
        if piece == "{":
            self._around.append(("{", (*self._prefix(), *self._key) if inside != "[" else _IN_AN_ARRAY))
            self._key, self._in_value = [], False
        elif piece == "[":
            self._around.append(("[", ()))
        elif piece in ("]", "}") and kind == "mark" and self._around:
            self._around.pop()
            if piece == "}":
                self._key = []
        elif piece == "," and inside == "{":
            self._key, self._in_value = [], False

    def _prefix(self) -> KeyPath:
        return self._around[-1][1] if self._around and self._around[-1][0] == "{" else self._table

    def _note(self, prefix: KeyPath) -> None:
        for length in range(1, len(self._key) + 1):
            self.found.setdefault((*prefix, *self._key[:length]), self._line_of_key)


def _pieces(text: str) -> Iterator[tuple[str, str, int]]:
    line, position = 1, 0
    while position < len(text):
        match = _PIECE.match(text, position)
        if match is None:  # the parser would not accept this
            return
        position = match.end()
        kind, piece = str(match.lastgroup), match[0]
        if kind != "skip":
            yield kind, piece, line
        line += piece.count("\n")


def _key(kind: str, piece: str) -> str:
    if kind == "word":
        return piece
    if piece[0] == "'":
        return piece[1:-1]
    return _ESCAPE.sub(
        lambda match: chr(int(match[1] or match[2], 16)) if match[1] or match[2] else _CONTROL.get(match[3], match[3]),
        piece[1:-1],
    )
