"""One live path as an endless source of chunks, across rotation, truncation and restarts.

A *live path* is a name that the program writes to. Over time it names many files, each with a checkpoint
(:class:`FileState`) in the store. ``PathTail`` holds the files of one live path open that may have unread bytes, and
reads them in order, the oldest first. A scan identifies the files, makes a plan (``plan``), and carries it out.

Invariants:
  * a chunk holds complete lines, or a skipped part of a line beyond the limit; it is returned again until ``accept``;
  * a file is recognized by its content (``identify``), never by its name or inode alone;
  * every rotated file that was ever seen has a checkpoint, so a file without one is new, and is read;
  * the checkpoints are stored before the set of open files changes: if the store fails, the next scan decides again.

Known limits: a file that was replaced by one with the same bytes is taken for the same file. A file that was deleted
before it was read is reported, not recovered. The last line of a rotated file is not read if it lacks its
newline.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection, Iterable
from enum import Enum

import msgspec

from otel_logtail.events import Reporter
from otel_logtail.model import Chunk, FileState
from otel_logtail.tail.checkpoints import Checkpoints, Elsewhere, States
from otel_logtail.tail.directories import SETTLED_NS, Folders
from otel_logtail.tail.fingerprint import is_cut_off
from otel_logtail.tail.held import SETTLE_S, HeldFiles
from otel_logtail.tail.lastscan import LastScan
from otel_logtail.tail.lines import CHUNK_BYTES
from otel_logtail.tail.opening import Opened, PathFiles, close_all
from otel_logtail.tail.plan import Plan, unread
from otel_logtail.tail.planner import Planner
from otel_logtail.tail.reader import PlainReader


class Outcome(Enum):
    """The result of a scan of one live path."""

    IDLE = "idle"
    """Nothing has changed, and everything was read."""
    READ = "read"
    """There may be something to read."""
    CHANGED = "changed"
    """The same, and the files were identified."""
    AGAIN = "again"
    """The live file was cut off: scan again with a new listing, since it may have been copied before."""


class PathTail:
    """One live path."""

    def __init__(
        self,
        live: str,
        states: Iterable[FileState],
        checkpoints: Checkpoints,
        reporter: Reporter,
        *,
        from_start: bool,
        ring: bool,
        buffer: bytearray,
        folders: Folders,
        elsewhere: Elsewhere,
    ) -> None:
        self.live = live
        self.files = PathFiles(live, folders, reporter, ring=ring)
        self.begun: list[tuple[str, int]] = []
        """Files that are followed since this list was emptied, with the offset where each began."""
        self._others = elsewhere
        self._states = States(states, elsewhere.states)
        self._checkpoints = checkpoints
        self._reporter = reporter
        self._from_start = from_start
        self._planner = Planner(self.files, self._states, elsewhere)
        self._held = HeldFiles(self._states, checkpoints, reporter, buffer)
        self._last = LastScan(live)
        self._waits = False
        # identity, size and times of the live file when nothing was left to read or to find out; else empty
        self._resting: tuple[int, ...] = ()
        self._rests_since_s = 0.0
        self.modified_ns = 0
        """When the live file was modified last, as of the last scan."""

    # --- scan -------------------------------------------------------------------------------------------------------

    def scan(self, now_s: float, *, again: bool = False) -> Outcome:
        """Scan the live path and open the files that have to be read.

        ``again``: the directory was listed after the last scan, which has found that the live file was cut off.
        """
        outcome = Outcome.READ
        self._waits = self._held.waits = False
        try:
            outcome = self._scan(now_s, again=again)
        except OSError as problem:
            if problem.errno != errno.ESTALE:  # a file that had to be opened again was just renamed
                self._reporter.unreadable(self.live, problem.strerror or str(problem))
        if outcome in (Outcome.IDLE, Outcome.AGAIN):
            return outcome
        self._held.release(now_s)
        self._held.start_reading()
        return outcome

    def _scan(self, now_s: float, *, again: bool) -> Outcome:
        last = self._last
        status = self.files.status()
        self.modified_ns = status[3] if status else 0
        seen = status[:2]
        beside = self.files.names(now_s, fresh=not seen)
        late = last.grew_late(self._states)
        if beside is last.beside and not late and ((status and status == self._resting) or self._rests(status)):
            if status != self._resting:
                self._resting, self._rests_since_s = status, now_s
            return Outcome.IDLE
        self._resting = ()
        changed = late or beside != last.beside or last.has_copies_that_changed()
        another = seen == last.seen and self._is_another()
        if another and not again:
            return Outcome.AGAIN
        # if there was no live file before and now, one may have come and been renamed: no event will name it again
        urgent = seen != last.seen or another or (changed and not seen)
        due = urgent or ((changed or last.scan_again) and now_s - last.identified_s >= SETTLE_S)
        if due and self._sync(now_s):
            last.seen, last.beside, last.identified_s = seen, beside, now_s
            # a change between the listing and now may not show again
            unsure = (urgent or changed) and not (seen and self.files.is_quiet() and not another)
            last.scan_again = last.orphans or unsure
            self._waits = last.orphans
            return Outcome.CHANGED
        if due or changed:
            self._waits = True
        else:
            last.beside = beside
        return Outcome.READ

    def _rests(self, status: tuple[int, ...]) -> bool:
        """Return whether the live file is the only one, and was read to its end as it is now."""
        held = self._held.current
        return (
            held is not None
            and held.verified == status[2:]
            and held.ended_at == held.verified[0]
            and held.reader.identity == status[:2]
            and len(self._held.all) == 1
            and not self._last.scan_again
            and not self._last.undecided
        )

    def _is_another(self) -> bool:
        """Return whether the live file was cut off, and perhaps rewritten, since it was read."""
        held = self._held.current
        if held is None or not isinstance(held.reader, PlainReader):
            return False
        changed = held.reader.changed()
        if changed == held.verified:
            return False  # of an idle file nothing has to be read, perhaps from the disk
        another = is_cut_off(held.reader, held.state)
        settled = time.time_ns() - max(changed[1:]) >= SETTLED_NS
        held.verified = changed if settled and not another else None
        return another

    def _sync(self, now_s: float) -> bool:
        """Identify the files and carry out a plan; return whether that was possible."""
        opened = self.files.open(now_s, self._states.unfinished())
        try:
            plan = self._planner.plan(
                opened, self._held.all, from_start=self._from_start, is_first=self._last.seen is None, now_s=now_s
            )
            if plan is not None:
                self._apply(plan, opened)
        finally:
            kept = {id(held.reader) for held in self._held.all}
            close_all(reader for reader in opened.readers.values() if id(reader) not in kept)
        if plan is None:
            return False
        self._from_start = True  # files that appear from now on are new
        if self.live in opened.readers:
            self._reporter.readable(self.live)
        elif not self._held.all:
            self._reporter.unreadable(self.live, os.strerror(errno.ENOENT))
        return True

    # --- act --------------------------------------------------------------------------------------------------------

    def _apply(self, plan: Plan, opened: Opened) -> None:
        """Carry out a plan: store the checkpoints, then hold the files, then report.

        Raises:
            StoreError: The checkpoints cannot be stored; nothing has changed.
        """
        added: list[FileState] = []
        if plan.add or plan.update:
            with self._checkpoints.together():
                added = self._checkpoints.add(plan.add) if plan.add else []
                for state in plan.update:
                    self._checkpoints.update(state)
        for state in plan.take:
            self._others.take(state)
        for state in (*added, *plan.update):
            self._states.put(state)
        new = {(state.device, state.inode): state for state in added}
        for held in plan.hold:
            held.state = held.state if held.state.id else new[held.reader.identity]
        self.begun += plan.begun
        paths = {reader.identity: path for path, reader in opened.readers.items()}
        self._last.orphans = self._held.hold(plan.hold, paths) and plan.has_copies
        self._last.note(plan, opened, self._states, added)
        self._report(plan)

    def _report(self, plan: Plan) -> None:
        for state in plan.gone:
            self._reporter.gone(state.path, unread(state))
        for state in plan.unseen:
            self._reporter.unseen(state.path, max(state.size, state.offset), unread(state))
        for state in plan.doubted:
            self._reporter.changed(state.path, state.offset, state.doubt - state.offset)
        if plan.change == "truncated":
            self._reporter.truncated(self.live)
        elif plan.change == "rotated":
            self._reporter.rotated(self.live)

    # --- read -------------------------------------------------------------------------------------------------------

    def read(self, now_s: float, most: int = CHUNK_BYTES) -> Chunk | None:
        """Return the next chunk, of ``most`` bytes: the same lines until it is accepted. None: nothing (more) now."""
        return self._held.read(now_s, most)

    def accept(self, after: FileState) -> None:
        """Continue behind a chunk that is committed, at the checkpoint that the store has."""
        self._held.accept(after)

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """True if another scan is due soon: names have changed, or a file is being rewritten."""
        return self._waits or self._held.waits

    @property
    def is_open(self) -> bool:
        """True if any of the files is open."""
        return bool(self._held.all)

    @property
    def open(self) -> list[tuple[int, int]]:
        """Device and inode of each open file."""
        return [held.reader.identity for held in self._held.all]

    @property
    def held(self) -> tuple[FileState, ...]:
        """The checkpoints of the open files, oldest first."""
        return tuple(held.state for held in self._held.all)

    @property
    def states(self) -> tuple[FileState, ...]:
        """All checkpoints of this live path."""
        return tuple(self._states)

    def retired(self, before_s: float) -> FileState | None:
        """Return the checkpoint to store if this path is retired; None if it has not been idle since then."""
        held = self._held.current
        if held is None or not self._resting or self._rests_since_s > before_s:
            return None
        return msgspec.structs.replace(held.state, size=self._resting[2], done=True)

    def gone(self) -> frozenset[int]:
        """Return the ids of finished files that were not there when the files were identified last."""
        here = self._last.here
        return frozenset() if here is None else self._states.finished(but=here)

    def reads(self, id_: int) -> bool:
        """Return whether the file with this id is open here."""
        return any(held.state.id == id_ for held in self._held.all)

    def forget(self, ids: Collection[int]) -> None:
        """Forget these checkpoints, whose files are not open here: they moved, or were deleted from the store."""
        self._states.drop(ids)

    def know(self, state: FileState) -> None:
        """Remember the checkpoint of a file that is not open here."""
        self._states.put(state)

    def close(self) -> None:
        """Close all files."""
        self._held.close()
