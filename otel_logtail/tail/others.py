"""Files that move between live paths: the checkpoint moves with the file, so that no line is read twice."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping

from otel_logtail.model import FileState
from otel_logtail.tail.checkpoints import Elsewhere, Everywhere, Moved
from otel_logtail.tail.fingerprint import holds
from otel_logtail.tail.known import KnownPaths
from otel_logtail.tail.live import PathTail
from otel_logtail.tail.naming import is_compressed, siblings
from otel_logtail.tail.reader import PlainReader, Reader, identity_at


class OtherPaths(Elsewhere):
    """The checkpoints of all live paths: of those that are followed, and of those that are only known."""

    def __init__(self, known: KnownPaths, tails: Mapping[str, PathTail]) -> None:
        self.states = Everywhere(state for states in known.values() for state in states)
        self._known, self._tails = known, tails
        self.taken: list[FileState] = []
        """Checkpoints that were taken, as they were before."""

    def find(self, live: str, reader: Reader) -> tuple[Moved, FileState] | None:
        try:
            for state in self.states.like(reader):
                if state.live == live or not holds(reader, state):
                    continue
                identity = state.device, state.inode
                places = (state.path, state.live, *siblings(state.live))
                place = next((path for path in places if _is_at(path, state)), "")
                if place and identity != reader.identity:
                    continue  # a copy of a file that is still there
                if place and not _is_left_to(live, place, state):
                    return Moved.THERE, state
                tail = self._tails.get(state.live)
                return Moved.SOON if tail is not None and tail.reads(state.id) else Moved.HERE, state
        except OSError:
            pass
        return None

    def take(self, state: FileState) -> None:
        self.taken.append(state)
        self._drop(state.live, state)

    def states_for(self, live: str, found: Iterable[tuple[str, FileState]]) -> list[FileState]:
        """Return the checkpoints of a live path that appears. ``found`` are those with its file's device and inode."""
        own = self._known.pop(live, [])
        # a file that was followed under another name (it was renamed between two scans) is not new
        for before, state in found:
            if before != live and holds_at(live, state):
                self._drop(before, state)
                return [*own, state]
        return own

    def _drop(self, live: str, state: FileState) -> None:
        if live in self._tails:
            self._tails[live].forget([state.id])
        elif live in self._known:
            self._known[live] = [other for other in self._known[live] if other.id != state.id]

    def give_back(self, but: Collection[str]) -> None:
        """Return the taken checkpoints to their live paths, but not to these."""
        for state in self.taken:
            if state.live in self._tails:
                self._tails[state.live].know(state)
            elif state.live not in but:
                self._known.setdefault(state.live, []).append(state)
                self.states.put(state)
        self.taken.clear()


class Table:
    """The followed live paths and the known checkpoints, by device and inode."""

    def __init__(self, tails: Iterable[PathTail], known: Mapping[str, Iterable[FileState]]) -> None:
        self.followed: dict[tuple[int, int], str] = {}
        self.known: dict[tuple[int, int], list[tuple[str, FileState]]] = {}
        for live, states in known.items():
            self._add(live, states)
        for tail in tails:
            self.followed.update(dict.fromkeys(tail.open, tail.live))
            if identity := identity_at(tail.live):
                self.followed.setdefault(identity, tail.live)
            self._add(tail.live, tail.states)

    def _add(self, live: str, states: Iterable[FileState]) -> None:
        for state in states:
            self.known.setdefault((state.device, state.inode), []).append((live, state))


def _is_left_to(live: str, place: str, state: FileState) -> bool:
    """Return whether a file was taken for a rotated one of another live path, which does not exist any more."""
    return not os.path.lexists(state.live) and os.path.realpath(place) == os.path.realpath(live)


def _is_at(path: str, state: FileState) -> bool:
    """Return whether a file is still at this path, and not another one that has got its inode."""
    if identity_at(path) != (state.device, state.inode):
        return False
    return is_compressed(path) or holds_at(path, state)


def holds_at(path: str, state: FileState) -> bool:
    """Return whether the plain file at this path holds a checkpoint."""
    try:
        reader = PlainReader(path)
    except OSError:
        return False
    try:
        return holds(reader, state)
    finally:
        reader.close()
