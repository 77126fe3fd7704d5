"""One live path as one endless source of chunks, across rotation, truncation and restarts.

A *live path* is a name that the program writes to. Over time it names many files; each has a :class:`FileState`, which
is in the store with the position that was committed. ``PathTail`` holds the files of one live path that still have
something to give, oldest first, and hands out their bytes in that order.

Invariants:
  * a chunk is whole lines (or the skipped part of a line beyond the bound), and is handed out again until ``accept``;
  * what a file is, is decided by what it holds (``identify``), never by its name or inode alone;
  * every rotated file that was ever seen has a state, so one that has none is new, and is read;
  * a look first decides, then tells the book, and only then changes what it holds: when the book fails, the next look
    begins where this one did.

Known limits: a file whose first read bytes were all rewritten to the same bytes can't be told from itself; what was
deleted before it was read is reported, not recovered; the last line of a rotated file that lacks its newline is not
read.
"""

from __future__ import annotations

import errno
import os
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from itertools import chain, islice
from typing import Protocol

import msgspec

from otel_logtail.events import Reporter
from otel_logtail.model import Chunk, FileState, Fingerprint
from otel_logtail.tail.checkpoints import Everywhere, States
from otel_logtail.tail.directories import FILE, LINK, SETTLED_NS, Folders, Listing, Names
from otel_logtail.tail.files import (
    ANCHOR_BYTES,
    HEAD_BYTES,
    PlainReader,
    Reader,
    begins,
    fingerprint,
    goes_on,
    holds,
    is_compressed,
    is_rotated_name,
    open_reader,
    rotated_of,
)
from otel_logtail.tail.handover import Predecessor, predecessors
from otel_logtail.tail.identify import claim
from otel_logtail.tail.lines import CHUNK_BYTES, end_of_lines, read_chunk
from otel_logtail.tail.resume import begins_like, find, still_true
from otel_logtail.tail.trail import pack, unpack, up_to

GRACE_S = 60.0
"""How long a renamed file is read on after its last growth: its writer may still hold it."""

SETTLE_S = 0.5
"""How often at most all files are told apart only because names came or went beside the live one."""

REWRITTEN_S = 5.0
"""How long at most a file is waited for that is being written anew with lines that were read before."""

