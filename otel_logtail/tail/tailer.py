"""All live paths of a source as one endless source of chunks: which ones there are, and which is read next."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Mapping

from otel_logtail.events import Reporter
from otel_logtail.model import Chunk, FileState
from otel_logtail.observer import PathRule
from otel_logtail.tail.checkpoints import Checkpoints
from otel_logtail.tail.directories import Folders
from otel_logtail.tail.discover import discover
from otel_logtail.tail.known import KnownPaths
from otel_logtail.tail.lines import CHUNK_BYTES, new_buffer
from otel_logtail.tail.live import Outcome, PathTail
from otel_logtail.tail.others import OtherPaths, Table
from otel_logtail.tail.patterns import Patterns
from otel_logtail.tail.places import Places
from otel_logtail.tail.reader import identity_at
from otel_logtail.tail.ready import Entry, ReadyPaths

_TOGETHER = 500
"""How many new live paths share a transaction. More would keep other work waiting for the store."""

RETIRED_S = 3600.0
"""How long a file with a successor must be idle until it is closed."""


class Tail:
    """All live paths of one source.

    Unknown files that the first scan finds are read from their start, or from their end without ``from_start``. Files
    that appear later are read from their start. ``unread`` are live paths that an earlier first scan found and could
    not read: they are read from their end once that is possible. ``buffer`` may be that of other tails whose chunks are
    committed before this one reads (None: one of its own).
    """

    def __init__(
        self,
        patterns: Collection[str],
        rule: PathRule,
        states: Iterable[FileState],
        checkpoints: Checkpoints,
        reporter: Reporter,
        *,
        trusted: bool,
        from_start: bool,
        unread: Collection[str] = (),
        buffer: bytearray | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._stopping = stopping
        self._rule = rule
        self._trusted = trusted
        self._checkpoints = checkpoints
        self._reporter = reporter
        self._from_start = from_start
        self._unread = frozenset(unread)
        self._buffer = new_buffer() if buffer is None else buffer
        self._folders = Folders()
        self._known = KnownPaths(states)
        self._patterns = Patterns(patterns, self._known)
        self._tails: dict[str, PathTail] = {}
        self._elsewhere = OtherPaths(self._known, self._tails)
        self._ready = ReadyPaths()
        self._waiting: set[str] = set()
        self._places: Places | None = None
        self._begun: list[tuple[str, int]] = []

    def scan(self, hints: frozenset[str] | None, now_s: float) -> None:
        """Scan the live paths that these changed paths can be about; all of them for None, or if one may be new."""
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
        again = self._scan_each(concerned, now_s)
        for first in range(0, len(new), _TOGETHER):
            self._scan_new(new[first : first + _TOGETHER], now_s)
        if again:
            self._folders.begin()
            self._scan_each(again, now_s, again=True)
        self._reporter.follows_each(self._begun)
        if hints is None and not self._stopping():
            self._folders.forget_others()
            self._retire(now_s)
            self._from_start, self._unread = True, frozenset()  # files that appear from now on are new

    def _scan_each(self, lives: Iterable[str], now_s: float, *, again: bool = False) -> list[str]:
        """Scan each; return those that have to be scanned again."""
        cut_off = []
        for live in lives:
            if self._stopping():
                break
            tail = self._tails[live]
            outcome = tail.scan(now_s, again=again)
            if tail.begun:
                self._begun += tail.begun
                tail.begun.clear()
            if outcome is Outcome.AGAIN:
                cut_off.append(live)
            elif outcome is not Outcome.IDLE:
                self._ready.add(live)
            if outcome is Outcome.CHANGED:
                self._places = None
            if tail.waits:
                self._waiting.add(live)
        return cut_off

    def _scan_new(self, lives: list[str], now_s: float) -> None:
        """Scan new live paths, and store their checkpoints in one transaction: there may be thousands."""
        states = {live: list(self._tails[live].states) for live in lives}
        self._elsewhere.taken.clear()
        try:
            with self._checkpoints.together():
                self._scan_each(lives, now_s)
        except BaseException:
            for live in lives:  # nothing about them is stored
                tail = self._tails[live]
                tail.forget([state.id for state in tail.states])
                self._leave(live)
                for state in states[live]:
                    self._elsewhere.states.put(state)
                self._known[live] = states[live]
            self._elsewhere.give_back(but=lives)
            raise

    def _concerned(self, hints: frozenset[str]) -> Collection[str] | None:
        """Return the live paths that changes of these paths can be about; None if that may be any of them."""
        found = hints.intersection(self._tails)
        return found if len(found) == len(hints) else self._where().concerned(hints, found)

    def _where(self) -> Places:
        if self._places is None:
            self._places = Places(self._tails.values(), self._patterns, self._rule)
        return self._places

    def _discover(self, now_s: float) -> list[str]:
        """Find the live paths: forget those that are gone, and follow the new ones, which are returned."""
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
        report = self._reporter.something_to_follow if found else self._reporter.nothing_to_follow
        report(str(self._patterns))
        left_behind = filter(self._known.is_left_behind, self._known.keys() - set(found))
        there = {*found, *filter(self._patterns.could_find, left_behind)}
        for live in [live for live in self._tails if live not in there and not self._tails[live].is_open]:
            self._leave(live)  # until it appears again
        new = there - self._tails.keys()
        if self._rule.successive:
            new = {live for live in new if not self._known.is_finished(live)}
        return self._follow(sorted(new, key=lambda path: (self._folders.is_link(path), path))) if new else []

    def _follow(self, lives: Iterable[str]) -> list[str]:
        """Make a tail for each of these live paths, unless another path follows the same file; return the new ones."""
        table = Table(self._tails.values(), self._known)
        new = []
        for live in lives:
            identity = identity_at(live)
            other = table.followed.setdefault(identity, live) if identity else live
            if other != live:
                self._reporter.same_file(live, other)
                continue
            self._tails[live] = PathTail(
                live,
                self._elsewhere.states_for(live, table.known.get(identity, ()) if identity else ()),
                self._checkpoints,
                self._reporter,
                from_start=self._from_start and live not in self._unread,
                ring=self._rule.ring,
                buffer=self._buffer,
                folders=self._folders,
                elsewhere=self._elsewhere,
            )
            new.append(live)
        self._places = None
        return new

    def _retire(self, now_s: float) -> None:
        """Close the files that have been idle for long and have a successor in their directory.

        The program will not write to them again. If one changes, it is followed again.
        """
        if not self._rule.successive:
            return
        newest: dict[str, int] = {}
        for live, tail in self._tails.items():
            folder = os.path.dirname(live)
            newest[folder] = max(tail.modified_ns, newest.get(folder, 0))
        retiring = {
            live: state
            for live, tail in self._tails.items()
            if 0 < tail.modified_ns < newest[os.path.dirname(live)]
            and (state := tail.retired(now_s - RETIRED_S)) is not None
        }
        with self._checkpoints.together():
            for state in retiring.values():
                self._checkpoints.update(state)
        for live, state in retiring.items():
            self._tails[live].know(state)
            self._leave(live)

    def _leave(self, live: str) -> None:
        """Follow a live path no longer, and keep its checkpoints."""
        tail = self._tails.pop(live)
        tail.close()
        self._known[live] = list(tail.states)
        self._ready.discard(live)
        self._waiting.discard(live)
        self._places = None

    def read_each(
        self, order: Callable[[str], int], now_s: float, most: int = CHUNK_BYTES
    ) -> Generator[tuple[PathTail, Chunk], None, None]:
        """Yield a chunk of each live path that has one, by ``order``. The next chunk overwrites the buffer."""
        taken: list[Entry] = []
        try:
            while (live := self._ready.first(order)) is not None:
                tail = self._tails[live]
                chunk = tail.read(now_s, most)
                entry = self._ready.take()
                if chunk is not None:
                    taken.append(entry)
                    yield tail, chunk
                    continue
                self._ready.end(entry)
                if tail.waits:
                    self._waiting.add(live)
        finally:
            for entry in taken:
                self._ready.put_back(entry)

    @property
    def waiting(self) -> Collection[str]:
        """Live paths that are to be scanned again soon, even without a sign of a change."""
        return self._waiting

    def behind(self, order: Callable[[str], int], but: str) -> list[str]:
        """Return the first of the live paths that are ready, without this one; at most one."""
        second = self._ready.second(order, but)
        return [] if second is None else [second]

    @property
    def ready(self) -> Collection[str]:
        """Live paths that may have more to read: all others are read to their end."""
        return self._ready.paths

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
        """Return the ids of finished files that are no longer on disk, as far as the last scan shows.

        The files of a live path that does not exist any more are gone if no rotated file of it is left.
        """
        return frozenset(self._known.gone()).union(*(tail.gone() for tail in self._tails.values()))

    def forget(self, ids: Collection[int]) -> None:
        """Forget these checkpoints, which were ``gone`` and are deleted from the store."""
        for tail in self._tails.values():
            tail.forget(ids)
        for id_ in ids:
            self._elsewhere.states.drop(id_)
        self._known.forget(ids)

    def directories(self) -> set[str]:
        """Return the directories to watch: those of the patterns, and those that the live paths lead to."""
        return set(self._where().directories)

    def close(self) -> None:
        """Close all files."""
        for tail in self._tails.values():
            tail.close()
