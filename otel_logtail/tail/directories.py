"""The names in directories, listed at most once for all that is asked about them at one moment.

A directory's time of change tells whether its names are as they were, except for what happens within one tick of its
clock: so what was listed soon after a change is not relied on later.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Hashable
from typing import TypeVar

import msgspec

from otel_logtail.tail.descriptors import DESCRIPTORS, EXHAUSTED

SETTLED_NS = 3 * 10**9
"""How far back the last change must lie to be the last one: some file systems count whole seconds, FAT in twos."""

_AGE_S = 0.5
"""How often at most a directory is listed whose names come and go, while nothing speaks for a change of ours."""

Names = tuple[tuple[str, int, str], ...]
"""Names with their inodes and kinds (see :data:`FILE`), sorted."""

FILE, LINK, OTHER = "file", "link", "other"
"""What a name stands for by itself: a regular file, a symbolic link, or something else."""

_Derived = TypeVar("_Derived")


class Listing(msgspec.Struct):
    """What was in one directory at one moment. Never changed: what follows from it is worked out once (``derive``)."""

    folder: str
    identity: tuple[int, int, int]
    listed_s: float
    settled: bool
    """Whether another listing is only due once the directory's time of change is another one."""
    names: list[tuple[str, int, str]]
    _derived: dict[Hashable, object] = msgspec.field(default_factory=dict)

    def beside(self, name: str) -> Names:
        """The names that begin as this one does (before its extension)."""
        stem, _ = os.path.splitext(name)
        names = self.names
        first = last = bisect_left(names, (stem,))
        while last < len(names) and names[last][0].startswith(stem):
            last += 1
        return tuple(names[first:last])

    def kind_of(self, name: str) -> str:
        """What a name stands for; empty where there is none."""
        at = bisect_left(self.names, (name,))
        return self.names[at][2] if at < len(self.names) and self.names[at][0] == name else ""

    def derive(self, key: Hashable, work: Callable[[Listing], _Derived]) -> _Derived:
        """What follows from these names alone, worked out at the first call with this key."""
        if key not in self._derived:
            self._derived[key] = work(self)
        return self._derived[key]  # type: ignore[return-value]


class Folders:
    """What is in directories. Not for use by two threads at once."""

    def __init__(self) -> None:
        self._listings: dict[str, Listing] = {}
        self._now: set[str] = set()
        self._reused: set[str] = set()  # of these, what is known is older than this moment
        self._real: dict[str, str] = {}
        self.listed = 0
        """How many names were listed so far."""

    def begin(self) -> None:
        """A new moment: from here on, each directory is looked at once more when it is asked for."""
        self._now.clear()
        self._reused.clear()
        self._real.clear()

    def forget_others(self) -> None:
        """Know only those that were asked for at this moment."""
        self._listings = {folder: listing for folder, listing in self._listings.items() if folder in self._now}

    def beside(self, path: str, now_s: float, *, fresh: bool) -> Names:
        """The names in a path's directory that begin as its own does (before its extension); none without a directory.

        Args:
            path: Of a file that need not be there.
            now_s: A monotonic clock.
            fresh: Whether a change of the last half second matters, too.

        Raises:
            OSError: nobody may look at the directory.
        """
        folder, name = os.path.split(path)
        return self.listing(folder or ".", now_s, fresh=fresh).beside(name)

    def real(self, folder: str) -> str:
        """Where a directory is at this moment, whatever links lead there."""
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return self._real[folder]

    def listing(self, folder: str, now_s: float, *, fresh: bool, again: bool = False) -> Listing:
        """What is in a directory; nothing without one. ``again``: it is known to have changed at this moment.

        Raises:
            OSError: nobody may look at it.
        """
        known = self._listings.get(folder)
        if known is not None and folder in self._now and not again and not (fresh and folder in self._reused):
            return known
        self._now.add(folder)
        self._reused.discard(folder)
        try:
            stat = os.stat(folder)
        except (FileNotFoundError, NotADirectoryError):
            self._listings.pop(folder, None)
            return Listing(folder, (0, 0, 0), now_s, settled=False, names=[])
        identity = stat.st_dev, stat.st_ino, stat.st_mtime_ns
        if known is not None and not again:
            same = known.identity == identity
            if same and known.settled:
                return known
            if now_s - known.listed_s < _AGE_S and not fresh:
                self._reused.add(folder)
                return known
        settled = time.time_ns() - stat.st_mtime_ns >= SETTLED_NS
        names = _listed(folder)
        self.listed += len(names or ())
        listing = Listing(folder, identity, now_s, settled and names is not None, names or [])
        self._listings[folder] = listing
        return listing


def _listed(folder: str) -> list[tuple[str, int, str]] | None:
    """Names with their inodes and kinds, sorted; None: it may be looked at, and not be listed (now)."""
    try:
        with DESCRIPTORS.spare(lambda: os.scandir(folder)) as entries:
            return sorted((entry.name, entry.inode(), _kind(entry)) for entry in entries)
    except OSError as problem:
        if problem.errno in EXHAUSTED:
            raise  # that nothing could be listed must not look like nothing being there
        return None


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_file(follow_symlinks=False):
            return FILE
    except OSError:  # on a file system that has to be asked for it, and refuses
        return OTHER
    return LINK if entry.is_symlink() else OTHER
