"""Where a first start begins: what is there when it looks first, kept in memory until a store has it.

A store may have to wait for room, and the log goes on meanwhile. So the look does not wait: what it finds is remembered
as the store would remember it, and following goes on from there as after any other pause, across rotation and
truncation.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection

import msgspec

from otel_logtail.events import Reporter
from otel_logtail.model import FileState
from otel_logtail.observer import PathRule
from otel_logtail.tail.checkpoints import Book
from otel_logtail.tail.tailer import Tail


class Found(msgspec.Struct, frozen=True):
    """What a look found: files, each read to its end as of then, and live paths that are there and can't be read."""

    states: list[FileState]
    unread: frozenset[str]


class FirstLooks:
    """What each source's first look found. The same for all tries of one start to open its store."""

    def __init__(self) -> None:
        self._found: dict[str, Found] = {}
        self.kept: set[str] = set()
        """Sources that go on where a store had come to that is gone."""
        self.due: set[str] = set()
        """Sources that were never looked at before this start, and whose files the store does not have yet."""

    def of(self, source: str, patterns: Collection[str], rule: PathRule, *, trusted: bool) -> Found:
        """What was there when this was asked first."""
        if source not in self._found:
            self._found[source] = _look(patterns, rule, trusted=trusted)
        return self._found[source]

    def keep(self, source: str, states: list[FileState]) -> None:
        """Begin where a store that is gone had come to: each line after that is in the next one, once."""
        self._found[source] = Found(states, frozenset())
        self.kept.add(source)


def _look(patterns: Collection[str], rule: PathRule, *, trusted: bool) -> Found:
    states: list[FileState] = []

    def add(new: list[FileState]) -> list[FileState]:
        numbered = [msgspec.structs.replace(state, id=len(states) + n) for n, state in enumerate(new, start=1)]
        states.extend(numbered)
        return numbered

    # what it meets is said once following begins; it updates nothing, since it knows of no file
    book, silent = Book(add, lambda state: None), Reporter(io.StringIO())
    tail = Tail(patterns, rule, (), book, silent, trusted=trusted, from_start=False)
    try:
        tail.look(None, 0.0)
        read = {state.live for state in states}
        return Found(states, frozenset(live for live in tail.live if live not in read and os.path.lexists(live)))
    finally:
        tail.close()
