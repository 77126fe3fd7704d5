"""All live paths of a source as one endless source of chunks: which ones there are, and which is read next."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing

from otel_logtail.events import Reporter
from otel_logtail.model import Chunk, FileState
from otel_logtail.observer import PathRule
from otel_logtail.tail.checkpoints import Checkpoints
from otel_logtail.tail.directories import Folders
from otel_logtail.tail.discover import discover
from otel_logtail.tail.lines import CHUNK_BYTES, new_buffer
from otel_logtail.tail.live import Outcome, PathTail
from otel_logtail.tail.naming import rotated_of
from otel_logtail.tail.others import OtherPaths, Table, holds_at
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
        self._known: dict[str, list[FileState]] = {}
        for state in states:
            self._known.setdefault(state.live, []).append(state)
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
        """Return the live paths that changes of these paths can be about; None if that may be any of them.

        Other programs may write in a directory of logs all the time. A path that has none of our names, and is not one
        of our files under another name, is ignored.
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
                return None  # some systems report real paths, any links lead there
            if identity_at(path) in places.open or any(tail.files.is_elsewhere() for tail in places.linked):
                return None  # a file of ours went to another name
            found.update(places.may_be(path))
        return found

    def _where(self) -> Places:
        if self._places is None:
            self._places = Places(self._tails.values(), self._patterns.folders())
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
        new = {live for live in there - self._tails.keys() if not self._is_retired(live)}
        return self._follow(sorted(new, key=lambda path: (self._folders.is_link(path), path))) if new else []

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
            tail = self._tails.pop(live)
            tail.know(state)
            tail.close()
            self._known[live] = list(tail.states)
            self._ready.discard(live)
            self._waiting.discard(live)
            self._places = None

    def _is_retired(self, live: str) -> bool:
        """Return whether a live path that is not followed was read to its end, and is unchanged since."""
        states = self._known.get(live, ()) if self._rule.successive else ()
        if not states or not all(state.done for state in states):
            return False
        try:
            stat = os.stat(live)
        except OSError:
            return False
        return (stat.st_dev, stat.st_ino, stat.st_size) in {(s.device, s.inode, s.size) for s in states}

    def _left_behind(self, live: str) -> bool:
        """Return whether a live path that does not exist any more was rotated with unread lines."""
        if all(state.done for state in self._known[live]) or os.path.lexists(live):
            return False
        return self._patterns.could_find(live)

    def _states_for(self, live: str, table: Table) -> list[FileState] | None:
        """Return the checkpoints of a live path that appears; None while another path follows the same file."""
        identity = identity_at(live)
        if identity is None:
            return self._known.pop(live, [])
        other = table.followed.setdefault(identity, live)
        if other != live:
            self._reporter.same_file(live, other)
            return None
        own = self._known.pop(live, [])
        # a file that was followed under another name (it was renamed between two scans) is not new
        for before, state in table.known.get(identity, ()):
            if before != live and holds_at(live, state):
                if before in self._tails:
                    self._tails[before].forget([state.id])
                else:
                    self._known[before] = [s for s in self._known.get(before, []) if s.id != state.id]
                return [*own, state]
        return own

    def read(self, order: Callable[[str], int], now_s: float, most: int = CHUNK_BYTES) -> tuple[PathTail, Chunk] | None:
        """Return the next chunk, of the live path that is first by ``order``; None if all are read to their end."""
        with closing(self.read_each(order, now_s, most)) as chunks:
            return next(chunks, None)

    def read_each(
        self, order: Callable[[str], int], now_s: float, most: int = CHUNK_BYTES
    ) -> Generator[tuple[PathTail, Chunk], None, None]:
        """Yield a chunk of each live path that has one, in this order. The next chunk overwrites the buffer."""
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
        no_more = (state.id for live in self._nothing_left() for state in self._known[live] if state.done)
        return frozenset(no_more).union(*(tail.gone() for tail in self._tails.values()))

    def _nothing_left(self) -> Iterator[str]:
        """Yield known live paths that have no file, not even a rotated one."""
        folders = Folders()  # each directory is listed once: a name for each process that ever ran can be very many
        for live in self._known:
            try:
                names = folders.beside(live, 0.0, fresh=True)
            except OSError:
                continue  # unknown
            if not (os.path.basename(live) in {name for name, *_ in names} or rotated_of(live, names)):
                yield live

    def forget(self, ids: Collection[int]) -> None:
        """Forget these checkpoints, which were ``gone`` and are deleted from the store."""
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
        """Return the directories to watch: those of the patterns, and those that the live paths lead to."""
        return set(self._where().directories)

    def close(self) -> None:
        """Close all files."""
        for tail in self._tails.values():
            tail.close()
