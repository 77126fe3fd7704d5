"""A file of OTLP JSON lines: always whole lines, after a crash and after a failed write too.

Nothing is cut off or removed but what such a program has written: a file that starts with something else, or whose
unfinished last line does, is refused. New files are for their owner alone, as the store is. Known limit: lines of
others in the middle of the file are not noticed.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from otel_logtail.ownfile import open_own

_LOOK_BACK = 64 * 1024
_BEGINNINGS = (b'{"resourceMetrics":', b'{"resourceSpans":', b'{"resourceLogs":')
_FOREIGN = "it holds something else than OTLP JSON lines"


class LineFile:
    """The file, open and locked, while a batch is written: always whole lines, also when a write fails."""

    def __init__(self, path: Path, mode: int | None = None) -> None:
        self._fd: int | None = open_own(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_ours(os.pread(self._fd, _LOOK_BACK, 0)):
                raise OSError(_FOREIGN)
            if mode is not None:
                os.fchmod(self._fd, mode)
            found = os.fstat(self._fd)
            self.mode = stat.S_IMODE(found.st_mode)
            self.size = self._whole_lines(found.st_size)
            self._path, self._new = path, self.size == 0
        except BlockingIOError:
            self._free()
            raise OSError("another process is writing it") from None
        except BaseException:
            self._free()
            raise

    def append(self, line: bytes) -> None:
        """Append a line as a whole, or not at all."""
        assert self._fd is not None  # noqa: S101 - for the type checker: nothing is appended to a closed one
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(line)

    def close(self) -> None:
        """Sync it to the disk and close it."""
        if self._fd is not None:
            try:
                os.fsync(self._fd)
                if self._new:
                    _sync_names(self._path.parent)
            finally:
                self._free()

    def give_up(self) -> bool:
        """Close it after something failed, if it is open; returns whether that brought what it holds to the disk."""
        if self._fd is None:  # it could not be synced, or was before
            return False
        try:
            self.close()
        except OSError:
            return False
        return True

    def _free(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _whole_lines(self, size: int) -> int:
        """Cut off what is behind the last newline (a crash left it there), and return the size."""
        assert self._fd is not None  # noqa: S101 - for the type checker
        end = size
        while end:
            start = max(0, end - _LOOK_BACK)
            newline = os.pread(self._fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if not _is_ours(os.pread(self._fd, _LOOK_BACK, end)):
            raise OSError(_FOREIGN)
        if end < size:
            os.ftruncate(self._fd, end)
        return end


def _is_ours(text: bytes) -> bool:
    """Return whether a line begins like ours; an incomplete line after a crash, or one with NULs, may be shorter."""
    written = text.rstrip(b"\0")
    return any(written.startswith(beginning) or beginning.startswith(written) for beginning in _BEGINNINGS)


def see_that_it_is_ours(path: Path) -> None:
    """See that a file may be continued and removed.

    Raises:
        OSError: it is no regular file, or others have written it.
    """
    fd = open_own(path, os.O_RDONLY)
    try:
        if not _is_ours(os.pread(fd, _LOOK_BACK, 0)):
            raise OSError(0, _FOREIGN, str(path))
    finally:
        os.close(fd)


def _sync_names(folder: Path) -> None:
    """Sync what the files of a directory are called: a new one is there after a power loss, too."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
