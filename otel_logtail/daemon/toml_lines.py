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
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    key: list[str] = []
    # the open brackets: "(" a table's header, "[" an array, "{" an inline table with the path of its keys
    around: list[tuple[str, KeyPath]] = []
    in_value, line_of_key = False, 1
    for kind, piece, line in _pieces(text):
        inside = around[-1][0] if around else ""
        prefix = around[-1][1] if inside == "{" else table
        if piece == "\n" and not around:
            key, in_value = [], False
        elif kind == "mark" and piece == "[" and not in_value and not key:
            if inside != "(":
                around.append(("(", ()))
        elif inside == "(":
            if piece == "]":
                around.pop()
                table = tuple(key)
                _note(found, (), table, line_of_key)
                in_value = True  # after [[array]] there is another bracket, and nothing else on this line
            elif kind != "mark":
                line_of_key = line if not key else line_of_key
                key.append(_key(kind, piece))
        elif not in_value:
            if piece == "=":
                _note(found, prefix, tuple(key), line_of_key)
                in_value = True
            elif piece == "}":  # an empty inline table, or a comma before its end
                around.pop()
                in_value = True
            elif kind != "mark":
                line_of_key = line if not key else line_of_key
                key.append(_key(kind, piece))
        elif piece == "{":
            around.append(("{", (*prefix, *key) if inside != "[" else _IN_AN_ARRAY))
            key, in_value = [], False
        elif piece == "[":
            around.append(("[", ()))
        elif piece in ("]", "}") and kind == "mark" and around:
            around.pop()
            if piece == "}":
                key = []
        elif piece == "," and inside == "{":
            key, in_value = [], False
    return found


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


def _note(found: dict[KeyPath, int], prefix: KeyPath, key: KeyPath, line: int) -> None:
    for length in range(1, len(key) + 1):
        found.setdefault((*prefix, *key[:length]), line)


def _key(kind: str, piece: str) -> str:
    if kind == "word":
        return piece
    if piece[0] == "'":
        return piece[1:-1]
    return _ESCAPE.sub(
        lambda match: chr(int(match[1] or match[2], 16)) if match[1] or match[2] else _CONTROL.get(match[3], match[3]),
        piece[1:-1],
    )
