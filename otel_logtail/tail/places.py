"""The places of the live paths' files: a changed path is compared with few of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator

from otel_logtail.observer import PathRule
from otel_logtail.tail.live import PathTail
from otel_logtail.tail.patterns import Patterns
from otel_logtail.tail.reader import identity_at


class Places:
    """The directories, open files and names of all live paths."""

    def __init__(self, tails: Iterable[PathTail], patterns: Patterns, rule: PathRule) -> None:
        self._patterns = patterns
        self._rule = rule
        self.directories = patterns.folders()
        self._open: set[tuple[int, int]] = set()
        self._linked: list[PathTail] = []
        self._stems: dict[str, list[str]] = {}
        for tail in tails:
            self._open.update(tail.open)
            if len(tail.files.bases) > 1:
                self._linked.append(tail)
            for base in tail.files.bases:
                folder, _, name = base.rpartition("/")
                self.directories.add(folder or "/")
                dot = name.rfind(".")
                stem = base if dot <= 0 else base[: dot - len(name)]
                self._stems.setdefault(stem, []).append(tail.live)
            # a file that is read to its end may be elsewhere by now, such as in the folder that a link led to
            self.directories.update([state.path.rpartition("/")[0] or "/" for state in tail.held])

    def concerned(self, changed: Collection[str], live: Collection[str]) -> Collection[str] | None:
        """Return the live paths that changes of paths can be about; None if that may be any of them.

        Other programs may write in a directory of logs all the time. A path that has none of our names, and is not one
        of our files under another name, is ignored. ``live`` are the changed paths that are live paths.
        """
        found = set(live)
        for path in found.symmetric_difference(changed):
            if self._rule.is_copy(os.path.basename(path)):
                continue
            if path in self.directories or self._patterns.could_find(path):
                return None
            if os.path.dirname(path) not in self.directories:
                return None  # some systems report real paths, any links lead there
            if identity_at(path) in self._open or any(tail.files.is_elsewhere() for tail in self._linked):
                return None  # a file of ours went to another name
            found.update(self._may_be(path))
        return found

    def _may_be(self, path: str) -> Iterator[str]:
        """Yield the live paths whose files may have this name, or may get it."""
        for end in range(path.rindex("/") + 1, len(path) + 1):
            yield from self._stems.get(path[:end], ())
