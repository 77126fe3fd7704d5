"""The beginning of a first start: the checkpoints of the first scan, kept in memory until a store has them.

A store may have to wait for disk space while the log grows. So the first scan does not wait for the store: its
checkpoints are kept as the store would keep them, and reading continues behind them as after any other pause, across
rotation and truncation.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection

import msgspec

from otel_logtail.events import Reporter
from otel_logtail.model import FileState
from otel_logtail.observer import PathRule
from otel_logtail.tail.checkpoints import Checkpoints
from otel_logtail.tail.tailer import Tail


class Found(msgspec.Struct, frozen=True):
    """The result of a first scan: the files, each with its end as position, and live paths that cannot be read."""

    states: list[FileState]
    unread: frozenset[str]


class FirstLooks:
    """The result of each source's first scan: the same for all attempts of one start to open the store."""

    def __init__(self) -> None:
        self._found: dict[str, Found] = {}
        self.kept: set[str] = set()
        """Sources that continue at the positions of a store that was deleted."""
        self.due: set[str] = set()
        """Sources that are scanned for the first time at this start, and whose files are not in the store yet."""

    def of(self, source: str, patterns: Collection[str], rule: PathRule, *, trusted: bool) -> Found:
        """Return the result of a source's first scan, which runs at the first call."""
        if source not in self._found:
            self._found[source] = _scan(patterns, rule, trusted=trusted)
        return self._found[source]

    def keep(self, source: str, states: list[FileState]) -> None:
        """Continue at the positions of a store that was deleted: each later line is in the next store, once."""
        self._found[source] = Found(states, frozenset())
        self.kept.add(source)


def _scan(patterns: Collection[str], rule: PathRule, *, trusted: bool) -> Found:
    states: list[FileState] = []

    def add(new: list[FileState]) -> list[FileState]:
        numbered = [msgspec.structs.replace(state, id=len(states) + n) for n, state in enumerate(new, start=1)]
        states.extend(numbered)
        return numbered

    # problems are reported once following begins; nothing is updated, since no file is known
    checkpoints, silent = Checkpoints(add, lambda state: None), Reporter(io.StringIO())
    tail = Tail(patterns, rule, (), checkpoints, silent, trusted=trusted, from_start=False)
    try:
        tail.scan(None, 0.0)
        read = {state.live for state in states}
        return Found(states, frozenset(live for live in tail.live if live not in read and os.path.lexists(live)))
    finally:
        tail.close()
