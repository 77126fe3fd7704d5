"""The live paths that may have something to read, in an order that changes while they are read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from heapq import heappop, heappush, heapreplace
from math import inf

Entry = tuple[float, str]
"""The place of a live path in the order, as far as it was known, and the path."""


class ReadyPaths:
    """A heap of live paths. An entry that is out of date is corrected when it is the first."""

    def __init__(self) -> None:
        self._ready: set[str] = set()
        self._entries: list[Entry] = []
        # the paths with an entry: only one each, or a chunk would be read twice before it is accepted
        self._with_entry: set[str] = set()

    @property
    def paths(self) -> Collection[str]:
        """The paths that may have more to read."""
        return self._ready

    def add(self, live: str) -> None:
        """Note that a path may have something to read."""
        if live in self._ready:
            return
        self._ready.add(live)
        if live not in self._with_entry:
            self._with_entry.add(live)
            heappush(self._entries, (-inf, live))

    def discard(self, live: str) -> None:
        """Note that a path has nothing to read any more."""
        self._ready.discard(live)

    def first(self, order: Callable[[str], int]) -> str | None:
        """Return the path that is first by ``order``, and make its entry the first one."""
        entries = self._entries
        while entries:
            known, live = entries[0]
            if live not in self._ready:
                heappop(entries)
                self._with_entry.discard(live)
            elif (now := order(live)) > known:
                heapreplace(entries, (now, live))
            else:
                return live
        return None

    def second(self, order: Callable[[str], int], but: str) -> str | None:
        """Return the first path by ``order`` that is not this one."""
        taken = self.take() if self.first(order) == but else None
        found = self.first(order)
        if taken is not None:
            self.put_back(taken)
        return found

    def take(self) -> Entry:
        """Take out the first entry; it is to be put back, or its path to be ended."""
        return heappop(self._entries)

    def put_back(self, entry: Entry) -> None:
        """Put back an entry that was taken."""
        heappush(self._entries, entry)

    def end(self, entry: Entry) -> None:
        """Note that the path of a taken entry is read to its end."""
        self._ready.discard(entry[1])
        self._with_entry.discard(entry[1])
