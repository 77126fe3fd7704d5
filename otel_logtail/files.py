"""Files as the tail sees them: bytes at an offset, what they are recognised by, and which rotated names belong to one.

A file is recognised by what it holds: a hash of its first bytes (``head``) and of the last ones before the position
(``anchor``). Device and inode only say where to look first: inodes are used again, and copies have others.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib
import lzma
import os
import re
from abc import abstractmethod
from typing import BinaryIO, Protocol, cast

import msgspec

from otel_logtail.model import FileState, Fingerprint

HEAD_BYTES = 1024
ANCHOR_BYTES = 256

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_SUFFIX = re.compile(r"[.-](?:(?P<number>\d{1,6})|(?P<date>\d{4}-?\d{2}-?\d{2}[-_.T:\d]*|\d{9,}))")


class Reader(Protocol):
    """A file that is open: plain or compressed, its bytes are those that the program wrote."""

    device: int
    inode: int

    @abstractmethod
    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer only at the end.

        Raises:
            OSError: it can't be read; EOFError or another error of its codec: it is damaged or cut off.
        """

    @abstractmethod
    def size(self) -> int:
        """Its size now, in bytes as they are on disk: 0 means that there is nothing in it."""

    @abstractmethod
    def close(self) -> None:
        """Free its descriptor."""


class PlainReader(Reader):
    """A plain file, held by its descriptor: renaming or deleting it does not take it away."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        stat = os.fstat(self._fd)
        self.device, self.inode = stat.st_dev, stat.st_ino

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def links(self) -> int:
        """How many names it has: 0 means that it is deleted."""
        return os.fstat(self._fd).st_nlink

    def close(self) -> None:
        os.close(self._fd)


class CompressedReader(Reader):
    """A compressed file, read forwards; going back begins anew. Memory is the codec's window, not the file's size."""

    def __init__(self, path: str) -> None:
        self._raw = open(path, "rb")  # noqa: SIM115 - it lives as long as the reader
        stat = os.fstat(self._raw.fileno())
        self.device, self.inode = stat.st_dev, stat.st_ino
        self._opener = _decoder(path)
        self._stream = self._opener(self._raw)
        self._position = 0

    def read_at(self, offset: int, length: int) -> bytes:
        if offset < self._position:
            self._raw.seek(0)
            self._stream = self._opener(self._raw)
            self._position = 0
        while self._position < offset:
            skipped = len(self._stream.read(min(offset - self._position, 1 << 18)))
            if not skipped:
                return b""
            self._position += skipped
        data = b""
        while len(data) < length and (more := self._stream.read(length - len(data))):
            data += more
        self._position += len(data)
        return data

    def size(self) -> int:
        return os.fstat(self._raw.fileno()).st_size

    def close(self) -> None:
        self._raw.close()


class _Opener(Protocol):
    def __call__(self, raw: BinaryIO, /) -> BinaryIO: ...


def _decoder(path: str) -> _Opener:
    if path.endswith(".gz"):
        return lambda raw: cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if path.endswith(".bz2"):
        return lambda raw: cast(BinaryIO, bz2.BZ2File(raw))
    if path.endswith(".xz"):
        return lambda raw: cast(BinaryIO, lzma.LZMAFile(raw))
    try:
        zstd = importlib.import_module("compression.zstd")  # Python 3.14
    except ImportError:
        raise OSError(f"{path}: this Python can't read zstd") from None
    return lambda raw: cast(BinaryIO, zstd.ZstdFile(raw))


def is_compressed(path: str) -> bool:
    """Whether a file of this name is read through a codec."""
    return path.endswith(_COMPRESSED)


def open_reader(path: str) -> Reader:
    """Open a file for reading, whatever its name says about its codec.

    Raises:
        OSError: it can't be opened, is no regular file, or has a codec that this Python has not.
    """
    if not os.path.isfile(path):
        os.stat(path)
        raise OSError(f"{path} is not a regular file")
    return CompressedReader(path) if is_compressed(path) else PlainReader(path)


def fingerprint(data: bytes) -> Fingerprint:
    """The hash of these bytes; of none, the empty fingerprint."""
    return Fingerprint(len(data), hashlib.blake2b(data, digest_size=16).digest()) if data else Fingerprint()


def holds(reader: Reader, state: FileState) -> bool:
    """Whether this file begins with what the state has read: the same head, and the same bytes before its position."""
    if state.head.length == 0 and state.anchor.length == 0:
        return False  # nothing was read yet: there is nothing to recognise it by
    if fingerprint(reader.read_at(0, state.head.length)) != state.head:
        return False
    start = state.offset - state.anchor.length
    return fingerprint(reader.read_at(start, state.anchor.length)) == state.anchor


class Sibling(msgspec.Struct, frozen=True):
    """A rotated file of a live path."""

    path: str
    order: tuple[int, int, str]
    mtime_ns: int


def siblings(live: str) -> list[Sibling]:
    """The rotated files of a live path, oldest first; of a plain and a compressed one of the same name, the plain one.

    Names are the live name with ``.1``, ``.2024-01-31``, ``-20240131``, ``.1700000000`` and the like behind it (or
    before its extension), and perhaps ``.gz``, ``.bz2``, ``.xz`` or ``.zst``. Numbers grow with age, dates with youth.
    """
    folder, name = os.path.split(live)
    stem, extension = os.path.splitext(name)
    found: dict[str, Sibling] = {}
    try:
        entries = list(os.scandir(folder or "."))
    except OSError:
        return []
    for entry in entries:
        if not entry.name.startswith(stem) or entry.name == name:
            continue
        plain = entry.name
        for codec in _COMPRESSED:
            plain = plain.removesuffix(codec)
        if plain.startswith(name):
            middle = plain[len(name) :]
        elif extension and plain.endswith(extension):
            middle = plain[len(stem) : -len(extension)]
            if not re.fullmatch(r"[.-]\d{4}-?\d{2}-?\d{2}[-_.T:\d]*", middle):
                continue  # proxy-8787.log is another live file, not proxy.log rotated
        else:
            continue
        match = _SUFFIX.fullmatch(middle)
        try:
            if match is None or not entry.is_file():
                continue
            mtime_ns = entry.stat().st_mtime_ns
        except OSError:
            continue  # it went while we looked
        number = match["number"]
        order = (1, -int(number), "") if number else (0, 0, match["date"])
        previous = found.get(plain)
        if previous is None or is_compressed(previous.path):
            found[plain] = Sibling(os.path.join(folder, entry.name), order, mtime_ns)
    ordered = sorted(found.values(), key=lambda sibling: sibling.order)
    if len({sibling.order[0] for sibling in ordered}) > 1:
        ordered.sort(key=lambda sibling: sibling.mtime_ns)  # two schemes at once: only the times can tell
    return ordered


def is_rotated_name(path: str) -> bool:
    """Whether a file of this name was put aside by a rotation, as far as its name tells."""
    folder, name = os.path.split(path)
    for codec in _COMPRESSED:
        if name.endswith(codec):
            return True
    if re.search(r"(?:\.\d{1,6}|[.-]\d{4}-?\d{2}-?\d{2}[-_.T:\d]*|\.\d{9,})$", name):
        return True
    # a date before the extension tells only beside the live file that it belongs to
    base = re.sub(r"[.-]\d{4}-?\d{2}-?\d{2}[-_.T:\d]*(\.[A-Za-z]+)$", r"\1", name)
    return base != name and os.path.exists(os.path.join(folder, base))
