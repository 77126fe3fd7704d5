"""Files that otel-logtail writes, opened without following links that another user planted in their place.

A symbolic link, a second name of another file (a hard link), a directory, a FIFO or a device at the path of an output
is an error: writing there would overwrite a file that the user did not name.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_WHAT = {
    errno.ELOOP: "it is a symbolic link",
    errno.EMLINK: "the file has another name too (a hard link)",
    errno.EISDIR: "it is a directory",
    errno.EEXIST: "it holds something that otel-logtail has not written",
    errno.EINVAL: "it is not a regular file",
}


class NotOurs(OSError):
    """The path of an output is that of a file which must not be written."""


def open_own(path: Path, flags: int, mode: int = 0o600) -> int:
    """Open a file of ours and return its descriptor, which programs that are started do not inherit.

    Args:
        path: The file. Its folder may be reached through links; the file itself may not be one.
        flags: Those of ``os.open``. ``O_TRUNC`` takes effect only after the checks.
        mode: The permissions of a file that is created.

    Raises:
        NotOurs: a link, or something that is not a regular file, has this path; ``strerror`` names it.
        OSError: the system refused.
    """
    safe = flags & ~os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not make us wait
    try:
        descriptor = os.open(path, safe, mode)
    except OSError as problem:
        if problem.errno == errno.ELOOP and path.is_symlink():
            raise _not_ours(errno.ELOOP, path) from None
        if problem.errno == errno.ENXIO:  # a socket, or a FIFO without a reader
            raise _not_ours(errno.EINVAL, path) from None
        raise
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise _not_ours(errno.EISDIR, path)
        if not stat.S_ISREG(status.st_mode):
            raise _not_ours(errno.EINVAL, path)
        if status.st_nlink > 1:
            raise _not_ours(errno.EMLINK, path)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_own(path: Path, limit: int = 4096) -> str | None:
    """Return the text of a small file of ours, or None if there is none; planted files are not read."""
    try:
        descriptor = open_own(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.read(descriptor, limit).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)


def replace_own(path: Path, data: bytes, *, begins: bytes) -> None:
    """Write a file as a whole, so that no reader sees a part of the new content.

    Args:
        path: The file. One that is there keeps its permissions; a new one is for its owner alone.
        data: All that it is to hold.
        begins: What such a file begins with. One that is there and begins otherwise belongs to another program.

    Raises:
        NotOurs: the file is of another program.
        OSError: the system refused; no file is left over.
    """
    mode = 0o600
    if os.path.lexists(path):
        descriptor = open_own(path, os.O_RDWR)
        try:
            if not begins.startswith(os.pread(descriptor, len(begins), 0)):
                raise _not_ours(errno.EEXIST, path)
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
    beside = path.with_name(path.name + ".new")
    with open(open_own(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        try:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def _not_ours(number: int, path: Path) -> NotOurs:
    return NotOurs(number, _WHAT[number], str(path))
