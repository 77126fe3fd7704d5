"""Inputs to start from: lines of the captured logs, with and without wrappers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from otel_logtail.testing.wrappers import cri, docker
from tests.support.places import CAPTURES

_LONGEST = 4096
_EACH = 12  # lines of a file, at equal distances


def lines_of(observer: str, each: int = _EACH) -> list[bytes]:
    """Return lines of the logs of a program."""
    folder = CAPTURES if observer == "headroom" else CAPTURES / observer
    files = sorted(chain(folder.glob("*.log"), folder.glob("*.json")))
    found: dict[bytes, None] = {}
    for file in files:
        lines = [line for line in file.read_bytes().split(b"\n") if line and len(line) <= _LONGEST]
        found |= dict.fromkeys(lines[:: max(1, len(lines) // each)])
    return list(found)


def wrapped(line: bytes) -> Iterator[bytes]:
    """Yield a line in each wrapper, and in two parts."""
    yield b"Nov 29 15:08:58 host app[1]: " + line
    yield b"2026-11-29T15:08:58.123456+01:00 host app[1]: " + line
    yield b"<134>Nov 29 15:08:58 host app[1]: " + line
    yield b'<134>1 2026-11-29T15:08:58Z host app 1 - [a b="c\\]"] ' + line
    yield cri(line)
    yield cri(line[:9], tag="P") + b"\n" + cri(line[9:])
    yield docker(line)
    yield docker(line[:9], part=True) + b"\n" + docker(line[9:])
    yield cri(b"Nov 29 15:08:58 host app[1]: " + line, stream="stderr")
