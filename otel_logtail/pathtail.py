"""One live path as one endless source of chunks, across rotation, truncation and restarts.

A *live path* is a name that the program writes to. Over time it names many files; each has a :class:`FileState`, which
is in the store with the position that was committed. ``PathTail`` holds the files of one live path that still have
something to give, oldest first, and hands out their bytes in that order.

Invariants:
  * a chunk is whole lines (or the skipped part of a line beyond the bound), and is handed out again until ``accept``;
  * what a file is, is decided by what it holds (``files.holds``), never by its name or inode alone;
  * every rotated file that was ever seen has a state, so one that has none is new, and is read.

Known limits: a file whose first read bytes were all rewritten to the same bytes can't be told from itself; what was
deleted before it was read is reported, not recovered.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable
from lzma import LZMAError

import msgspec

from otel_logtail.files import (
    ANCHOR_BYTES,
    HEAD_BYTES,
    PlainReader,
    Reader,
    fingerprint,
    holds,
    is_compressed,
    open_reader,
    siblings,
)
from otel_logtail.model import FileState
from otel_logtail.reporter import Reporter

CHUNK_BYTES = 1 << 20
"""How much is read at once, and the bound on a line: a longer one has no newline in a whole chunk."""

GRACE_S = 60.0
"""How long a renamed file is read on after its last growth: its writer may still hold it."""

_DAMAGE = (EOFError, zlib.error, LZMAError)


class Chunk(msgspec.Struct, frozen=True):
    """Whole lines of one file, at their absolute offset, and the file's state behind them.

    ``anchor`` are the bytes before that position; ``advanced`` counts all bytes that the position moves by, skipped
    ones too; ``oversized`` the lines that began to be skipped here.
    """

    data: bytes
    base: int
    after: FileState
    anchor: bytes
    advanced: int
    oversized: int = 0


class Book(msgspec.Struct, frozen=True):
    """How a tail remembers files: in the store, at once."""

    add: Callable[[list[FileState]], list[FileState]]
    update: Callable[[FileState], None]


class _Held:
    """A file that is open, and the bytes before its position."""

    def __init__(self, reader: Reader, state: FileState) -> None:
        self.reader = reader
        self.state = state
        self.anchor = reader.read_at(state.offset - state.anchor.length, state.anchor.length)
        self.quiet_since: float | None = None  # for a file that is no longer the live one: since when it has not grown


class PathTail:
    """One live path."""

    def __init__(
        self, live: str, states: Iterable[FileState], book: Book, reporter: Reporter, *, from_start: bool
    ) -> None:
        self.live = live
        self._states = {state.id: state for state in states}
        self._book = book
        self._reporter = reporter
        self._from_start = from_start
        self._held: list[_Held] = []
        self._current: _Held | None = None

    # --- looking ----------------------------------------------------------------------------------------------------

    def look(self, now_s: float) -> None:
        """See what the live path names now, and open what has to be read."""
        try:
            stat = os.stat(self.live)
        except FileNotFoundError:
            if self._current is not None:
                self._current.quiet_since = now_s
                self._current = None
        except OSError as problem:
            self._reporter.unreadable(self.live, problem.strerror or str(problem))
        else:
            current = self._current
            if (
                current is None
                or (stat.st_dev, stat.st_ino) != (current.reader.device, current.reader.inode)
                or stat.st_size < current.state.offset
                or not self._unchanged(current)
            ):
                self._sync(now_s)
        self._release(now_s)

    def _unchanged(self, held: _Held) -> bool:
        start = held.state.offset - len(held.anchor)
        return held.reader.read_at(start, len(held.anchor)) == held.anchor

    def _sync(self, now_s: float) -> None:
        """Tell all files of this live path apart, and put those that have something to give in order."""
        paths = [sibling.path for sibling in siblings(self.live)]
        readers: dict[str, Reader] = {}
        for path in [*paths, self.live]:
            try:
                readers[path] = open_reader(path)
            except OSError as problem:
                if path == self.live:
                    self._reporter.unreadable(path, problem.strerror or str(problem))
                    for reader in readers.values():
                        reader.close()
                    return  # without the live file the others' order can't be told: wait for it
        self._reporter.readable(self.live)
        try:
            claims = self._claims(readers)
            self._adopt(readers, claims, now_s)
        finally:
            kept = {id(held.reader) for held in self._held}
            for reader in readers.values():
                if id(reader) not in kept:
                    reader.close()

    def _claims(self, readers: dict[str, Reader]) -> dict[str, FileState | None]:
        """Which known file each open one is; None: a copy of one that is here under another name."""
        claims: dict[str, FileState | None] = {}
        open_states = [held.state for held in self._held]
        unfinished = [s for s in self._states.values() if not s.done and s not in open_states]
        finished = [s for s in self._states.values() if s.done]
        newest_first = sorted([*open_states, *unfinished], key=lambda s: -s.id) + finished[::-1]
        for by_inode in (True, False):
            for state in newest_first:
                if state in claims.values():
                    continue
                for path in reversed(readers):
                    if path not in claims and self._is(readers[path], state, by_inode=by_inode):
                        claims[path] = state
                        break
        for path, reader in readers.items():
            if path not in claims and any(_same(reader, state) for state in newest_first):
                claims[path] = None
        return claims

    @staticmethod
    def _is(reader: Reader, state: FileState, *, by_inode: bool) -> bool:
        if not by_inode:
            return _same(reader, state)
        if (reader.device, reader.inode) != (state.device, state.inode):
            return False
        # a file of which nothing was read yet has nothing else to be recognised by, and nothing to lose
        return state.offset == 0 or _same(reader, state)

    def _adopt(self, readers: dict[str, Reader], claims: dict[str, FileState | None], now_s: float) -> None:
        fresh = [path for path in readers if path not in claims]
        made = dict(zip(fresh, self._book.add([self._new_state(path, readers[path]) for path in fresh]), strict=True))
        for path, new in made.items():
            self._states[new.id] = new
            if not new.done:
                self._reporter.follows(path, new.offset)
        by_state = {held.state.id: held for held in self._held}
        held_now: list[_Held] = []
        for path, reader in readers.items():
            state: FileState | None = made.get(path) or claims.get(path)
            if state is None:
                continue
            live = path == self.live
            held = by_state.pop(state.id, None)
            if held is None and not live and not _has_more(reader, state):
                continue
            moved = msgspec.structs.replace(
                state, live=self.live, path=path, device=reader.device, inode=reader.inode, done=False
            )
            if moved != state:
                self._book.update(moved)
                self._states[moved.id] = moved
            if held is None:
                held = _Held(reader, moved)
            elif isinstance(held.reader, PlainReader) and held.reader.inode == reader.inode:
                held.state = moved
            else:  # the same content in another file (a copy, an atomic replacement): go on there
                held.reader.close()
                held = _Held(reader, moved)
            if not live and held.quiet_since is None:
                held.quiet_since = now_s
            if live:
                held.quiet_since = None
                if self._current is not None and held is not self._current:
                    self._say_why(self._current, reader)
                self._current = held
            held_now.append(held)
        for held in by_state.values():
            # not among the names any more: what is still behind the descriptor is read; what is cut off is gone
            if held.reader.size() >= held.state.offset and self._unchanged(held):
                held.quiet_since = now_s if held.quiet_since is None else held.quiet_since
                held_now.insert(0, held)
            else:
                self._give_up(held.state)
                held.reader.close()
        kept = {held.state.id for held in held_now}
        for lost in list(self._states.values()):
            if not lost.done and lost.id not in kept:
                self._give_up(lost)
        self._held = held_now

    def _say_why(self, before: _Held, reader: Reader) -> None:
        if (before.reader.device, before.reader.inode) == (reader.device, reader.inode):
            self._reporter.truncated(self.live)
        else:
            self._reporter.rotated(self.live)

    def _new_state(self, path: str, reader: Reader) -> FileState:
        offset = 0 if self._from_start else _end(reader)
        size = reader.size() if not is_compressed(path) else offset
        return FileState(
            id=0,
            live=self.live,
            path=path,
            device=reader.device,
            inode=reader.inode,
            offset=offset,
            size=size,
            head=fingerprint(reader.read_at(0, min(HEAD_BYTES, offset))),
            anchor=fingerprint(reader.read_at(max(0, offset - ANCHOR_BYTES), min(ANCHOR_BYTES, offset))),
            done=path != self.live and not self._from_start,
        )

    def _give_up(self, state: FileState) -> None:
        unread = state.size - state.offset
        if unread:
            self._reporter.gone(state.path, unread if unread > 0 else None)
        self._finish(state)

    def _finish(self, state: FileState) -> None:
        done = msgspec.structs.replace(state, done=True)
        self._book.update(done)
        self._states[done.id] = done

    def _release(self, now_s: float) -> None:
        """Let go of files that are no longer live, have been read to their end and have not grown for long."""
        for held in list(self._held):
            quiet_for = 0.0 if held.quiet_since is None else now_s - held.quiet_since
            if quiet_for >= GRACE_S and self._read(held) is None:
                self._finish(held.state)
                held.reader.close()
                self._held.remove(held)

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self, now_s: float) -> Chunk | None:
        """The next chunk, the same one until it is accepted; None where there is nothing (more) now."""
        for held in list(self._held):
            try:
                chunk = self._read(held)
            except OSError as problem:
                self._reporter.unreadable(held.state.path, problem.strerror or str(problem))
                continue
            except _DAMAGE as problem:
                self._reporter.damaged(held.state.path, str(problem))
                self._finish(held.state)
                held.reader.close()
                self._held.remove(held)
                continue
            if chunk is not None:
                if held.quiet_since is not None:
                    held.quiet_since = now_s
                return chunk
        return None

    def accept(self, chunk: Chunk) -> None:
        """The chunk is committed: go on behind it."""
        for held in self._held:
            if held.state.id == chunk.after.id:
                held.anchor = chunk.anchor
                held.state = chunk.after
                self._states[chunk.after.id] = chunk.after

    def _read(self, held: _Held) -> Chunk | None:
        state, anchor = held.state, held.anchor
        size = held.reader.size()
        want = CHUNK_BYTES if not isinstance(held.reader, PlainReader) else min(CHUNK_BYTES, size - state.offset)
        if want <= 0:
            return None
        # the bytes before the position are read again with the next ones: if they are others now, so is the file
        raw = held.reader.read_at(state.offset - len(anchor), len(anchor) + want)
        if not raw.startswith(anchor):
            return None  # the next look sorts it out
        data = raw[len(anchor) :]
        skipping = state.offset > 0 and anchor[-1:] != b"\n"
        start = (data.find(b"\n") + 1 or len(data)) if skipping else 0
        end = data.rfind(b"\n") + 1
        oversized = 0
        if end <= start:  # no whole line
            if skipping:
                end = start
            elif len(data) >= CHUNK_BYTES:
                start = end = len(data)
                oversized = 1
        if not end:
            return None
        offset, stop = state.offset + end, len(anchor) + end
        before = raw[max(0, stop - ANCHOR_BYTES) : stop]
        head = state.head
        if head.length < HEAD_BYTES:
            length = min(HEAD_BYTES, offset)
            head = fingerprint(raw[:length] if state.offset == 0 else held.reader.read_at(0, length))
        after = msgspec.structs.replace(
            state, offset=offset, size=max(size, offset), head=head, anchor=fingerprint(before)
        )
        return Chunk(data[start:end], state.offset + start, after, before, end, oversized)

    @property
    def held(self) -> tuple[FileState, ...]:
        """The files that are open now, oldest first."""
        return tuple(held.state for held in self._held)

    @property
    def states(self) -> tuple[FileState, ...]:
        """All files of this live path that are known."""
        return tuple(self._states.values())

    def forget(self, state: FileState) -> None:
        """A file that is not open here belongs to another live path now."""
        self._states.pop(state.id, None)

    def close(self) -> None:
        """Free all descriptors."""
        for held in self._held:
            held.reader.close()
        self._held = []
        self._current = None


def _same(reader: Reader, state: FileState) -> bool:
    try:
        return holds(reader, state)
    except (OSError, *_DAMAGE):
        return False


def _has_more(reader: Reader, state: FileState) -> bool:
    if isinstance(reader, PlainReader):
        return not state.done or reader.size() > state.offset
    return not state.done


def _end(reader: Reader) -> int:
    """The end of the last whole line: a line that is just being written will be read as a whole."""
    if isinstance(reader, PlainReader):
        size = reader.size()
        start = max(0, size - CHUNK_BYTES)
        newline = reader.read_at(start, size - start).rfind(b"\n")
        return start + newline + 1 if newline >= 0 or start == 0 else size
    position = 0
    try:
        while block := reader.read_at(position, CHUNK_BYTES):
            position += len(block)
    except (OSError, *_DAMAGE):
        pass  # as far as it can be read
    return position
