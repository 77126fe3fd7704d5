"""Several sources as one: each has its own tail, observer, episodes and thresholds, and they take turns.

Each chunk commits by itself, so what holds for one source (samples, counts and position in one transaction) holds for
each of them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from otel_logtail.daemon.source import SourceRun


class Sources:
    """The sources of one daemon. Not for use by two threads at once."""

    def __init__(self, runs: Sequence[SourceRun]) -> None:
        self.runs = tuple(runs)
        self._next = 0
        self._directories: list[set[str]] = [set() for _ in runs]

    def look(self, hints: frozenset[str] | None, now_s: float) -> None:
        """Let each look at what the hints may mean for it; with None, at all of its files."""
        if len(self.runs) == 1:
            self.runs[0].tail.look(hints, now_s)
        elif hints is None:
            for index, run in enumerate(self.runs):
                run.tail.look(None, now_s)
                self._directories[index] = run.tail.directories()
        else:
            strange = {
                path: os.path.dirname(path)  # noqa: PTH120 - many times a second
                for path in hints
                if not any(path in run.tail.live for run in self.runs)
            }
            for run, directories in zip(self.runs, self._directories, strict=True):
                mine = [path for path in hints if path in run.tail.live]
                # what nobody follows yet may be a new file of whoever looks for files there
                mine += [path for path, directory in strange.items() if directory in directories]
                if mine or run.tail.waiting:
                    run.tail.look(frozenset(mine), now_s)

    def step(self, now_s: float) -> bool | None:
        """Read and commit one chunk of the next source that has one: a backlog keeps no other source waiting.

        Returns whether exporters have something new; None when everything is read to its end.

        Raises:
            StoreError: it could not be committed; the same chunk comes again.
        """
        for turn in range(len(self.runs)):
            index = (self._next + turn) % len(self.runs)
            news = self.runs[index].step(now_s)
            if news is not None:
                self._next = index + 1
                return news
        return None

    def tick(self) -> bool:
        """Let time close and seal what it may; returns whether exporters have something new."""
        return True in [run.tick() for run in self.runs]

    def finish(self, now_ns: int) -> None:
        """Seal what is open and close what is over by the machine's clock: nothing more is read for now."""
        for run in self.runs:
            run.finish(now_ns)

    def due_s(self) -> float:
        """How long until ``tick`` has something to do, if no line comes before; infinite while nothing is open."""
        return min(run.due_s() for run in self.runs)

    def gone(self) -> frozenset[int]:
        """Ids of finished files that are no longer on disk."""
        return frozenset().union(*(run.tail.gone() for run in self.runs))

    def forget(self, ids: Collection[int]) -> None:
        """Know these files no more, which were ``gone`` and are in the store no more."""
        for run in self.runs:
            run.tail.forget(ids)

    def directories(self) -> set[str]:
        """Where changes are worth looking at."""
        return set().union(*(run.tail.directories() for run in self.runs))

    def close(self) -> None:
        """Free all descriptors."""
        for run in self.runs:
            run.tail.close()
