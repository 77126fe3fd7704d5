"""The names in directories, each listed at most once per scan.

A directory's time of change shows whether its names have changed, except within one tick of the file system's clock.
So a listing that was made soon after a change is not reused.
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
"""How old a change must be so that a later one has another time: some file systems count whole seconds, FAT every 2."""

_AGE_S = 0.5
"""How often at most a directory is listed whose names change, if there is no sign that one of ours has changed."""

Names = tuple[tuple[str, int, str], ...]
"""Names with their inodes and kinds (see :data:`FILE`), sorted."""

FILE, LINK, OTHER = "file", "link", "other"
"""The kind of a directory entry: a regular file, a symbolic link, or something else."""

_Derived = TypeVar("_Derived")


class Listing(msgspec.Struct):
    """The content of one directory at one moment. It never changes, so that ``derive`` can keep results."""

    folder: str
    identity: tuple[int, int, int]
    listed_s: float
    settled: bool
    """True if the listing is valid until the directory's time of change is another one."""
    names: list[tuple[str, int, str]]
    _derived: dict[Hashable, object] = msgspec.field(default_factory=dict)

    def beside(self, name: str) -> Names:
        """Return the names that begin like this one (before its extension)."""
        dot = name.rfind(".")
        stem = name[:dot] if dot > 0 else name
        names = self.names
        first = last = bisect_left(names, (stem,))
        while last < len(names) and names[last][0].startswith(stem):
            last += 1
        return tuple(names[first:last])

    def kind_of(self, name: str) -> str:
        """Return the kind of a name; empty if it does not exist."""
        at = bisect_left(self.names, (name,))
        return self.names[at][2] if at < len(self.names) and self.names[at][0] == name else ""

    def derive(self, key: Hashable, work: Callable[[Listing], _Derived]) -> _Derived:
        """Return a result that depends only on these names, computed at the first call with this key."""
        if key not in self._derived:
            self._derived[key] = work(self)
        return self._derived[key]  # type: ignore[return-value]


class Folders:
    """The listings of directories. Not for use by two threads at once."""

    def __init__(self) -> None:
        self._listings: dict[str, Listing] = {}
        self._now: set[str] = set()
        self._reused: set[str] = set()  # directories whose listing is older than this scan
        self._real: dict[str, str] = {}
        self.listed = 0
        """The number of names that were listed so far."""

    def begin(self) -> None:
        """Begin a scan: each directory is checked again when its listing is requested."""
        self._now.clear()
        self._reused.clear()
        self._real.clear()

    def forget_others(self) -> None:
        """Forget all listings that were not requested in this scan."""
        self._listings = {folder: listing for folder, listing in self._listings.items() if folder in self._now}

    def beside(self, path: str, now_s: float, *, fresh: bool) -> Names:
        """Return the names in a path's directory that begin like its own (before its extension).

        Args:
            path: A path; neither the file nor the directory need exist.
            now_s: A monotonic clock.
            fresh: Whether a change of the last half second matters.

        Raises:
            OSError: The directory cannot be accessed.
        """
        folder, _, name = path.rpartition("/")
        return self.listing(folder or ("/" if path.startswith("/") else "."), now_s, fresh=fresh).beside(name)

    def is_link(self, path: str) -> bool:
        """Return whether a path is a symbolic link, as far as the last listing of its directory shows."""
        folder, _, name = path.rpartition("/")
        listing = self._listings.get(folder or "/")
        kind = "" if listing is None else listing.kind_of(name)
        return kind == LINK if kind else os.path.islink(path)

    def real(self, folder: str) -> str:
        """Return the real path of a directory, as of this scan."""
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return self._real[folder]

    def listing(self, folder: str, now_s: float, *, fresh: bool, again: bool = False) -> Listing:
        """Return the content of a directory; empty if there is none. ``again``: it has changed during this scan.

        Raises:
            OSError: The directory cannot be accessed.
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
    """Return names with inodes and kinds, sorted; None if the directory cannot be listed now."""
    try:
        with DESCRIPTORS.spare(lambda: os.scandir(folder)) as entries:
            return sorted((entry.name, entry.inode(), _kind(entry)) for entry in entries)
    except OSError as problem:
        if problem.errno in EXHAUSTED:
            raise  # a directory that cannot be listed must not look like an empty one
        return None


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_file(follow_symlinks=False):
            return FILE
    except OSError:  # the file system does not store kinds, and refuses a stat
        return OTHER
    return LINK if entry.is_symlink() else OTHER
