"""Open files, as many as the process may have at once.

There may be more files than descriptors: all backups of a log are identified, and each renamed file is read for a
while. So the file that was unused the longest is closed, and opened again by its name when it is needed. Files with
unread bytes are closed last: a deleted file cannot be opened again.
"""

from __future__ import annotations

import errno
import os
import resource
from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeVar

MANY_FILES = 65_536
"""Enough open files for all backups in a directory, and for renamed files that are still read."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE)
"""There are no descriptors left, in this process or in the system."""

_Opened = TypeVar("_Opened")

_OTHERS = 64
"""Descriptors for the store, exporters and file system events."""

_LEAST = 8


class Holder(Protocol):
    """An object with a descriptor that can be closed for a while."""

    @abstractmethod
    def let_go(self) -> None:
        """Close the descriptor: it is opened again when it is needed."""


class Descriptors:
    """The descriptors of readers. Not for use by two threads at once."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        # the most recently used one is last
        self._loose: dict[Holder, None] = {}
        self._kept: dict[Holder, None] = {}

    @property
    def most(self) -> int:
        """The limit on open files."""
        if self._most is None:
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            soft = MANY_FILES if soft == resource.RLIM_INFINITY else min(soft, MANY_FILES)
            self._most = max(_LEAST, min(soft - _OTHERS, soft * 3 // 4))
        return self._most

    def __len__(self) -> int:
        return len(self._loose) + len(self._kept)

    def open(self, path: str, holder: Holder) -> int:
        """Open a file for this holder; if there are too many, close another holder's first.

        Raises:
            OSError: The file cannot be opened.
        """
        while len(self) >= self.most and self._free_one():
            pass
        descriptor = self.spare(lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        self._loose[holder] = None
        return descriptor

    def spare(self, call: Callable[[], _Opened]) -> _Opened:
        """Make a call that needs a descriptor; if there is none left, close a holder's and try again.

        Raises:
            OSError: The call fails.
        """
        while True:
            try:
                return call()
            except OSError as problem:
                if problem.errno not in EXHAUSTED or not self._free_one():
                    raise

    def used(self, holder: Holder) -> None:
        """Note that this holder is in use: others are closed before it."""
        holders = self._kept if holder in self._kept else self._loose
        del holders[holder]
        holders[holder] = None

    def keep(self, holder: Holder) -> None:
        """Note that this holder has something to read: it is closed after the others."""
        if holder in self._loose:
            del self._loose[holder]
            self._kept[holder] = None

    def closed(self, holder: Holder) -> None:
        """Note that this holder has closed its descriptor by itself."""
        self._loose.pop(holder, None)
        self._kept.pop(holder, None)

    def _free_one(self) -> bool:
        for holders in (self._loose, self._kept):
            if holders:
                holder = next(iter(holders))
                del holders[holder]
                holder.let_go()
                return True
        return False

    def allow_many(self) -> None:
        """Raise the process's limit on open files (often 1024), as far as the system allows."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            except (OSError, ValueError):
                pass  # the limit stays as it is
        self._most = None


DESCRIPTORS = Descriptors()
"""The descriptors of this process."""
