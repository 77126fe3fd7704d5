"""The open files of one live path: the next chunk, and when a renamed file is closed.

Nothing moves until ``accept``: a chunk whose commit fails is read again.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import chain, islice

import msgspec

from otel_logtail.events import Reporter
from otel_logtail.model import Chunk, FileState
from otel_logtail.tail.checkpoints import Checkpoints, States
from otel_logtail.tail.fingerprint import check_begin, fingerprint, holds
from otel_logtail.tail.lines import CHUNK_BYTES, read_chunk
from otel_logtail.tail.reader import PlainReader, Reader, open_reader
from otel_logtail.tail.replaced import resumed, started_anew
from otel_logtail.tail.resume import begins_like, find
from otel_logtail.tail.trail import unpack

GRACE_S = 60.0
"""How long a renamed file is read after its last growth: its writer may still have it open."""

SETTLE_S = 0.5
"""How long a file that is being rewritten must be unchanged; how often at most files are told apart by names alone."""

REWRITTEN_S = 5.0
"""How long at most to wait for a file that is being rewritten with lines that were read before."""


class Growth(msgspec.Struct, frozen=True):
    """The size of a file that is being rewritten, since when it has that size, and since when it is waited for."""

    size: int
    since_s: float
    begun_s: float


class Held(msgspec.Struct, eq=False):
    """A file that is open.

    ``quiet_since``: it is not the live file, and has not grown since then. ``ended_at``: its size before the last read,
    which found nothing behind the position; None if that read found something or failed. ``verified``: its size and
    times when the bytes before the position were last compared, long after they were written; None if they have to be
    compared. ``watched``: it appeared, or got its first line, while the path was followed, so it may not be complete
    yet; ``growth`` shows its progress.
    """

    reader: Reader
    state: FileState
    quiet_since: float | None = None
    ended_at: int | None = None
    verified: tuple[int, int, int] | None = None
    watched: bool = False
    growth: Growth | None = None


def current_of(held: Iterable[Held]) -> Held | None:
    """Return the live one of these files."""
    return next((each for each in held if each.quiet_since is None), None)


class HeldFiles:
    """The open files of one live path, oldest first."""

    def __init__(self, states: States, checkpoints: Checkpoints, reporter: Reporter, buffer: bytearray) -> None:
        self.all: list[Held] = []
        self.current: Held | None = None
        """The live one."""
        self.waits = False
        """True if a file is being rewritten, so that another scan is due soon."""
        self._states = states
        self._checkpoints = checkpoints
        self._reporter = reporter
        self._buffer = buffer
        self._to_read: deque[Held] = deque()
        # the newest file of which something was read
        self._newest = max((state for state in states if state.offset), key=lambda state: state.id, default=None)

    def hold(self, holding: list[Held], paths: Mapping[tuple[int, int], str]) -> bool:
        """Hold these files from now on; return whether another one was closed for that.

        ``paths``: the present paths by device and inode.
        """
        kept = {id(held.reader) for held in holding}
        closed = [held.reader for held in self.all if id(held.reader) not in kept]
        for reader in closed:
            reader.close()
        self.all = holding
        for held in reversed(holding):  # the oldest is used first
            held.reader.keep()
            held.reader.path = paths.get(held.reader.identity, held.reader.path)
        self.current = current_of(holding)
        return bool(closed)

    def start_reading(self) -> None:
        """Read all of them again from now on, oldest first."""
        self._to_read = deque(self.all)

    def read(self, now_s: float, most: int) -> Chunk | None:
        """Return the next chunk, of ``most`` bytes; None if there is nothing (more) now."""
        while self._to_read:
            held = self._to_read[0]
            chunk = self._next(held, most, now_s)
            if chunk is not None:
                if held.quiet_since is not None:
                    held.quiet_since = now_s
                return chunk
            self._to_read.popleft()
        return None

    def accept(self, after: FileState) -> None:
        """Continue behind a chunk that is committed."""
        before = self._before(after)
        if before is not None and (continued := self._continued(before)) is not None:
            self._take(continued)
        if before is not None or self._newest is None or after.id == self._newest.id:
            self._newest = after
        self._take(after)

    def release(self, now_s: float) -> None:
        """Close files that are not live any more, were read to their end and have not grown for long."""
        for held in list(self.all):
            quiet = held.quiet_since is not None and now_s - held.quiet_since >= GRACE_S
            ended = quiet and self._next(held, CHUNK_BYTES, now_s) is None and held in self.all
            if ended and held.ended_at is not None and not self._goes_on_elsewhere(held, now_s):
                self._finish(held, held.ended_at)

    def close(self) -> None:
        """Close all of them."""
        for held in self.all:
            held.reader.close()
        self.all = []
        self._to_read.clear()
        self.current = None

    def _store(self, state: FileState) -> None:
        self._checkpoints.update(state)
        self._states.put(state)

    def _finish(self, held: Held, size: int) -> None:
        self._store(msgspec.structs.replace(held.state, size=size, done=True))
        held.reader.close()
        self.all.remove(held)

    def _goes_on_elsewhere(self, held: Held, now_s: float) -> bool:
        """Return whether another file has this one's name and more of the same content: that one is read on then."""
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

    def _next(self, held: Held, most: int, now_s: float) -> Chunk | None:
        held.ended_at = None
        try:
            size = held.reader.size()  # first: bytes that are written from here on are beyond it
            if held.state.trail and not held.state.offset and not self._resume(held, now_s, size):
                return None
            chunk = read_chunk(held.reader, held.state, self._buffer, most)
        except OSError as problem:
            if problem.errno != errno.ESTALE:  # the next scan finds out what happened to it
                self._reporter.unreadable(held.state.path, problem.strerror or str(problem))
            return None
        if chunk is None:
            held.ended_at = size
        elif (before := self._before(held.state)) is not None and before.parts:
            parts = b"" if held.state.offset else before.parts  # a rotation may come between the parts of a line
            after = msgspec.structs.replace(chunk.after, parts=parts or chunk.after.parts)
            chunk = msgspec.structs.replace(chunk, after=after, continued=self._continued(before))
        if chunk is None and not isinstance(held.reader, PlainReader):  # it will not grow
            self._finish(held, held.state.offset)
            if held.reader.damage:
                self._reporter.damaged(held.state.path, held.reader.damage)
        return chunk

    def _before(self, state: FileState) -> FileState | None:
        """Return the checkpoint of the newest file that was read, if this is that of a newer one."""
        newest = self._newest
        return None if newest is None or newest.id == state.id or not self._is_newer(state, newest) else newest

    def _continued(self, before: FileState) -> FileState | None:
        """Return a checkpoint without unfinished lines: the next file continues them. None: nothing is stored of it."""
        known = self._states.get(before.id)
        return None if known is None or not known.parts else msgspec.structs.replace(known, parts=b"")

    def _is_newer(self, state: FileState, other: FileState) -> bool:
        """Return whether a file was written after another one. The id of an older file that is found late is larger."""
        order = [held.state.id for held in self.all if held.state.id in (state.id, other.id)]
        return order[0] == other.id if len(order) == 2 else state.id > other.id

    def _take(self, state: FileState) -> None:
        """Continue with a checkpoint that was stored."""
        self._states.put(state)
        for held in chain(islice(self._to_read, 1), self.all):  # it is the first, mostly
            if held.state.id == state.id:
                held.state = state
                break

    def _resume(self, held: Held, now_s: float, size: int) -> bool:
        """Continue where the replaced file was read up to; return whether that can be decided now."""
        reader, state = held.reader, held.state
        begin = reader.read_at(0, CHUNK_BYTES)
        is_begun = fingerprint(begin[: state.head.length]) == state.head
        if not is_begun or (b"\n" not in begin and len(begin) < CHUNK_BYTES):
            held.ended_at = size
            held.watched = True
            return False  # it is another file already, or holds no line yet
        trail = unpack(state.trail)
        found = find(reader, trail)
        partly = not found.complete if found else begins_like(reader, trail)
        check_begin(reader, begin)
        if held.watched and isinstance(reader, PlainReader) and partly and not _is_settled(held, now_s):
            self.waits = True
            return False  # it may be half rewritten: the lines that follow may have been read, too
        if found is None or not found.offset:
            held.state = started_anew(state, trail, found, partly=partly)
            if held.state.doubt:
                self._reporter.changed(state.path, 0, held.state.doubt)
            return True
        after = resumed(reader, state, trail, found)
        check_begin(reader, begin)
        self._store(after)
        held.state = after
        self._reporter.changed(state.path, found.offset, found.doubt + state.doubt)
        return True


def _is_settled(held: Held, now_s: float) -> bool:
    """Return whether a file that is being rewritten seems to be complete."""
    size, was = held.reader.size(), held.growth
    if was is None or size != was.size:
        held.growth = was = Growth(size, now_s, was.begun_s if was else now_s)
    return now_s - was.since_s >= SETTLE_S or now_s - was.begun_s >= REWRITTEN_S
