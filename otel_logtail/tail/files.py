"""Files as the tail sees them: bytes at an offset, what they are recognised by, and which rotated names belong to one.

A file is recognised by what it holds: a hash of its first bytes (``head``) and of the last ones before the position
(``anchor``). Device and inode only say where to look first: inodes are used again, and copies have others.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import importlib
import io
import lzma
import os
import re
import stat
from abc import abstractmethod
from functools import lru_cache
from typing import BinaryIO, Protocol, cast

from otel_logtail.model import FileState, Fingerprint
from otel_logtail.tail.descriptors import DESCRIPTORS, Descriptors
from otel_logtail.tail.directories import FILE, LINK, Folders, Names

HEAD_BYTES = 1024
ANCHOR_BYTES = 256

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_BLOCK_BYTES = 1 << 18

# a real date, with separators in both places or in none: 8787-1234 is a port and a pid
_DATE = r"(?:19|20)\d\d(?P<dash>-?)(?:0[1-9]|1[0-2])(?P=dash)(?:0[1-9]|[12]\d|3[01])[-_.T:\d]*"
_BEHIND = re.compile(rf"[.-](?:(?P<number>\d{{1,6}})|(?P<date>{_DATE}|\d{{9,}}))")
_BEFORE_EXTENSION = re.compile(rf"\.(?P<number>\d{{1,3}})|[.-](?P<date>{_DATE})")
_ROTATED_END = re.compile(rf"(?:\.\d{{1,6}}|[.-](?:{_DATE}|\d{{9,}}))$")
_ROTATED_MIDDLE = re.compile(rf"(?:\.\d{{1,3}}|[.-]{_DATE})(?P<extension>\.[A-Za-z]+)$")


class Reader(Protocol):
    """A file that is open: plain or compressed, its bytes are those that the program wrote."""

    device: int
    inode: int
    damage: str
    """Why its codec can't go on; empty while it can."""

    path: str
    """Where it is, as far as is known: it may have to be opened again."""

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode

    @abstractmethod
    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer only at the end, or where the damage begins.

        Raises:
            OSError: it can't be read.
        """

    @abstractmethod
    def read_into(self, view: memoryview, offset: int) -> int:
        """The same, into a buffer that is used again: as many as it holds; returns how many there were.

        Raises:
            OSError: it can't be read.
        """

    @abstractmethod
    def size(self) -> int:
        """Its size on disk now."""

    @abstractmethod
    def close(self) -> None:
        """Free its descriptor."""

    def keep(self) -> None:
        """Something is to be read from it, even if nothing else of it is left."""


class _Holder(Reader):
    """A reader whose descriptor may be taken while it is not used; then its file is opened again by its name."""

    def __init__(self, path: str, descriptors: Descriptors) -> None:
        self.path = path
        """Where its file is opened again."""
        self._descriptors = descriptors
        self._is_kept = False
        self._fd = descriptors.open(path, self)
        status = os.fstat(self._fd)
        self.device, self.inode = status.st_dev, status.st_ino

    def _descriptor(self) -> int:
        if self._fd < 0:
            try:
                fd = self._descriptors.open(self.path, self)
            except FileNotFoundError:
                raise OSError(errno.ESTALE, "it has another name by now", self.path) from None
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) != self.identity:
                self._descriptors.closed(self)
                os.close(fd)
                raise OSError(errno.ESTALE, "another file has its name by now", self.path)
            self._fd = fd
            if self._is_kept:
                self._descriptors.keep(self)
        else:
            self._descriptors.used(self)
        return self._fd

    def keep(self) -> None:
        """Something is to be read from it: it has to be one of the last whose descriptor is taken."""
        self._is_kept = True
        self._descriptors.keep(self)

    def let_go(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def size(self) -> int:
        return os.fstat(self._descriptor()).st_size

    def close(self) -> None:
        if self._fd >= 0:
            self._descriptors.closed(self)
            self.let_go()


class PlainReader(_Holder):
    """A plain file, held by its descriptor: renaming or deleting it does not take it away.

    (Unless there are more files than descriptors: see :mod:`otel_logtail.tail.descriptors`.)
    """

    damage = ""

    def __init__(self, path: str, descriptors: Descriptors = DESCRIPTORS) -> None:
        super().__init__(path, descriptors)

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor(), length, offset)

    def read_into(self, view: memoryview, offset: int) -> int:
        fd = self._descriptor()
        return os.preadv(fd, [view], offset) if hasattr(os, "preadv") else _copy(self, view, offset)

    def changed(self) -> tuple[int, int, int]:
        """Its size, and when its bytes and its inode were changed the last time."""
        status = os.fstat(self._descriptor())
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class CompressedReader(_Holder):
    """A compressed file, read forwards; going back behind the last request begins anew.

    Memory is the codec's window and the last request, not the file's size.
    """

    def __init__(self, path: str, descriptors: Descriptors = DESCRIPTORS) -> None:
        self._opener = _decoder(path)
        self._stream: io.BufferedIOBase | None = None
        super().__init__(path, descriptors)
        self._rewind()

    def let_go(self) -> None:
        super().let_go()
        self._stream = None

    def _rewind(self) -> None:
        fd = self._descriptor()
        os.lseek(fd, 0, os.SEEK_SET)
        self._stream = self._opener(open(fd, "rb", closefd=False))  # noqa: SIM115
        self._start, self._kept = 0, bytearray()
        self.damage = ""

    def read_at(self, offset: int, length: int) -> bytes:
        self._descriptor()
        if self._stream is None or offset < self._start:
            self._rewind()
        kept = self._kept
        while self._start + len(kept) < offset + length:
            more = self._more()
            if not more:
                break
            kept += more
            behind = min(offset - self._start, len(kept))
            if behind > 0:
                del kept[:behind]
                self._start += behind
        at = offset - self._start
        return bytes(kept[at : at + length])

    def read_into(self, view: memoryview, offset: int) -> int:
        return _copy(self, view, offset)

    def _more(self) -> bytes:
        if self.damage or self._stream is None:
            return b""
        try:
            return self._stream.read1(_BLOCK_BYTES)
        except Exception as problem:  # each codec has errors of its own
            if isinstance(problem, OSError) and problem.errno is not None:
                raise
            self.damage = str(problem) or type(problem).__name__
            return b""


def _copy(reader: Reader, view: memoryview, offset: int) -> int:
    data = reader.read_at(offset, len(view))
    view[: len(data)] = data
    return len(data)


class _Opener(Protocol):
    def __call__(self, raw: BinaryIO, /) -> io.BufferedIOBase: ...


def _decoder(path: str) -> _Opener:
    if path.endswith(".gz"):
        return lambda raw: gzip.GzipFile(fileobj=raw)
    if path.endswith(".bz2"):
        return lambda raw: bz2.BZ2File(raw)
    if path.endswith(".xz"):
        return lambda raw: lzma.LZMAFile(raw)
    try:
        zstd = importlib.import_module("compression.zstd")  # Python 3.14
    except ImportError:
        raise OSError(errno.ENOTSUP, "this Python can't read zstd", path) from None
    return lambda raw: cast(io.BufferedIOBase, zstd.ZstdFile(raw))


def is_compressed(path: str) -> bool:
    """Whether a file of this name is read through a codec."""
    return path.endswith(_COMPRESSED)


def plain_name(path: str) -> str:
    """The path without what a compressor puts behind it."""
    for codec in _COMPRESSED:
        path = path.removesuffix(codec)
    return path


def open_reader(path: str) -> Reader:
    """Open a file for reading, whatever its name says about its codec.

    Raises:
        OSError: it can't be opened, is no regular file, or has a codec that this Python has not.
    """
    # asked once: between two questions a rotation may take the name away and give it to the next file
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return CompressedReader(path) if is_compressed(path) else PlainReader(path)


def fingerprint(data: bytes) -> Fingerprint:
    """The hash of these bytes; of none, the empty fingerprint."""
    return Fingerprint(len(data), hashlib.blake2b(data, digest_size=16).digest()) if data else Fingerprint()


def length(reader: Reader) -> int:
    """How many bytes it gives, up to its damage where it has any."""
    if isinstance(reader, PlainReader):
        return reader.size()
    position = 0
    while block := reader.read_at(position, _BLOCK_BYTES):
        position += len(block)
    return position


def holds(reader: Reader, state: FileState) -> bool:
    """Whether this file begins with what the state has read: the same head, and the same bytes before its position."""
    if state.head.length == 0 and state.anchor.length == 0:
        return False  # nothing was read yet: there is nothing to recognise it by
    try:
        return begins(reader, state) and goes_on(reader, state)
    except OSError:
        return False


def begins(reader: Reader, state: FileState) -> bool:
    """Whether this file has the head of this state."""
    return fingerprint(reader.read_at(0, state.head.length)) == state.head


def goes_on(reader: Reader, state: FileState) -> bool:
    """Whether this file has what this state has read right before its position."""
    return fingerprint(reader.read_at(state.offset - state.anchor.length, state.anchor.length)) == state.anchor


def identity_at(path: str) -> tuple[int, int] | None:
    """Device and inode of the file at a path; None: there is none that can be looked at."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def rotated_of(live: str, names: Names) -> list[str]:
    """The rotated files of a live path, oldest first; of a plain and a compressed one of the same name, the plain one.

    Names are the live name with ``.1``, ``.2024-01-31``, ``-20240131``, ``.1700000000`` and the like behind it (or
    before its extension), and perhaps ``.gz``, ``.bz2``, ``.xz`` or ``.zst``. Numbers grow with age, dates with youth.

    Args:
        live: The path that the program writes to.
        names: What is in its directory, at least all that begins as its name does.
    """
    folder, name = os.path.split(live)
    stem, extension = os.path.splitext(name)
    found: dict[str, tuple[tuple[int, int, str], str]] = {}
    if len(names) == 1 and names[0][0] == name:
        return []  # as it is mostly
    for other, _, kind in names:
        match = _rotated_as(other, name, stem, extension)
        if match is None or kind not in (FILE, LINK):
            continue
        path = os.path.join(folder, other)
        if kind == LINK and not os.path.isfile(path):
            continue
        plain, number = plain_name(other), match["number"]
        if plain not in found or is_compressed(found[plain][1]):
            found[plain] = ((1, -int(number), "") if number else (0, 0, match["date"]), path)
    ordered = sorted(found.values())
    if ordered and ordered[0][0][0] != ordered[-1][0][0]:
        ordered.sort(key=lambda one: _modified_ns(one[1]))  # two schemes at once: only the times can tell
    return [path for _, path in ordered]