_TRIES = 5
"""How often the names are listed again when they change while they are being opened."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Book(msgspec.Struct, frozen=True):
    """How a tail remembers files: in the store, at once."""

    add: Callable[[list[FileState]], list[FileState]]
    update: Callable[[FileState], None]
    together: Callable[[], AbstractContextManager[None]] = nullcontext
    """All that is remembered within it is remembered at once, or not at all."""


class Looked(Enum):
    """What came of a look at a live path."""

    RESTS = "rests"
    """Nothing has changed, and all was read."""
    READ = "read"
    """There may be something to read."""
    CHANGED = "changed"
    """The same, and its files were told apart."""
    AGAIN = "again"
    """It was cut off: look again, once its directory was listed anew (what was cut off may have been copied before)."""


class _Growth(msgspec.Struct, frozen=True):
    """Of a file that is being written anew: its size, since when it has that, and since when it is waited for."""

    size: int
    since_s: float
    begun_s: float


class _Held(msgspec.Struct, eq=False):
    """A file that is open.

    ``quiet_since``: not the live one any more, and since when it has not grown. ``ended_at``: what its size was before
    the last read, which found nothing behind the position; None where that read found something, or failed.
    ``verified``: its size and times when its bytes before the position were those that were read, long after they were
    changed; None: they have to be looked at. ``watched``: it became what it is while we followed it, so it may not be
    complete yet; ``growth``: what is known of that.
    """

    reader: Reader
    state: FileState
    quiet_since: float | None = None
    ended_at: int | None = None
    verified: tuple[int, int, int] | None = None
    watched: bool = False
    growth: _Growth | None = None


class Moved(Enum):
    """How it is with a file that another live path knows."""

    HERE = "here"  # it has no name there any more: it is ours now
    SOON = "soon"  # the same, but it is still read there
    THERE = "there"  # it is that very file, by two names


class Elsewhere(Protocol):
    """What the other live paths know."""

    states: Everywhere

    @abstractmethod
    def find(self, live: str, reader: Reader) -> tuple[Moved, FileState] | None:
        """What is known of a file that came up at this live path."""

    @abstractmethod
    def take(self, state: FileState) -> None:
        """Take a file from the live path that knows it."""


class PathTail:
    """One live path."""

    def __init__(
        self,
        live: str,
        states: Iterable[FileState],
        book: Book,
        reporter: Reporter,
        *,
        from_start: bool,
        buffer: bytearray,
        folders: Folders,
        elsewhere: Elsewhere,
    ) -> None:
        self.live = live
        self.bases: tuple[str, ...] = (live,)
        """Beside which its rotated files were looked for last: itself, and what it links to."""
        self.begun: list[tuple[str, int]] = []
        """Files that are followed since somebody took them from here, and from where on."""
        self.waits = False
        """Whether it is to be looked at again soon: names come and go, or a file is just written anew."""
        self._others = elsewhere
        self._states = States(states, elsewhere.states)
        self._book = book
        self._reporter = reporter
        self._from_start = from_start
        self._buffer = buffer
        self._folders = folders
        self._folder, self._name = os.path.split(live)
        self._listing: Listing | None = None
        self._names_now: tuple[Names, ...] = ()
        self._held: list[_Held] = []
        # those of them that were not read to their end since the last look
        self._to_read: deque[_Held] = deque()
        self._current: _Held | None = None
        # what was there when all files were told apart last, and when that was
        self._seen: tuple[int, ...] | None = None
        self._beside: tuple[Names, ...] = ()
        self._told_apart_s = 0.0
        self._look_again = False
        # whether a file may have been a copy of one that was let go: then it is a new one
        self._orphans = False
        # rotated files that are copies as far as they go, as they were then: one that grows is told apart again
        self._undecided: dict[str, tuple[int, ...]] = {}
        # identity, size and times of the live file when nothing was left to read, nor to find out; else empty
        self._resting: tuple[int, ...] = ()
        # ids of the files that were there when all were told apart last
        self._here: frozenset[int] | None = None

    def is_elsewhere(self) -> bool:
        """Whether the live path is a link that leads to another file than at the last look."""
        return len(self.bases) > 1 and os.path.realpath(self.live) != self.bases[0]

    @property
    def is_open(self) -> bool:
        """Whether any of its files is open."""
        return bool(self._held)

    @property
    def open(self) -> list[tuple[int, int]]:
        """Device and inode of each open file."""
        return [held.reader.identity for held in self._held]

    # --- looking ----------------------------------------------------------------------------------------------------

    def look(self, now_s: float, *, again: bool = False) -> Looked:
        """See what the live path names now, and open what has to be read.

        ``again``: its directory was listed after the last look, which has seen that the file was cut off.
        """
        looked = Looked.READ
        self.waits = False
        try:
            status = self._status()
            seen = status[:2]
            beside = self._names(now_s, fresh=not seen)
            if beside is self._beside and ((status and status == self._resting) or self._rests(status)):
                self._resting = status
                return Looked.RESTS
            self._resting = ()
            changed = beside != self._beside or any(was != _size(path) for path, was in self._undecided.items())
            another = seen == self._seen and self._is_another()
            if another and not again:
                return Looked.AGAIN
            # with no live file there before and now, one may have come and been renamed: no event will tell of it again
            urgent = seen != self._seen or another or (changed and not seen)
            due = urgent or ((changed or self._look_again) and now_s - self._told_apart_s >= SETTLE_S)
            if due and self._sync(now_s):
                looked = Looked.CHANGED
                self._seen, self._beside, self._told_apart_s = seen, beside, now_s
                # what changes between the listing and here may not show again
                self._look_again = self._orphans or (
                    (urgent or changed) and not (seen and self._is_quiet() and not another)
                )
                self.waits = self._orphans
            elif due or changed:
                self.waits = True
            else:
                self._beside = beside
        except OSError as problem:
            if problem.errno != errno.ESTALE:  # a file that had to be opened again was just renamed
                self._reporter.unreadable(self.live, problem.strerror or str(problem))
        self._release(now_s)
        self._to_read = deque(self._held)
        return looked

    def _is_quiet(self) -> bool:
        """Whether no name beside the live path has come or gone for long, or there is none that could change unseen."""
        if len(self.bases) > 1 or self._listing is None:
            return False
        return self._listing.settled or len(self._names_now[0]) <= 1

    def _status(self) -> tuple[int, ...]:
        """Identity, size and times of the live file; empty while there is none."""
        try:
            stat = os.stat(self.live)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns

    def _rests(self, status: tuple[int, ...]) -> bool:
        """Whether the live file is the only one, and was read to its end when it was as it is now."""
        held = self._current
        return (
            held is not None
            and held.verified == status[2:]
            and held.ended_at == held.verified[0]
            and held.reader.identity == status[:2]
            and len(self._held) == 1
            and not self._look_again
            and not self._undecided
        )

    def _names(self, now_s: float, *, fresh: bool) -> tuple[Names, ...]:
        """What is there by names like those of rotated files: the same tuple as long as the directory is as it was."""
        listing = self._folders.listing(self._folder or ".", now_s, fresh=fresh)
        if listing is not self._listing or len(self.bases) > 1:
            self._listing = listing
            self.bases = (self.live,) if listing.kind_of(self._name) == FILE else self._links()
            names = tuple([self._folders.beside(base, now_s, fresh=fresh) for base in self.bases])
            self._names_now = self._names_now if names == self._names_now else names
        return self._names_now

    def _is_another(self) -> bool:
        """Whether the live file was cut off, and perhaps written anew, since it was read."""
        held = self._current
        if held is None or not isinstance(held.reader, PlainReader):
            return False
        changed = held.reader.changed()
        if changed == held.verified:
            return False  # of a log that rests, nothing has to be read (from the disk, perhaps)
        another = _is_cut_off(held.reader, held.state)
        settled = time.time_ns() - max(changed[1:]) >= SETTLED_NS
        held.verified = changed if settled and not another else None
        return another

    def _sync(self, now_s: float) -> bool:
        """Tell all files of this live path apart, and hold those that have something to give, in order.

        Returns whether that was possible: nothing was done where the live file was cut off meanwhile.
        """
        readers, elsewhere, complete = self._open(now_s)
        sizes = {path: (*reader.identity, reader.size()) for path, reader in readers.items() if path != self.live}
        try:
            known = {state.id: state for state in self._states.unfinished()}
            known.update((held.state.id, held.state) for held in self._held)
            newest_first = sorted(known.values(), key=lambda s: -s.id)
            newest_first += self._states.finished_like(readers.values())
            claims = claim(readers, newest_first, self.live, [held.reader for held in self._held])
            live = claims.get(self.live)
            if live is not None and readers.keys() - claims.keys() and _is_cut_off(readers[self.live], live):
                return False  # what looks new may be the copy that was made of it before
            self._undecided = {
                path: sizes[path] for path, state in claims.items() if state is None and not is_compressed(path)
            }
            for path in elsewhere:
                claims.setdefault(path, None)  # only looked at for what we knew to be there
            self._take_over(readers, claims)
            held = [(held.state, held.reader) for held in self._held]
            before = predecessors(readers, claims, self._states, self.live, held) if self._from_start else {}
            self._adopt(readers, claims, before, now_s, complete=complete)
            let_go = len({id(reader) for _, reader in held} - {id(held.reader) for held in self._held})
            self._orphans = let_go > 0 and None in claims.values()
            if complete:
                self._here = frozenset(state.id for state in claims.values() if state is not None)
        finally:
            kept = {id(held.reader) for held in self._held}
            _close(reader for reader in readers.values() if id(reader) not in kept)
        self._from_start = True  # what comes from now on is new
        if self.live in readers:
            self._reporter.readable(self.live)
        elif not self._held:
            self._reporter.unreadable(self.live, os.strerror(errno.ENOENT))
        return True

    def _take_over(self, readers: Mapping[str, Reader], claims: dict[str, FileState | None]) -> None:
        """Go on with files that came from another live path: a rotated one was moved to another directory, perhaps."""
        for path, reader in readers.items():
            found = self._others.find(self.live, reader) if path not in claims else None
            if found is None:
                continue
            moved, state = found
            claims[path] = None
            if moved is Moved.SOON:
                self._undecided[path] = ()
            elif moved is Moved.HERE:
                ours = msgspec.structs.replace(
                    state, live=self.live, path=self._place(path), device=reader.device, inode=reader.inode
                )
                self._book.update(ours)
                self._others.take(state)
                self._states.put(ours)
                claims[path] = ours

    def _elsewhere(self, rotated: Iterable[str], now_s: float) -> list[str]:
        """Where unfinished files were last seen, or are now after a rotation, if none of our names leads there.

        That is what a symbolic link pointed at, the last one of the path or one above it.
        """
        unfinished = self._states.unfinished()
        if not unfinished:
            return []
        usual = {self._place(path) for path in (*rotated, self.live)}
        paths = dict.fromkeys(state.path for state in unfinished if state.path not in usual)
        there = [path for last in paths for path in (*self._rotated(last, now_s), last)]
        return [path for path in dict.fromkeys(there) if path not in usual and os.path.isfile(path)]

    def _rotated(self, path: str, now_s: float) -> list[str]:
        """The rotated files of a path that is no more ours."""
        try:
            return rotated_of(path, self._folders.beside(path, now_s, fresh=True))
        except OSError:
            return []

    def _listed(self, now_s: float, *, again: bool) -> dict[str, int | None]:
        """The names of its files, rotated ones first and the oldest of them first, with inodes (None: a link)."""
        found: dict[str, int | None] = {}
        live = None
        self.bases = self._links()
        for base in self.bases:
            folder, name = os.path.split(base)
            listing = self._folders.listing(folder or ".", now_s, fresh=True, again=again)
            names = listing.beside(name)
            by_name = {other: inode if kind != LINK else None for other, inode, kind in names}
            found.update((path, by_name[path.rpartition("/")[2]]) for path in rotated_of(base, names))
            live = by_name.get(name) if base == self.live else live
        return {**found, self.live: live}

    def _links(self) -> tuple[str, ...]:
        """The names that a rotation starts from: that of the live path, and of what it links to."""
        return (os.path.realpath(self.live), self.live) if os.path.islink(self.live) else (self.live,)

    def _open(self, now_s: float) -> tuple[dict[str, Reader], list[str], bool]:
        """All files by name, oldest first, the live one last.

        Returns also which of them were only known to have been there, and whether all that are there could be opened.
        """
        before: object = None
        for tries_left in reversed(range(_TRIES)):
            listed = self._listed(now_s, again=before is not None)
            elsewhere = self._elsewhere(listed, now_s)
            readers, complete, inodes = self._open_all([*elsewhere, *listed])
            # a rotation renames one after the other: what was listed and what was opened must be of one moment (where a
            # directory says another inode each time, something is mounted on the name)
            now = (listed, inodes)
            if not tries_left or now == before or self._are_of_one_moment(listed, inodes, readers):
                return readers, elsewhere, complete
            before = now
            _close(readers.values())
        raise AssertionError  # the last try returns

    def _are_of_one_moment(
        self, listed: Mapping[str, int | None], inodes: Mapping[str, int | None], readers: Mapping[str, Reader]
    ) -> bool:
        for path, inode in listed.items():
            if inode is None:  # a link, or not listed
                if path in readers and not _is_at(path, readers[path]):
                    return False
            elif path in inodes and inodes[path] != inode:
                return False
        return True

    def _open_all(self, paths: Iterable[str]) -> tuple[dict[str, Reader], bool, dict[str, int | None]]:
        """Those that are there, whether all could be opened, and what inode each was (None: it is not there)."""
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
                        raise  # the others' order can't be told without it: wait
                    self._reporter.unreadable(path, problem.strerror or str(problem))
                    complete = False
                    continue
                if reader.identity in names:
                    readers.pop(names[reader.identity]).close()  # two names of one file
                readers[path], names[reader.identity] = reader, path
                inodes[path] = reader.inode
        except BaseException:
            _close(readers.values())
            raise
        return readers, complete, inodes

    def _adopt(
        self,
        readers: dict[str, Reader],
        claims: dict[str, FileState | None],
        before: dict[str, Predecessor],
        now_s: float,
        *,
        complete: bool,
    ) -> None:
        fresh = [path for path in readers if path not in claims]
        added = self._book.add([self._new_state(p, readers[p], before.get(p)) for p in fresh]) if fresh else []
        sure = {before[path].state.id: new.id for path, new in zip(fresh, added, strict=True) if _is_sure(before, path)}
        for new in added:
            self._states.put(new)
            if not new.done and new.id not in sure.values():
                self.begun.append((new.path, new.offset))
        states = {**claims, **dict(zip(fresh, added, strict=True))}
        new_paths = frozenset(fresh)

        left = {held.state.id: held for held in self._held}
        holding: list[_Held] = []
        changed: list[FileState] = []
        for path, reader in readers.items():
            state = states[path]
            if state is None:
                continue
            live = path == self.live
            held = left.pop(state.id, None)
            if held is None and not live and not _has_more(reader, state):
                known = is_compressed(state.path) and reader.identity == (state.device, state.inode)
                if is_compressed(path) and not known:
                    # finished, and its end is known: known by its inode from now on, it is not unpacked once more
                    place = self._place(path)
                    changed.append(msgspec.structs.replace(state, path=place, device=reader.device, inode=reader.inode))
                continue
            moved = state if path in new_paths and not state.done else self._moved(path, reader, state)
            if moved != state:
                changed.append(moved)
            keep = held is not None and holds(held.reader, state) and _is_kept(held.reader, reader, live=live)
            if held is not None and held.reader.identity == reader.identity:
                held.reader.path = path
            quiet_since = None if live else now_s
            if held is not None and held.quiet_since is not None and not live:
                quiet_since = held.quiet_since
            named_now = _Held(held.reader if held and keep else reader, moved, quiet_since)
            named_now.watched = self._seen is not None
            named_now.growth = held.growth if held else None
            holding.append(named_now)
        named = {reader.identity for reader in readers.values()}
        for held in left.values():
            # it has none of the names any more: what is still behind the descriptor is read
            if held.reader.identity not in named and (held.state.offset == 0 or holds(held.reader, held.state)):
                quiet_since = now_s if held.quiet_since is None else held.quiet_since
                newer = [i for i, other in enumerate(holding) if other.state.id > held.state.id]
                nameless = _Held(held.reader, held.state, quiet_since, watched=held.watched, growth=held.growth)
                holding.insert(newer[0] if newer else len(holding), nameless)
        kept = {held.state.id for held in holding}
        lost = [s for s in self._states.unfinished() if s.id not in kept and (complete or s.id in left)]
        last_live = self._last_live(but={new.id for new in added}) if lost else 0
        changed += [msgspec.structs.replace(state, size=state.offset, done=True) for state in lost]

        if changed:
            with self._book.together():
                for state in changed:
                    self._book.update(state)
            for state in changed:
                self._states.put(state)
        for state in lost:
            unread = max(0, state.size - state.offset)
            if state.id in sure:
                pass  # what is left of it is read on
            elif state.id in left:
                if unread:
                    self._reporter.gone(state.path, unread)
            elif unread or (state.id == last_live and state.head.length > 0):
                # what was written to the last live file after we went away nobody can know; one that was empty can't be
                # known again, and may be here under another name
                self._reporter.unseen(state.path, max(state.size, state.offset), unread)
        self._hold(holding, silent=sure.values())

    def _moved(self, path: str, reader: Reader, state: FileState) -> FileState:
        """Return the state of a known file that has this path now, and is read on."""
        head = state.head if state.offset else fingerprint(reader.read_at(0, HEAD_BYTES))
        place = self._place(path)
        return msgspec.structs.replace(
            state, live=self.live, path=place, device=reader.device, inode=reader.inode, done=False, head=head
        )

    def _last_live(self, but: Collection[int]) -> int:
        """The id of the last file that was the live one, as far as its name tells."""
        usual = {self.live, self._place(self.live)}
        ids = (s.id for s in self._states if s.path in usual or not is_rotated_name(s.path))
        return max((id_ for id_ in ids if id_ not in but), default=0)

    def _hold(self, holding: list[_Held], silent: Collection[int]) -> None:
        before = self._current
        kept = {id(held.reader) for held in holding}
        _close(held.reader for held in self._held if id(held.reader) not in kept)
        self._held = holding
        for held in reversed(holding):  # the oldest is used first
            held.reader.keep()
        self._current = next((held for held in holding if held.quiet_since is None), None)
        if before is not None and self._current is not None and before.state.id != self._current.state.id:
            if self._current.state.id in silent:
                pass  # said when it is decided where it goes on
            elif before.reader.inode == self._current.reader.inode:
                self._reporter.truncated(self.live)
            else:
                self._reporter.rotated(self.live)

    def _place(self, path: str) -> str:
        """The name under which a file is found again even when a symbolic link leads elsewhere, in or above it."""
        if path == self.live and len(self.bases) > 1:
            return self.bases[0]
        folder, _, name = path.rpartition("/")
        return f"{self._folders.real(folder or '/').rstrip('/')}/{name}"

    def _new_state(self, path: str, reader: Reader, before: Predecessor | None) -> FileState:
        live = path == self.live
        offset, size = 0, reader.size()  # before its end is looked for: what comes after that is seen as growth
        if not self._from_start:  # of what is compressed already it is enough to know it again
            offset = end_of_lines(reader) if live or not is_compressed(path) else len(reader.read_at(0, HEAD_BYTES))
        return FileState(
            id=0,
            live=self.live,
            path=self._place(path),
            device=reader.device,
            inode=reader.inode,
            offset=offset,
            size=offset if is_compressed(path) else max(offset, size),
            head=fingerprint(reader.read_at(0, min(HEAD_BYTES, offset or HEAD_BYTES))),
            anchor=_anchor(reader, offset),
            done=not live and not self._from_start,
            trail=before.trail if before else b"" if is_compressed(path) or not offset else up_to(reader, offset),
            doubt=max(0, before.state.doubt - before.state.offset) if before else 0,
        )

    def _finish(self, held: _Held, size: int) -> None:
        done = msgspec.structs.replace(held.state, size=size, done=True)
        self._book.update(done)
        self._states.put(done)
        held.reader.close()
        self._held.remove(held)

    def _release(self, now_s: float) -> None:
        """Let go of files that are no longer live, have been read to their end and have not grown for long."""
        for held in list(self._held):
            quiet = held.quiet_since is not None and now_s - held.quiet_since >= GRACE_S
            ended = quiet and self._next(held, CHUNK_BYTES, now_s) is None and held in self._held
            if ended and held.ended_at is not None and not self._goes_on_elsewhere(held, now_s):
                self._finish(held, held.ended_at)

    def _goes_on_elsewhere(self, held: _Held, now_s: float) -> bool:
        """Whether another file has taken this one's name, with more of the same in it: that one is read on then."""
        try:
            reader = open_reader(held.state.path)
        except OSError:
            return False
        other = reader.identity != held.reader.identity and holds(reader, held.state)
        if not other or not reader.read_at(held.state.offset, 1):
            reader.close()
            return False
        held.reader.close()
        held.reader, held.quiet_since, held.ended_at = reader, now_s, None
        return True

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self, now_s: float, most: int = CHUNK_BYTES) -> Chunk | None:
        """The next chunk, of ``most`` bytes; the same lines until it is accepted. None: there is nothing (more) now."""
        while self._to_read:
            held = self._to_read[0]
            chunk = self._next(held, most, now_s)
            if chunk is not None:
                if held.quiet_since is not None:
                    held.quiet_since = now_s
                return chunk
            self._to_read.popleft()
        return None

    def accept(self, chunk: Chunk) -> None:
        """The chunk is committed: go on behind it."""
        self._states.put(chunk.after)
        for held in chain(islice(self._to_read, 1), self._held):  # it is the first, mostly
            if held.state.id == chunk.after.id:
                held.state = chunk.after
                break

    def _next(self, held: _Held, most: int, now_s: float) -> Chunk | None:
        held.ended_at = None
        try:
            if held.state.trail and not held.state.offset and not self._resume(held, now_s):
                return None
            size = held.reader.size()  # first: what is written from here on is more than that
            chunk = read_chunk(held.reader, held.state, self._buffer, most)
        except OSError as problem:
            if problem.errno != errno.ESTALE:  # the next look says what became of it
                self._reporter.unreadable(held.state.path, problem.strerror or str(problem))
            return None
        if chunk is None:
            held.ended_at = size
        if chunk is None and not isinstance(held.reader, PlainReader):  # it will not grow
            self._finish(held, held.state.offset)
            if held.reader.damage:
                self._reporter.damaged(held.state.path, held.reader.damage)
        return chunk

    def _resume(self, held: _Held, now_s: float) -> bool:
        """Go on where a file's predecessor was read up to; returns whether that can be told by now."""
        reader, state = held.reader, held.state
        begin = reader.read_at(0, CHUNK_BYTES)
        if not begins(reader, state) or (b"\n" not in begin and len(begin) < CHUNK_BYTES):
            return True  # nothing is read of it now: it is another one already, or there is no line in it yet
        trail = unpack(state.trail)
        found = find(reader, trail)
        changing = held.watched and isinstance(reader, PlainReader)
        partly = not found.complete if found else begins_like(reader, trail)
        if changing and partly and not _is_settled(held, now_s):
            self.waits = True
            return False  # it may just be written anew: what comes next may have been read, too
        if found is None or not found.offset:
            # some of its lines may have been read: they stand about where they stood, unless lines were put before them
            doubt = trail.marks[-1][0] + CHUNK_BYTES + state.doubt if partly and trail.marks else 0
            held.state = msgspec.structs.replace(state, trail=b"", doubt=doubt)
            if doubt:
                self._reporter.changed(state.path, 0, doubt)
            return True
        offset, doubt = found.offset, found.doubt + state.doubt
        resumed = msgspec.structs.replace(
            state,
            offset=offset,
            size=max(offset, reader.size()) if isinstance(reader, PlainReader) else offset,
            head=fingerprint(reader.read_at(0, min(HEAD_BYTES, offset))),
            anchor=_anchor(reader, offset),
            trail=pack(still_true(reader, trail, found)),
            doubt=offset + doubt if doubt else 0,
        )
        self._book.update(resumed)
        self._states.put(resumed)
        held.state = resumed
        self._reporter.changed(state.path, offset, doubt)
        return True

    @property
    def held(self) -> tuple[FileState, ...]:
        """The files that are open now, oldest first."""
        return tuple(held.state for held in self._held)

    @property
    def states(self) -> tuple[FileState, ...]:
        """All files of this live path that are known."""
        return tuple(self._states)

    def gone(self) -> frozenset[int]:
        """Ids of finished files that were not there when all files were told apart last."""
        return frozenset() if self._here is None else self._states.finished(but=self._here)

    def reads(self, id_: int) -> bool:
        """Whether a file is one of those that are open here."""
        return any(held.state.id == id_ for held in self._held)

    def forget(self, ids: Collection[int]) -> None:
        """Know these no more, of which none is open here: another live path's now, or gone and in the store no more."""
        self._states.drop(ids)

    def know(self, state: FileState) -> None:
        """Know this file (again), which is not open here."""
        self._states.put(state)

    def close(self) -> None:
        """Free all descriptors."""
        _close(held.reader for held in self._held)
        self._held = []
        self._to_read.clear()
        self._current = None


