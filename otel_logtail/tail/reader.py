"""Plain and compressed files as bytes at an offset."""

from __future__ import annotations

import errno
import io
import os
import stat
from abc import abstractmethod
from importlib import import_module
from typing import BinaryIO, Protocol, cast

from otel_logtail.tail.descriptors import DESCRIPTORS, Descriptors
from otel_logtail.tail.naming import is_compressed

_BLOCK_BYTES = 1 << 18
_STEP_BYTES = io.DEFAULT_BUFFER_SIZE
"""The bytes that are unpacked at once. A codec discards those before damage in the same step, so it is small, and the
same for every reader of a file."""


class Reader(Protocol):
    """An open file, plain or compressed; its bytes are those that the program wrote."""

    device: int
    inode: int
    damage: str
    """The reason why the codec cannot continue; empty if it can."""

    path: str
    """The last known path: the file may have to be opened again."""

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode

    @abstractmethod
    def read_at(self, offset: int, length: int) -> bytes:
        """Return at most ``length`` bytes from ``offset``; fewer only at the end, or where damage begins.

        Raises:
            OSError: The file cannot be read.
        """

    @abstractmethod
    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill a buffer with bytes from ``offset``; return how many there were.

        Raises:
            OSError: The file cannot be read.
        """

    @abstractmethod
    def size(self) -> int:
        """Return the present size on disk."""

    @abstractmethod
    def close(self) -> None:
        """Close the descriptor."""

    def keep(self) -> None:
        """Note that the file has something to read, even if it is deleted."""


class _Holder(Reader):
    """A reader whose descriptor may be closed while it is unused; then the file is opened again by its name."""

    def __init__(self, path: str, descriptors: Descriptors) -> None:
        self.path = path
        """The path by which the file is opened again."""
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
        """Note that the file has something to read: its descriptor is one of the last to be closed."""
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
    """A plain file, held by its descriptor: it can be read after it was renamed or deleted.

    That is not so if there are more files than descriptors (:mod:`otel_logtail.tail.descriptors`).
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
        """Return the size, and the times of the last change of content and inode."""
        status = os.fstat(self._descriptor())
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class CompressedReader(_Holder):
    """A compressed file, read forwards. To go back before the last request, it is unpacked from its start.

    Memory is bounded by the codec's window and the last request, not by the file's size.
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
            return self._stream.read1(_STEP_BYTES)
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


_CODECS = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}


def _decoder(path: str) -> _Opener:
    name = _CODECS.get(os.path.splitext(path)[1], "compression.zstd")  # from Python 3.14 on
    try:
        codec = import_module(name)  # most runs read no compressed file
    except ImportError:
        raise OSError(errno.ENOTSUP, f"this Python can't read {name.rpartition('.')[2]}", path) from None
    return lambda raw: cast(io.BufferedIOBase, codec.open(raw))


def open_reader(path: str) -> Reader:
    """Open a file for reading; the extension selects the codec.

    Raises:
        OSError: The file cannot be opened, is not a regular file, or has a codec that this Python lacks.
    """
    # one stat only: between two, a rotation may give the name to another file
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return CompressedReader(path) if is_compressed(path) else PlainReader(path)


def length(reader: Reader) -> int:
    """Return the number of bytes in a file, up to damage if there is any."""
    return ending(reader, 1)[0]


def ending(reader: Reader, most: int) -> tuple[int, bytes]:
    """Return the number of bytes in a file, up to damage if there is any, and the last ones of them.

    A compressed file is unpacked once for that.

    Raises:
        OSError: The file cannot be read.
    """
    if isinstance(reader, PlainReader):
        size = reader.size()
        return size, reader.read_at(max(0, size - most), most)
    position, last = 0, b""
    while block := reader.read_at(position, _BLOCK_BYTES):
        position += len(block)
        last = (last + block)[-most:]
    return position, last


def identity_at(path: str) -> tuple[int, int] | None:
    """Return device and inode of the file at a path; None if there is none, or it cannot be accessed."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
