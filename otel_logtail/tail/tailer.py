"""A set of paths as one endless source of chunks: which live paths there are, and one tail for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from heapq import heappop, heappush, heapreplace
from math import inf

from otel_logtail.events import Reporter
from otel_logtail.model import Chunk, FileState
from otel_logtail.observer import PathRule
from otel_logtail.tail.checkpoints import Book
from otel_logtail.tail.directories import Folders
from otel_logtail.tail.discover import discover
from otel_logtail.tail.lines import CHUNK_BYTES, new_buffer
from otel_logtail.tail.live import Looked, PathTail
from otel_logtail.tail.naming import rotated_of
from otel_logtail.tail.others import OtherPaths, Table, holds_at
from otel_logtail.tail.patterns import Patterns
from otel_logtail.tail.places import Places
from otel_logtail.tail.reader import identity_at

_TOGETHER = 500
"""Of so many new live paths the files are remembered at once: what else waits for the store waits no longer for it."""


class Tail:
    """All live paths of one source.

    Files that are there at the first look and not known begin at their start, or at their end without ``from_start``.
    Files that appear later begin at their start. ``unread`` are live paths that were there at a first look before this
    one, and could not be read: they begin at their end once they can.
    """

    def __init__(
        self,
        patterns: Collection[str],
        rule: PathRule,
        states: Iterable[FileState],
        book: Book,
        reporter: Reporter,
        *,
        trusted: bool,
        from_start: bool,
        unread: Collection[str] = (),
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._stopping = stopping
        self._rule = rule
        self._trusted = trusted
        self._book = book
        self._reporter = reporter
        self._from_start = from_start
        self._unread = frozenset(unread)
        self._buffer = new_buffer()
        self._folders = Folders()
        self._known: dict[str, list[FileState]] = {}
        for state in states:
            self._known.setdefault(state.live, []).append(state)
        self._patterns = Patterns(patterns, self._known)
        self._tails: dict[str, PathTail] = {}
        self._elsewhere = OtherPaths(self._known, self._tails)
        self._ready: set[str] = set()
        self._waiting: set[str] = set()
        # those that are ready by what comes first, as far as it was known; what is no more so is put right when met
        self._order: list[tuple[float, str]] = []
        # those that are in this order: each once, or its chunk would be read twice before it is accepted
        self._ordered: set[str] = set()
        self._places: Places | None = None
        self._begun: list[tuple[str, int]] = []

    def look(self, hints: frozenset[str] | None, now_s: float) -> None:
        """Look at the live paths that the hints are about; with None, or one that may be a new live path, at all."""
        concerned = None if hints is None else self._concerned(hints)
        if concerned is not None:
            concerned = self._waiting.union(concerned).intersection(self._tails)
        self._waiting.clear()
        self._elsewhere.taken.clear()
        self._folders.begin()
        new: list[str] = []
        if concerned is None:
            new = self._discover(now_s)
            concerned = self._tails.keys() - new if new else self._tails
        self._begun.clear()
        again = self._look_at(concerned, now_s)
        for first in range(0, len(new), _TOGETHER):
            self._look_at_new(new[first : first + _TOGETHER], now_s)
        if again:
            self._folders.begin()
            self._look_at(again, now_s, again=True)
        self._reporter.follows_each(self._begun)
        if hints is None and not self._stopping():
            self._folders.forget_others()
            self._from_start, self._unread = True, frozenset()  # what comes from now on is new

    def _look_at(self, lives: Iterable[str], now_s: float, *, again: bool = False) -> list[str]:
        """Look at each; returns those that are to be looked at again."""
        cut_off = []
        for live in lives:
            if self._stopping():
                break
            tail = self._tails[live]
            looked = tail.look(now_s, again=again)
            if tail.begun:
                self._begun += tail.begun
                tail.begun.clear()
            if looked is Looked.AGAIN:
                cut_off.append(live)
            elif looked is not Looked.RESTS and live not in self._ready:
                self._ready.add(live)
                if live not in self._ordered:
                    self._ordered.add(live)
                    heappush(self._order, (-inf, live))
            if looked is Looked.CHANGED:
                self._places = None
            if tail.waits:
                self._waiting.add(live)
        return cut_off

    def _look_at_new(self, lives: list[str], now_s: float) -> None:
        """Look at paths that were never looked at, and remember their files together: there may be thousands."""
        states = {live: list(self._tails[live].states) for live in lives}
        self._elsewhere.taken.clear()
        try:
            with self._book.together():
                self._look_at(lives, now_s)
        except BaseException:
            for live in lives:  # nothing of them is remembered
                tail = self._tails.pop(live)
                tail.close()
                tail.forget([state.id for state in tail.states])
                for state in states[live]:
                    self._elsewhere.states.put(state)
                self._ready.discard(live)
                self._known[live] = states[live]
            self._elsewhere.give_back(but=lives)
            self._places = None
            raise

    def _concerned(self, hints: frozenset[str]) -> Collection[str] | None:
        """The live paths that changes of these paths are about; None: they may be about any.

        In a directory of logs others write, too, and perhaps without a pause: what has none of our names, and is none
        of our files by another one, is nothing.
        """
        found = {path for path in hints if path in self._tails}
        if len(found) == len(hints):
            return found
        places = self._where()
        for path in hints - found:
            if self._rule.is_copy(os.path.basename(path)):
                continue
            if path in places.directories or self._patterns.could_find(path):
                return None
            if os.path.dirname(path) not in places.directories:
                return None  # some systems say real paths, whatever links lead there
            if identity_at(path) in places.open or any(tail.files.is_elsewhere() for tail in places.linked):
                return None  # a file of ours went to another name
            found.update(places.may_be(path))
        return found

    def _where(self) -> Places:
        if self._places is None:
            self._places = Places(self._tails.values(), self._patterns.folders())
        return self._places

    def _discover(self, now_s: float) -> list[str]:
        """Let those go that are no more, and make a tail for each new live path; returns the new ones."""
        found = discover(
            self._patterns,
            self._rule,
            trusted=self._trusted,
            folders=self._folders,
            now_s=now_s,
            stopping=self._stopping,
        )
        if self._stopping():
            return []
        if not found:
            self._reporter.nothing_to_follow(str(self._patterns))
        else:
            self._reporter.something_to_follow(str(self._patterns))
        there = set(found)
        there.update(live for live in self._known if live not in there and self._left_behind(live))
        for live in [live for live in self._tails if live not in there and not self._tails[live].is_open]:
            # its last file is read and closed: forget the path until it appears again
            self._known[live] = list(self._tails.pop(live).states)
            self._ready.discard(live)
            self._places = None
        new = there - self._tails.keys()
        return self._follow(sorted(new, key=lambda path: (os.path.islink(path), path))) if new else []

    def _follow(self, lives: Iterable[str]) -> list[str]:
        """Make a tail for each of these live paths, unless another path follows the same file; return the new ones."""
        table = Table(self._tails.values(), self._known)
        new = []
        for live in lives:
            states = self._states_for(live, table)
            if states is not None:
                self._tails[live] = PathTail(
                    live,
                    states,
                    self._book,
                    self._reporter,
                    from_start=self._from_start and live not in self._unread,
                    buffer=self._buffer,
                    folders=self._folders,
                    elsewhere=self._elsewhere,
                )
                new.append(live)
        self._places = None
        return new

    def _left_behind(self, live: str) -> bool:
        """Whether a live path that is no more (its process has ended) was rotated with unread lines."""
        if all(state.done for state in self._known[live]) or os.path.lexists(live):
            return False
        return self._patterns.could_find(live)

    def _states_for(self, live: str, table: Table) -> list[FileState] | None:
        """What is known of a live path that comes up; None while another path follows the very same file."""
        identity = identity_at(live)
        if identity is None:
            return self._known.pop(live, [])
        other = table.followed.setdefault(identity, live)
        if other != live:
            self._reporter.same_file(live, other)
            return None
        own = self._known.pop(live, [])
        # a file that was followed under another name before (it was renamed while nobody looked) is no new one
        for before, state in table.known.get(identity, ()):
            if before != live and holds_at(live, state):
                if before in self._tails:
                    self._tails[before].forget([state.id])
                else:
                    self._known[before] = [s for s in self._known.get(before, []) if s.id != state.id]
                return [*own, state]
        return own

    def read(self, order: Callable[[str], int], now_s: float, most: int = CHUNK_BYTES) -> tuple[PathTail, Chunk] | None:
        """The next chunk, out of the live path that is first by ``order``; None when all are read to their end."""
        with closing(self.read_each(order, now_s, most)) as chunks:
            return next(chunks, None)

    def read_each(
        self, order: Callable[[str], int], now_s: float, most: int = CHUNK_BYTES
    ) -> Generator[tuple[PathTail, Chunk], None, None]:
        """A chunk of each live path that has one, in this order; each is to be worked out before the next is read."""
        taken: list[tuple[float, str]] = []
        try:
            while (live := self._first(order)) is not None:
                chunk = self._tails[live].read(now_s, most)
                taken.append(heappop(self._order))
                if chunk is None:
                    self._ready.discard(live)
                    self._ordered.discard(live)
                    taken.pop()
                    if self._tails[live].waits:
                        self._waiting.add(live)
                else:
                    yield self._tails[live], chunk
        finally:
            for entry in taken:
                heappush(self._order, entry)

    @property
    def waiting(self) -> Collection[str]:
        """Live paths that are to be looked at again soon, whether anything speaks for a change of theirs or not."""
        return self._waiting

    def behind(self, order: Callable[[str], int], but: str) -> list[str]:
        """The first of the live paths that are ready, if there is one besides this one."""
        here = [heappop(self._order)] if self._first(order) == but else []
        first = self._first(order)
        for entry in here:
            heappush(self._order, entry)
        return [] if first is None else [first]

    def _first(self, order: Callable[[str], int]) -> str | None:
        """The live path that is ready and first by ``order``; it is the first of the heap, too."""
        entries = self._order
        while entries:
            known, live = entries[0]
            if live not in self._ready:
                heappop(entries)
                self._ordered.discard(live)
            elif (now := order(live)) > known:
                heapreplace(entries, (now, live))
            else:
                return live
        return None

    @property
    def ready(self) -> Collection[str]:
        """Live paths that may have more to give: all others are read to their end."""
        return self._ready

    @property
    def live(self) -> Collection[str]:
        """The live paths that are followed now."""
        return self._tails.keys()

    @property
    def following(self) -> int:
        """How many live paths have an open file."""
        return sum(tail.is_open for tail in self._tails.values())

    @property
    def held(self) -> Mapping[str, tuple[FileState, ...]]:
        """The open files of each live path."""
        return {live: tail.held for live, tail in self._tails.items()}

    def gone(self) -> frozenset[int]:
        """Ids of finished files that are no longer on disk, as far as the live paths' last look tells.

        Those of a live path that is no more are gone where nothing of it is left, not even rotated.
        """
        no_more = (state.id for live in self._nothing_left() for state in self._known[live] if state.done)
        return frozenset(no_more).union(*(tail.gone() for tail in self._tails.values()))

    def _nothing_left(self) -> Iterator[str]:
        """Known live paths that no file has the name of, nor a rotated one's."""
        folders = Folders()  # each listed once: a name for each process that ever ran can be very many
        for live in self._known:
            try:
                names = folders.beside(live, 0.0, fresh=True)
            except OSError:
                continue  # nobody can tell
            if not (os.path.basename(live) in {name for name, *_ in names} or rotated_of(live, names)):
                yield live

    def forget(self, ids: Collection[int]) -> None:
        """Know these no more, which were ``gone`` and are in the store no more."""
        for tail in self._tails.values():
            tail.forget(ids)
        for id_ in ids:
            self._elsewhere.states.drop(id_)
        for live, states in list(self._known.items()):
            left = [state for state in states if state.id not in ids]
            if left:
                self._known[live] = left
            else:
                del self._known[live]

    def directories(self) -> set[str]:
        """Where changes are worth looking at: the directories of the patterns and of what the live paths point at."""
        return set(self._where().directories)

    def close(self) -> None:
        """Free all descriptors."""
        for tail in self._tails.values():
            tail.close()