def _anchor(reader: Reader, offset: int) -> Fingerprint:
    """Return the fingerprint of the last bytes before a position."""
    start = max(0, offset - ANCHOR_BYTES)
    return fingerprint(reader.read_at(start, offset - start)) if offset else Fingerprint()


def _is_sure(before: dict[str, Predecessor], path: str) -> bool:
    return path in before and before[path].sure


def _is_kept(reader: Reader, named: Reader, *, live: bool) -> bool:
    """Whether an open file is read on although its name may be another's now that has the same content.

    Whoever has a renamed (and compressed) file open may still write to it. A replaced live file goes on anew, and of
    two files the longer one is read.
    """
    if reader.identity == named.identity:
        return True
    return not live and not (isinstance(named, PlainReader) and named.size() > reader.size())


def _is_settled(held: _Held, now_s: float) -> bool:
    """Whether a file that is being written anew seems to be complete."""
    size, was = held.reader.size(), held.growth
    if was is None or size != was.size:
        held.growth = was = _Growth(size, now_s, was.begun_s if was else now_s)
    return now_s - was.since_s >= SETTLE_S or now_s - was.begun_s >= REWRITTEN_S


def _has_more(reader: Reader, state: FileState) -> bool:
    if not state.done:
        return True
    if isinstance(reader, PlainReader):
        return reader.size() > state.size
    if is_compressed(state.path):
        return False  # it does not grow
    try:
        return bool(reader.read_at(state.size, 1))  # it may have grown before it was compressed
    except OSError:
        return True  # reading it says why


def _is_cut_off(reader: Reader, state: FileState) -> bool:
    """Whether a plain file that had this state was cut off, and perhaps written anew, since."""
    if not state.offset:
        return not begins(reader, state)
    return reader.size() < state.offset or not goes_on(reader, state)


def _size(path: str) -> tuple[int, ...]:
    """What changes when a file grows, or is another one; empty where there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return ()
    return stat.st_dev, stat.st_ino, stat.st_size


def _is_at(path: str, reader: Reader) -> bool:
    try:
        stat = os.stat(path)
    except OSError:
        return False
    return (stat.st_dev, stat.st_ino) == reader.identity


def _close(readers: Iterable[Reader]) -> None:
    for reader in readers:
        reader.close()