def siblings(live: str, folders: Folders | None = None) -> list[str]:
    """The same, of what is there now (with ``folders``: when they were asked first)."""
    try:
        return rotated_of(live, (folders or Folders()).beside(live, 0.0, fresh=True))
    except OSError:
        return []


def _modified_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0  # it went while we looked


def _rotated_as(other: str, name: str, stem: str, extension: str) -> re.Match[str] | None:
    """What makes a name that of a rotated file of ``name``, which is ``stem + extension``."""
    if not other.startswith(stem) or other == name:
        return None
    plain = plain_name(other)
    if plain.startswith(name):
        return _BEHIND.fullmatch(plain[len(name) :])
    if extension and plain.endswith(extension):
        # proxy-8787.log is another live file, not proxy.log rotated
        return _BEFORE_EXTENSION.fullmatch(plain[len(stem) : -len(extension)])
    return None


def is_sibling(live: str, path: str) -> bool:
    """Whether a file of this path, there or not, counts as a rotated one of a live path."""
    (folder, name), (other_folder, other) = os.path.split(live), os.path.split(path)
    return folder == other_folder and _rotated_as(other, name, *os.path.splitext(name)) is not None


def is_rotated_name(path: str) -> bool:
    """Whether a file of this name was put aside by a rotation, as far as its name tells."""
    folder, name = os.path.split(path)
    sure, base = _rotated_from(name)
    # what stands before the extension tells only beside the live file that it belongs to
    return sure or (base != name and os.path.exists(os.path.join(folder, base)))


@lru_cache(maxsize=4096)  # the same names are asked about at each look
def _rotated_from(name: str) -> tuple[bool, str]:
    """Whether a name by itself says that it was rotated; and what it would be without what says so in its middle."""
    return bool(is_compressed(name) or _ROTATED_END.search(name)), _ROTATED_MIDDLE.sub(r"\g<extension>", name)
