"""The names and files of one live path: which there are now, and all of them opened as of one moment."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping

import msgspec

from otel_logtail.events import Reporter
from otel_logtail.model import FileState
from otel_logtail.tail.directories import FILE, LINK, Folders, Listing, Names
from otel_logtail.tail.naming import rotated_of, siblings
from otel_logtail.tail.reader import Reader, identity_at, open_reader

_TRIES = 5
"""How often the names are listed again if they change while the files are opened."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Opened(msgspec.Struct, frozen=True):
    """The open files of a live path.

    ``readers`` are in order: the oldest first, the live file last. ``elsewhere`` are those of their paths that only a
    checkpoint names. ``complete``: every file that exists could be opened.
    """

    readers: dict[str, Reader]
    elsewhere: list[str]
    complete: bool


class PathFiles:
    """The names of one live path's files, and how the files are opened.

    ``ring``: the order of rotated files is that of their times.
    """

    def __init__(self, live: str, folders: Folders, reporter: Reporter, *, ring: bool) -> None:
        self.live = live
        self._ring = ring
        self.bases: tuple[str, ...] = (live,)
        """The names beside which rotated files were found last: the live path, and its link target."""
        self._folders = folders
        self._reporter = reporter
        self._folder, self._name = os.path.split(live)
        self._listing: Listing | None = None
        self._names: tuple[Names, ...] = ()

    def status(self) -> tuple[int, ...]:
        """Return device, inode, size and times of the live file; empty if there is none."""
        try:
            stat = os.stat(self.live)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns

    def names(self, now_s: float, *, fresh: bool) -> tuple[Names, ...]:
        """Return the names like those of rotated files: the same tuple as long as the directory is unchanged."""
        listing = self._folders.listing(self._folder or ".", now_s, fresh=fresh)
        if listing is not self._listing or len(self.bases) > 1:
            self._listing = listing
            self.bases = (self.live,) if listing.kind_of(self._name) == FILE else self._links()
            if len(self.bases) == 1:
                names: tuple[Names, ...] = (listing.beside(self._name),)
            else:
                names = tuple([self._folders.beside(base, now_s, fresh=fresh) for base in self.bases])
            self._names = self._names if names == self._names else names
        return self._names

    def is_quiet(self) -> bool:
        """Return whether the names have been unchanged for long, or there is none that could change unseen."""
        if len(self.bases) > 1 or self._listing is None:
            return False
        return self._listing.settled or len(self._names[0]) <= 1

    def is_elsewhere(self) -> bool:
        """Return whether the live path is a link that leads to another file than at the last scan."""
        return len(self.bases) > 1 and os.path.realpath(self.live) != self.bases[0]

    def place(self, path: str) -> str:
        """Return the name by which a file is found again even if a symbolic link in or above it is switched."""
        if path == self.live and len(self.bases) > 1:
            return self.bases[0]
        folder, _, name = path.rpartition("/")
        return f"{self._folders.real(folder or '/').rstrip('/')}/{name}"

    def open(self, now_s: float, unfinished: Iterable[FileState]) -> Opened:
        """Open all files, also those at the last known places of unfinished checkpoints.

        Raises:
            OSError: The live file cannot be opened, or there are too few descriptors.
        """
        before: object = None
        for tries_left in reversed(range(_TRIES)):
            listed = self._listed(now_s, again=before is not None)
            elsewhere = self._elsewhere(listed, unfinished, now_s)
            readers, complete, inodes = self._open_all([*elsewhere, *listed])
            # A rotation renames files one after the other: the listing and the open files must be of one moment. If a
            # directory shows another inode each time, something is mounted on the name.
            now = (listed, inodes)
            if not tries_left or now == before or _are_of_one_moment(listed, inodes, readers):
                return Opened(readers, elsewhere, complete)
            before = now
            close_all(readers.values())
        raise AssertionError  # the last try returns

    def _listed(self, now_s: float, *, again: bool) -> dict[str, int | None]:
        """Return the paths with their inodes (None: a link): rotated files first, the oldest of them first."""
        found: dict[str, int | None] = {}
        live = None
        own = self._folders.listing(self._folder or ".", now_s, fresh=True, again=again)
        self.bases = (self.live,) if own.kind_of(self._name) == FILE else self._links()
        for base in self.bases:
            is_own = base == self.live
            folder, name = (self._folder, self._name) if is_own else os.path.split(base)
            listing = own if is_own else self._folders.listing(folder or ".", now_s, fresh=True, again=again)
            names = listing.beside(name)
            by_name = {other: inode if kind != LINK else None for other, inode, kind in names}
            found.update((path, by_name[path.rpartition("/")[2]]) for path in rotated_of(base, names, ring=self._ring))
            live = by_name.get(name) if is_own else live
        return {**found, self.live: live}

    def _links(self) -> tuple[str, ...]:
        """Return the names that a rotation starts from: the live path, and what it links to."""
        return (os.path.realpath(self.live), self.live) if os.path.islink(self.live) else (self.live,)

    def _elsewhere(self, listed: Iterable[str], unfinished: Iterable[FileState], now_s: float) -> list[str]:
        """Return the paths of unfinished files that none of the listed names leads to.

        That is where a symbolic link led before, in the path or above it, and the rotated files there.
        """
        if not unfinished:
            return []
        usual = {self.place(path) for path in (*listed, self.live)}
        last = dict.fromkeys(state.path for state in unfinished if state.path not in usual)
        there = [path for base in last for path in (*siblings(base, self._folders, now_s, ring=self._ring), base)]
        return [path for path in dict.fromkeys(there) if path not in usual and os.path.isfile(path)]

    def _open_all(self, paths: Iterable[str]) -> tuple[dict[str, Reader], bool, dict[str, int | None]]:
        """Return the readers, whether all files could be opened, and the inode of each path (None: no file)."""
        readers: dict[str, Reader] = {}
        names: dict[tuple[int, int], str] = {}
        inodes: dict[str, int | None] = {}
        complete = True
        try:
            for path in paths:
                try:
                    reader = open_reader(path)
                except (FileNotFoundError, NotADirectoryError):
                    inodes[path] = None
                    continue
                except OSError as problem:
                    if path == self.live or problem.errno in _EXHAUSTED:
                        raise  # without this file, the order of the others is unknown
                    self._reporter.unreadable(path, problem.strerror or str(problem))
                    complete = False
                    continue
                if reader.identity in names:
                    readers.pop(names[reader.identity]).close()  # two names of one file
                readers[path], names[reader.identity] = reader, path
                inodes[path] = reader.inode
        except BaseException:
            close_all(readers.values())
            raise
        return readers, complete, inodes


def _are_of_one_moment(
    listed: Mapping[str, int | None], inodes: Mapping[str, int | None], readers: Mapping[str, Reader]
) -> bool:
    for path, inode in listed.items():
        if inode is None:  # a link, or not listed
            if path in readers and identity_at(path) != readers[path].identity:
                return False
        elif path in inodes and inodes[path] != inode:
            return False
    return True


def close_all(readers: Iterable[Reader]) -> None:
    """Close these readers."""
    for reader in readers:
        reader.close()
