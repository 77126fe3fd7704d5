"""Open files, as many as the process may have at once.

There may be more files than descriptors: all backups of a log are told apart, and each renamed file is read on for a
while. So a file that was not used for long may be closed behind its reader's back, and is opened again by its name when
it is needed. Files that something is still to be read from come last: a file that was deleted can't be opened again.
"""

from __future__ import annotations

import errno
import os
import resource
from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeVar

MANY_FILES = 65_536
"""Open files enough for all backups that a directory may hold, and for renamed ones that are read on."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE)
"""No descriptor is left, of this process or of the system."""

_Opened = TypeVar("_Opened")

_OTHERS = 64
"""For the store, exporters, file system events."""

_LEAST = 8


class Holder(Protocol):
    """Whoever has a descriptor and can do without for a while."""

    @abstractmethod
    def let_go(self) -> None:
        """Close it: it is opened again when it is needed."""


class Descriptors:
    """The descriptors of readers. Not for use by two threads at once."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        # the one that was used last comes last
        self._loose: dict[Holder, None] = {}
        self._kept: dict[Holder, None] = {}

    @property
    def most(self) -> int:
        """How many there may be at once."""
        if self._most is None:
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            soft = MANY_FILES if soft == resource.RLIM_INFINITY else min(soft, MANY_FILES)
            self._most = max(_LEAST, min(soft - _OTHERS, soft * 3 // 4))
        return self._most

    def __len__(self) -> int:
        return len(self._loose) + len(self._kept)

    def open(self, path: str, holder: Holder) -> int:
        """Open a file for this holder, and close another one's for it where there are too many.

        Raises:
            OSError: it can't be opened.
        """
        while len(self) >= self.most and self._free_one():
            pass
        descriptor = self.spare(lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        self._loose[holder] = None
        return descriptor

    def spare(self, call: Callable[[], _Opened]) -> _Opened:
        """Do what takes a descriptor; where there is none left, one of a holder is closed for it.

        Raises:
            OSError: it can't be done.
        """
        while True:
            try:
                return call()
            except OSError as problem:
                if problem.errno not in EXHAUSTED or not self._free_one():
                    raise

    def used(self, holder: Holder) -> None:
        """Note that this one is in use: others are closed before it."""
        holders = self._kept if holder in self._kept else self._loose
        del holders[holder]
        holders[holder] = None

    def keep(self, holder: Holder) -> None:
        """Something is to be read from this one: it is closed after those of which nothing is known."""
        if holder in self._loose:
            del self._loose[holder]
            self._kept[holder] = None

    def closed(self, holder: Holder) -> None:
        """Note that this one has closed its descriptor by itself."""
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
        """Let this process open more files than a shell lets it (often 1024), as far as the system allows."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            except (OSError, ValueError):
                pass  # it goes on with what it has
        self._most = None


DESCRIPTORS = Descriptors()
"""Those of this process."""
