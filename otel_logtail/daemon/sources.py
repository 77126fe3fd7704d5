"""Several sources in turn. Each has its own files, observer, episodes and thresholds.

Each chunk is committed by itself, so samples, counts and position of a source stay in one transaction.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from otel_logtail.daemon.source import SourceRun


class Sources:
    """The sources of one daemon. Not thread-safe."""

    def __init__(self, runs: Sequence[SourceRun]) -> None:
        self.runs = tuple(runs)
        self._next = 0
        self._directories: list[set[str]] = [set() for _ in runs]

    def scan(self, changed: frozenset[str] | None, now_s: float) -> None:
        """Scan the files that changed; with None, scan all files of all sources."""
        if len(self.runs) == 1:
            self.runs[0].tail.scan(changed, now_s)
        elif changed is None:
            for index, run in enumerate(self.runs):
                run.tail.scan(None, now_s)
                self._directories[index] = run.tail.directories()
        else:
            new = {
                path: os.path.dirname(path)  # noqa: PTH120 - many times a second
                for path in changed
                if not any(path in run.tail.live for run in self.runs)
            }
            for run, directories in zip(self.runs, self._directories, strict=True):
                own = [path for path in changed if path in run.tail.live]
                # a path that no source follows yet may be a new file of each source that scans its directory
                own += [path for path, directory in new.items() if directory in directories]
                if own or run.tail.waiting:
                    run.tail.scan(frozenset(own), now_s)

    def step(self, now_s: float) -> bool | None:
        """Read and commit one chunk of the next source that has one, so that no backlog delays another source.

        Returns:
            True if exporters have new data, else False; None if all files are read to their end.

        Raises:
            StoreError: the chunk could not be committed; the next call reads it again.
        """
        for turn in range(len(self.runs)):
            index = (self._next + turn) % len(self.runs)
            has_new = self.runs[index].step(now_s)
            if has_new is not None:
                self._next = index + 1
                return has_new
        return None

    def tick(self) -> bool:
        """Close the intervals and episodes that are over by now; return whether exporters have new data."""
        return True in [run.tick() for run in self.runs]

    def finish(self, now_ns: int) -> None:
        """Close the intervals and episodes that are over by the machine's clock, since nothing more is read."""
        for run in self.runs:
            run.finish(now_ns)

    def due_s(self) -> float:
        """Return the seconds until ``tick`` has something to do if no line arrives; infinite if nothing is open."""
        return min(run.due_s() for run in self.runs)

    def gone(self) -> frozenset[int]:
        """Return the ids of finished files that are no longer on disk."""
        return frozenset().union(*(run.tail.gone() for run in self.runs))

    def forget(self, ids: Collection[int]) -> None:
        """Forget files that are neither on disk nor in the store."""
        for run in self.runs:
            run.tail.forget(ids)

    def directories(self) -> set[str]:
        """Return the directories whose changes matter."""
        return set().union(*(run.tail.directories() for run in self.runs))
