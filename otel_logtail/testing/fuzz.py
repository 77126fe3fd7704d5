"""Lines for :class:`observer_contract.ObserverContract`: true lines that were changed, and random bytes.

The same seed gives the same lines on every machine. No line holds a newline, which the tail removes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from random import Random

LONGEST = 1 << 20
"""The length of the longest lines: about the longest that the tail passes on."""

_HOSTILE = (
    *(b'"', b"'", b"\\", b"\\x", b'\\"', b"[", b"]", b"{", b"}", b"<", b">", b"(", b",", b":", b"=", b"|", b" ", b"  "),
    *(
        b"\x00",
        b"\r",
        b"\t",
        b"\x1b[31m",
        b"\x7f",
        b"\x80",
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        b"\xf5",
    ),
    *("\u2028".encode(), "\u0130\u00df\U0001f600".encode(), "\u0661".encode(), b"\xef\xbb\xbf"),
    *(
        b"-",
        b"-1",
        b"+1",
        b"0",
        b"00",
        b"1e999",
        b"1e-999",
        b"NaN",
        b"-Infinity",
        b"0x10",
        b"1_0",
        b"9" * 30,
        b"0.",
        b".5",
    ),
    *(b"null", b"true", b"[]", b"{}", b'""', b"\\u0000", b"\\ud800", b"[" * 2000, b'{"a":' * 2000, b"0.1" + b"0" * 400),
)
"""Pieces that parsers stumble over: quotes, escapes, controls, invalid UTF-8, digits of other scripts, odd numbers."""

_NUMBER = re.compile(rb"[0-9]+")
_WORDS = re.compile(rb"[A-Za-z0-9_.]+")


@lru_cache(maxsize=2)
def changed_lines(true_lines: tuple[bytes, ...], marker: bytes, number: int, seed: int) -> tuple[bytes, ...]:
    """Return lines that hold the marker: most are a changed true line, one of ten is random."""
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    found: list[bytes] = []
    while len(found) < number:
        if random.random() < 0.1:
            line = random.randbytes(random.randrange(300))
            at = random.randrange(len(line) + 1)
            line = line[:at] + marker + line[at:]
        else:
            line = random.choice(true_lines)
            for _ in range(random.choice((1, 1, 1, 2, 4))):
                line = random.choice(_CHANGES)(line, random, true_lines)
        line = line.replace(b"\n", b" ").removesuffix(b"\r")
        if marker in line:
            found.append(line)
    return tuple(found)


def client_texts(true_lines: Sequence[bytes], marker: bytes, seed: int) -> Iterator[bytes]:
    """Yield texts that a client can choose, without end: first each byte and each hostile piece, then mixtures.

    A whole true line and the marker are among them, so that a client tries to forge a line.
    """
    pieces = [*(bytes((byte,)) for byte in range(256)), *_HOSTILE, *true_lines, marker, b"A" * 10_000]
    for piece in pieces:
        yield b"/" + piece
        yield piece + b"x"
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    while True:
        words = random.choices(pieces, k=random.randrange(1, 6))
        yield b"/" + b"".join(words)[: random.choice((20, 200, 5000))] + b"%d" % random.randrange(10**6)


def long_lines(true_lines: Sequence[bytes], marker: bytes) -> Iterator[bytes]:
    """Yield very long lines: a true line with one piece repeated behind it, before it, or in its middle."""
    for line in true_lines:
        middle = len(line) // 2
        for piece in (b"A", b"9", b" ", b'"', b"\\", b"[", b'{"a":', b", ", b"a=1 ", b"\xff", marker or b"-"):
            filling = piece * (LONGEST // len(piece))
            yield from (line + filling, filling + line, line[:middle] + filling + line[middle:])


def _replace_one(pattern: re.Pattern[bytes], line: bytes, random: Random, new: Callable[[bytes], bytes]) -> bytes:
    places = list(pattern.finditer(line))
    if not places:
        return line
    place = random.choice(places)
    return line[: place.start()] + new(place[0]) + line[place.end() :]


def _replace_a_number(line: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    def number(old: bytes) -> bytes:
        digits = len(old) if random.random() < 0.7 else random.randrange(1, 25)
        return b"%0*d" % (digits, random.randrange(10**digits))

    return _replace_one(_NUMBER, line, random, number)


def _replace_a_word(line: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    return _replace_one(_WORDS, line, random, lambda old: random.choice(_HOSTILE))


def _insert(line: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    at = random.randrange(len(line) + 1)
    return line[:at] + random.choice(_HOSTILE) + line[at:]


def _replace_bytes(line: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    at = random.randrange(len(line) + 1)
    piece = random.randbytes(random.randrange(1, 4))
    return line[:at] + piece + line[at + len(piece) :]


def _delete(line: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    begin, end = sorted(random.randrange(len(line) + 1) for _ in range(2))
    return line[:begin] + line[min(end, begin + 40) :]


def _repeat(line: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    begin, end = sorted(random.randrange(len(line) + 1) for _ in range(2))
    return line[:end] + line[begin:]


def _cut(line: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    return line[: random.randrange(len(line) + 1)]


def _splice(line: bytes, random: Random, true_lines: Sequence[bytes]) -> bytes:
    other = random.choice(true_lines)
    return line[: random.randrange(len(line) + 1)] + other[random.randrange(len(other) + 1) :]


_CHANGES = (
    *(_replace_a_number, _replace_a_number, _replace_a_word, _replace_a_word),
    *(_insert, _replace_bytes, _delete, _repeat, _cut, _splice),
)
