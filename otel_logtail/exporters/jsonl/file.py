"""A file of OTLP JSON lines: always whole lines, also after a crash or a failed write.

Only lines of this program are truncated or removed. A file is refused if it, or its incomplete last line, starts with
anything else. New files are readable by their owner only, as the store is. Known limit: lines of other programs in the
middle of the file are not noticed.
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
    """The file, open and locked, while a batch is written."""

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
        """Append a whole line or nothing."""
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
        """Sync the file to the disk and close it."""
        if self._fd is not None:
            try:
                os.fsync(self._fd)
                if self._new:
                    _sync_names(self._path.parent)
            finally:
                self._free()

    def give_up(self) -> bool:
        """Close the file after a failure, if it is open; return whether its lines are synced to the disk."""
        if self._fd is None:  # it could not be synced, or was synced before
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
        """Remove an incomplete line that a crash left at the end, and return the size."""
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
    """Return whether a line starts as ours do. After a crash a line may be shorter, or be NULs."""
    written = text.rstrip(b"\0")
    return any(written.startswith(beginning) or beginning.startswith(written) for beginning in _BEGINNINGS)


def see_that_it_is_ours(path: Path) -> None:
    """Check that a file may be continued and removed.

    Raises:
        OSError: it is not a regular file, or another program has written it.
    """
    fd = open_own(path, os.O_RDONLY)
    try:
        if not _is_ours(os.pread(fd, _LOOK_BACK, 0)):
            raise OSError(0, _FOREIGN, str(path))
    finally:
        os.close(fd)


def _sync_names(folder: Path) -> None:
    """Sync the names of a directory, so that a new file exists after a power loss."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
