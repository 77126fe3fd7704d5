"""The names in directories, listed at most once for all that is asked about them at one moment.

A directory's time of change tells whether its names are as they were, except for what happens within one tick of its
clock: so what was listed soon after a change is not relied on later.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left

import msgspec

SETTLED_NS = 3 * 10**9
"""How far back the last change must lie to be the last one: some file systems count whole seconds, FAT in twos."""

_AGE_S = 0.5
"""How often at most a directory is listed whose names come and go, while nothing speaks for a change of ours."""

Names = tuple[tuple[str, int], ...]
"""Names with their inodes, sorted."""


class _Listing(msgspec.Struct, frozen=True):
    identity: tuple[int, int, int]
    listed_s: float
    settled: bool
    names: list[tuple[str, int]]


class Folders:
    """What is in directories. Not for use by two threads at once."""

    def __init__(self) -> None:
        self._listings: dict[str, _Listing] = {}
        self._now: set[str] = set()

    def begin(self) -> None:
        """A new moment: from here on, each directory is looked at once more when it is asked for."""
        self._now.clear()

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
        stem, _ = os.path.splitext(name)  # noqa: PTH122 - at each look at each path
        names = self._names(folder or ".", now_s, fresh=fresh)
        first = last = bisect_left(names, (stem,))
        while last < len(names) and names[last][0].startswith(stem):
            last += 1
        return tuple(names[first:last])

    def _names(self, folder: str, now_s: float, *, fresh: bool) -> list[tuple[str, int]]:
        known = self._listings.get(folder)
        if known is not None and folder in self._now:
            return known.names
        self._now.add(folder)
        try:
            stat = os.stat(folder)  # noqa: PTH116 - the same
        except (FileNotFoundError, NotADirectoryError):
            self._listings.pop(folder, None)
            return []
        identity = stat.st_dev, stat.st_ino, stat.st_mtime_ns
        if known is not None:
            same = known.identity == identity
            if (same and known.settled) or (now_s - known.listed_s < _AGE_S and not fresh):
                return known.names
        settled = time.time_ns() - stat.st_mtime_ns >= SETTLED_NS
        names = _listed(folder)
        listing = _Listing(identity, now_s, settled and names is not None, names or [])
        self._listings[folder] = listing
        return listing.names


def _listed(folder: str) -> list[tuple[str, int]] | None:
    """Names with their inodes, sorted; None: it may be looked at, and not be listed (now)."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.inode()) for entry in entries)
    except OSError:
        return None
