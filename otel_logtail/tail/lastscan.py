"""The state of a live path at its last scan, and whether its other files have changed since."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import msgspec

from otel_logtail.model import FileState
from otel_logtail.tail.checkpoints import States
from otel_logtail.tail.directories import Names
from otel_logtail.tail.naming import is_compressed
from otel_logtail.tail.opening import Opened
from otel_logtail.tail.plan import Plan


class LastScan(msgspec.Struct):
    """The state of a live path at the time when its files were identified last.

    ``seen``: device and inode of the live file. ``beside``: the names beside it. ``identified_s``: the time.
    ``scan_again``: a change may have gone unseen. ``orphans``: a file may be a copy of one that was closed, and would
    be new then. ``undecided``: files that are copies as far as they go, with identity and size: one that grows is
    compared again. ``rotated``: the newest rotated file and the id of its checkpoint: its writer may have it open for
    long. ``here``: the ids of the checkpoints whose files were there.
    """

    live: str
    seen: tuple[int, ...] | None = None
    beside: tuple[Names, ...] = ()
    identified_s: float = 0.0
    scan_again: bool = False
    orphans: bool = False
    undecided: Mapping[str, tuple[int, ...]] = msgspec.field(default_factory=dict)
    rotated: tuple[str, int] | None = None
    here: frozenset[int] | None = None

    def has_copies_that_changed(self) -> bool:
        """Return whether one of the undecided files has grown or was replaced."""
        return any(was != _size(path) for path, was in self.undecided.items())

    def grew_late(self, states: States) -> bool:
        """Return whether the newest rotated file was finished and has grown since: it is still written to."""
        if self.rotated is None:
            return False
        path, id_ = self.rotated
        state, size = states.get(id_), _size(path)
        return state is not None and state.done and size[:2] == (state.device, state.inode) and size[2] > state.size

    def note(self, plan: Plan, opened: Opened, states: States, added: Iterable[FileState]) -> None:
        """Note the files of a plan that was carried out. ``added`` are the checkpoints that it added."""
        self.undecided = plan.undecided
        self.rotated = self._newest_rotated(opened, states)
        if opened.complete:
            self.here = plan.here.union(state.id for state in added)

    def _newest_rotated(self, opened: Opened, states: States) -> tuple[str, int] | None:
        """Return the newest rotated file that is not compressed, and the id of its checkpoint."""
        path = next((path for path in reversed(opened.readers) if path != self.live), "")
        if not path or is_compressed(path):
            return None
        identity = opened.readers[path].identity
        ids = [state.id for state in states if (state.device, state.inode) == identity]
        return (path, max(ids)) if ids else None


def _size(path: str) -> tuple[int, ...]:
    """Return what changes if a file grows or is replaced; empty if there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return ()
    return stat.st_dev, stat.st_ino, stat.st_size
