"""The first and the last lines of a log, plain or compressed with gzip."""

from __future__ import annotations

import gzip
import stat
import zlib
from pathlib import Path

import msgspec

from otel_logtail.errors import UsageError
from otel_logtail.text import reason_of

PIECE = 64 << 10
"""The number of bytes that are read at each end."""

_MOST = 256 << 20
"""The number of bytes after which a compressed file is not read further."""

_BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"


class Excerpt(msgspec.Struct, frozen=True):
    """Whole lines of a log, without their newlines. ``is_part``: there are further lines between them."""

    path: Path
    lines: tuple[bytes, ...]
    is_part: bool = False


def read_excerpt(path: Path) -> Excerpt:
    """Read the first and the last 64 KiB of a log.

    Raises:
        UsageError: the file can't be read, or is not a regular file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path} is not a regular file", hint="name a log file")
        with path.open("rb") as file:
            is_gzip = file.read(2) == _GZIP
        first, last, is_part = _of_gzip(path) if is_gzip else _of_plain(path)
    except OSError as problem:
        raise UsageError(f"cannot read {path}: {reason_of(problem)}", hint="name a log file") from None
    if not is_part:
        return Excerpt(path, _lines(first))
    head, tail = first[: first.rfind(b"\n") + 1], last[last.find(b"\n") + 1 :]
    return Excerpt(path, (*_lines(head), *_lines(tail)), is_part=True)


def _of_plain(path: Path) -> tuple[bytes, bytes, bool]:
    """Return the first and the last bytes, and whether there are others between them; if not, the first are all."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if size <= 2 * PIECE:
            return file.read(2 * PIECE), b"", False
        first = file.read(PIECE)
        file.seek(size - PIECE)
        return first, file.read(PIECE), True


def _of_gzip(path: Path) -> tuple[bytes, bytes, bool]:
    """Return the same of the content. A damaged file ends where it cannot be read."""
    first, last, size = b"", b"", 0
    with gzip.open(path) as file:
        try:
            while size < _MOST and (block := file.read(_BLOCK)):
                first = first or block[: 2 * PIECE]
                last = (last + block)[-PIECE:]
                size += len(block)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            pass
    return (first, b"", False) if size <= 2 * PIECE else (first[:PIECE], last, True)


def _lines(data: bytes) -> tuple[bytes, ...]:
    return tuple(line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n")) if data else ()
