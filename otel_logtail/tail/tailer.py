"""A set of paths as one endless source of chunks: which live paths there are, and one tail for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from otel_logtail.events import Reporter
from otel_logtail.model import FileState
from otel_logtail.observer import PathRule
from otel_logtail.tail.directories import Folders
from otel_logtail.tail.discover import discover
from otel_logtail.tail.files import PlainReader, holds, identity_at, siblings
from otel_logtail.tail.lines import CHUNK_BYTES, Chunk, new_buffer
from otel_logtail.tail.live import Book, PathTail
from otel_logtail.tail.patterns import Patterns


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
        self._ready: dict[str, None] = {}

    def look(self, hints: frozenset[str] | None, now_s: float) -> None:
        """Look at the live paths that the hints are about; with None, or one that may be a new live path, at all."""
        concerned = None if hints is None else self._concerned(hints)
        self._folders.begin()
        if concerned is None:
            self._discover(now_s)
        for live in self._tails if concerned is None else concerned:
            self._tails[live].look(now_s)
            self._ready[live] = None
        if concerned is None:
            self._folders.forget_others()
            self._from_start, self._unread = True, frozenset()  # what comes from now on is new

    def _concerned(self, hints: frozenset[str]) -> Collection[str] | None:
        """The live paths that changes of these paths are about; None: they may be about any.

        In a directory of logs others write, too, and perhaps without a pause: what has none of our names, and is none
        of our files by another one, is nothing.
        """
        found = {path for path in hints if path in self._tails}
        if len(found) == len(hints):
            return found
        directories = self.directories()
        for path in hints - found:
            if self._rule.is_copy(os.path.basename(path)):
                continue
            if path in directories or self._patterns.could_find(path):
                return None
            if os.path.dirname(path) not in directories:
                return None  # some systems say real paths, whatever links lead there
            identity = identity_at(path)
            for live, tail in self._tails.items():
                if tail.is_elsewhere() or tail.has(identity):
                    return None  # a file of ours went to another name
                if tail.may_be(path):
                    found.add(live)
        return found

    def _discover(self, now_s: float) -> None:
        found = discover(
            self._patterns,
            self._rule,
            trusted=self._trusted,
            folders=self._folders,
            now_s=now_s,
            stopping=self._stopping,
        )
        if self._stopping():
            return
        if not found:
            self._reporter.nothing_to_follow(str(self._patterns))
        else:
            self._reporter.something_to_follow(str(self._patterns))
        found += [live for live in self._known if live not in found and self._left_behind(live)]
        for live in [live for live in self._tails if live not in found]:
            tail = self._tails[live]
            if not tail.held:  # its last file is read and let go: forget the path until it comes again
                self._known[live] = list(tail.states)
                del self._tails[live]
                self._ready.pop(live, None)
        for live in sorted(found, key=lambda path: (os.path.islink(path), path)):
            if live not in self._tails:
                states = self._states_for(live)
                if states is not None:
                    self._tails[live] = PathTail(
                        live,
                        states,
                        self._book,
                        self._reporter,
                        from_start=self._from_start and live not in self._unread,
                        buffer=self._buffer,
                        folders=self._folders,
                    )

    def _left_behind(self, live: str) -> bool:
        """Whether a live path that is no more (its process has ended) was rotated with unread lines."""
        if all(state.done for state in self._known[live]) or os.path.lexists(live):
            return False
        return self._patterns.could_find(live)

    def _states_for(self, live: str) -> list[FileState] | None:
        """What is known of a live path that comes up; None while another path follows the very same file."""
        own = self._known.pop(live, [])
        try:
            reader = PlainReader(live)
        except OSError:
            return own
        try:
            identity = reader.identity
            for other, tail in self._tails.items():
                if any((s.device, s.inode) == identity for s in tail.held) or identity_at(other) == identity:
                    self._reporter.same_file(live, other)
                    self._known[live] = own
                    return None
            # a file that was followed under another name before (it was renamed while nobody looked) is no new one
            for other, states in [*self._known.items(), *((t.live, t.states) for t in self._tails.values())]:
                for state in states:
                    if (state.device, state.inode) == identity and holds(reader, state):
                        if other in self._tails:
                            self._tails[other].forget([state.id])
                        else:
                            self._known[other] = [s for s in states if s.id != state.id]
                        return [*own, state]
            return own
        finally:
            reader.close()

    def read(self, order: Callable[[str], int], now_s: float, most: int = CHUNK_BYTES) -> tuple[PathTail, Chunk] | None:
        """The next chunk, out of the live path that is first by ``order``; None when all are read to their end."""
        # sorted once: each look makes all of them ready, and with many files most have nothing
        for live in sorted(self._ready, key=order):
            tail = self._tails[live]
            chunk = tail.read(now_s, most)
            if chunk is not None:
                return tail, chunk
            del self._ready[live]
        return None

    @property
    def ready(self) -> Collection[str]:
        """Live paths that may have more to give: all others are read to their end."""
        return self._ready.keys()

    @property
    def live(self) -> Collection[str]:
        """The live paths that are followed now."""
        return self._tails.keys()

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
                any_left = bool(folders.beside(live, 0.0, fresh=True))
            except OSError:
                any_left = False
            if not any_left or not (os.path.lexists(live) or siblings(live)):
                yield live

    def forget(self, ids: Collection[int]) -> None:
        """Know these no more, which were ``gone`` and are in the store no more."""
        for tail in self._tails.values():
            tail.forget(ids)
        for live, states in list(self._known.items()):
            left = [state for state in states if state.id not in ids]
            if left:
                self._known[live] = left
            else:
                del self._known[live]

    def directories(self) -> set[str]:
        """Where changes are worth looking at: the directories of the patterns and of what the live paths point at."""
        return self._patterns.folders() | {
            os.path.dirname(base) for tail in self._tails.values() for base in tail.bases
        }

    def close(self) -> None:
        """Free all descriptors."""
        for tail in self._tails.values():
            tail.close()
