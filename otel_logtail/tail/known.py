"""The live paths that are not followed, with the checkpoints of their files."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator

from otel_logtail.model import FileState
from otel_logtail.tail.directories import Folders
from otel_logtail.tail.naming import rotated_of


class KnownPaths(dict[str, list[FileState]]):
    """The checkpoints of each live path that is not followed: it was not found yet, or its files are closed."""

    def __init__(self, states: Iterable[FileState]) -> None:
        super().__init__()
        for state in states:
            self.setdefault(state.live, []).append(state)

    def is_left_behind(self, live: str) -> bool:
        """Return whether a live path does not exist any more, and was rotated with unread lines."""
        return not all(state.done for state in self[live]) and not os.path.lexists(live)

    def is_finished(self, live: str) -> bool:
        """Return whether the file of a live path was read to its end, and is unchanged since."""
        states = self.get(live, ())
        if not states or not all(state.done for state in states):
            return False
        try:
            stat = os.stat(live)
        except OSError:
            return False
        return (stat.st_dev, stat.st_ino, stat.st_size) in {(s.device, s.inode, s.size) for s in states}

    def gone(self) -> Iterator[int]:
        """Yield the ids of the finished files of live paths that have no file, not even a rotated one."""
        folders = Folders()  # each directory is listed once: a name for each process that ever ran can be very many
        for live, states in self.items():
            try:
                names = folders.beside(live, 0.0, fresh=True)
            except OSError:
                continue  # unknown
            if not (os.path.basename(live) in {name for name, *_ in names} or rotated_of(live, names)):
                yield from (state.id for state in states if state.done)

    def forget(self, ids: Collection[int]) -> None:
        """Forget these checkpoints, and the live paths that have no others."""
        for live, states in list(self.items()):
            left = [state for state in states if state.id not in ids]
            if left:
                self[live] = left
            else:
                del self[live]
