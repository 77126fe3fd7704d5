"""The checkpoints of one live path and of all. The cost of a scan depends on the files that exist now.

A finished file is known until retention forgets it, often long after it was deleted from the disk. Such checkpoints are
found by the first bytes of the file, so that a scan does not compare each of thousands with each file.

Known limit: if many files begin with the same KiB, each of them is compared.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import Protocol, TypeVar

import msgspec

from otel_logtail.model import FileState
from otel_logtail.tail.fingerprint import HEAD_BYTES, fingerprint
from otel_logtail.tail.reader import Reader

_Key = TypeVar("_Key")


class Checkpoints(msgspec.Struct, frozen=True):
    """How a tail stores checkpoints."""

    add: Callable[[list[FileState]], list[FileState]]
    update: Callable[[FileState], None]
    together: Callable[[], AbstractContextManager[None]] = nullcontext
    """One transaction for everything that is stored within it."""


class Everywhere:
    """The checkpoints of all live paths, by device and inode and by the first KiB: a file may move between paths."""

    def __init__(self, states: Iterable[FileState] = ()) -> None:
        self._all: dict[int, FileState] = {}
        self._ids: dict[Hashable, dict[int, None]] = {}
        for state in states:
            self.put(state)

    def put(self, state: FileState) -> None:
        """Keep this checkpoint in place of the one with the same id."""
        before = self._all.get(state.id)
        self._all[state.id] = state
        if before is not None:
            if before.inode == state.inode and before.device == state.device and before.head == state.head:
                return
            self._remove(before)
        for key in self._keys(state):
            self._ids.setdefault(key, {})[state.id] = None

    def drop(self, id_: int) -> None:
        """Forget the checkpoint with this id."""
        state = self._all.pop(id_, None)
        if state is not None:
            self._remove(state)

    def like(self, reader: Reader) -> list[FileState]:
        """Return the checkpoints that this file may have, the newest first.

        Raises:
            OSError: The file cannot be read.
        """
        ids = {*self._ids.get(reader.identity, ())}
        head = reader.read_at(0, HEAD_BYTES) if self._all else b""
        if len(head) == HEAD_BYTES:
            ids.update(self._ids.get(fingerprint(head), ()))
        return [self._all[id_] for id_ in sorted(ids, reverse=True)] if ids else []

    def _keys(self, state: FileState) -> tuple[Hashable, ...]:
        identity = (state.device, state.inode)
        return (identity, state.head) if state.head.length == HEAD_BYTES else (identity,)

    def _remove(self, state: FileState) -> None:
        for key in self._keys(state):
            self._ids[key].pop(state.id)
            if not self._ids[key]:
                del self._ids[key]


class Moved(Enum):
    """The place of a file that another live path has a checkpoint of."""

    HERE = "here"  # it has no name there any more, so it belongs to this path now
    SOON = "soon"  # the same, but it is still being read there
    THERE = "there"  # it is that file, with two names


class Elsewhere(Protocol):
    """The checkpoints of the other live paths."""

    states: Everywhere

    @abstractmethod
    def find(self, live: str, reader: Reader) -> tuple[Moved, FileState] | None:
        """Return the checkpoint of a file that has appeared at this live path, if another path has one."""

    @abstractmethod
    def take(self, state: FileState) -> None:
        """Remove a checkpoint from the live path that has it."""


class States:
    """The checkpoints of one live path by id; each is in the table of all live paths, too."""

    def __init__(self, states: Iterable[FileState] = (), everywhere: Everywhere | None = None) -> None:
        self._everywhere = everywhere or Everywhere()
        self._all: dict[int, FileState] = {}
        self._unfinished: dict[int, None] = {}
        # ids of finished ones: by length and digest of the first bytes; those of empty files by device and inode
        self._begin: dict[int, dict[bytes, list[int]]] = {}
        self._empty: dict[tuple[int, int], list[int]] = {}
        for state in states:
            self.put(state)

    def __iter__(self) -> Iterator[FileState]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def get(self, id_: int) -> FileState | None:
        """Return the checkpoint with this id, if there is one."""
        return self._all.get(id_)

    def put(self, state: FileState) -> None:
        """Keep this checkpoint in place of the one with the same id."""
        before = self._all.get(state.id)
        if before is not None and before.done:
            self._remove(before)
        self._all[state.id] = state
        self._everywhere.put(state)
        if state.done:
            self._unfinished.pop(state.id, None)
            self._add(state)
        else:
            self._unfinished[state.id] = None

    def drop(self, ids: Collection[int]) -> None:
        """Forget the checkpoints with these ids."""
        for id_ in [id_ for id_ in self._all if id_ in ids] if len(ids) > len(self._all) else ids:
            state = self._all.pop(id_, None)
            if state is not None:
                self._everywhere.drop(id_)
                if state.done:
                    self._remove(state)
            self._unfinished.pop(id_, None)

    def unfinished(self) -> list[FileState]:
        """Return those whose file was not read to its end."""
        return [self._all[id_] for id_ in self._unfinished]

    def finished(self, but: Collection[int]) -> frozenset[int]:
        """Return the ids of those whose file was read to its end, without these."""
        return frozenset(self._all.keys() - self._unfinished.keys()).difference(but)

    def finished_like(self, readers: Iterable[Reader]) -> list[FileState]:
        """Return the finished ones that one of these files may have, the newest first.

        Such a file begins with the same bytes. An empty file is recognized by its inode only; the newest is taken.
        """
        ids: set[int] = set()
        for reader in readers:
            ids.update(self._empty.get(reader.identity, ())[-1:])
            if not self._begin:
                continue
            try:
                head = reader.read_at(0, HEAD_BYTES)
            except OSError:
                continue  # it cannot be recognized
            for length, by_digest in self._begin.items():
                if length <= len(head):
                    ids.update(by_digest.get(fingerprint(head[:length]).digest, ()))
        return [self._all[id_] for id_ in sorted(ids, reverse=True)]

    def _add(self, state: FileState) -> None:
        if state.head.length:
            self._begin.setdefault(state.head.length, {}).setdefault(state.head.digest, []).append(state.id)
        else:
            ids = self._empty.setdefault((state.device, state.inode), [])
            ids.append(state.id)
            ids.sort()

    def _remove(self, state: FileState) -> None:
        if state.head.length:
            by_digest = self._begin[state.head.length]
            _take_out(by_digest, state.head.digest, state.id)
            if not by_digest:
                del self._begin[state.head.length]
        else:
            _take_out(self._empty, (state.device, state.inode), state.id)


def _take_out(lists: dict[_Key, list[int]], key: _Key, id_: int) -> None:
    lists[key].remove(id_)
    if not lists[key]:
        del lists[key]
