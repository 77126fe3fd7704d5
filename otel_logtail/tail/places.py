"""The places of the live paths' files: a changed path is compared with few of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from otel_logtail.tail.live import PathTail


class Places:
    """The directories, open files and names of all live paths."""

    def __init__(self, tails: Iterable[PathTail], folders: Iterable[str]) -> None:
        self.directories = set(folders)
        self.open: set[tuple[int, int]] = set()
        self.linked: list[PathTail] = []
        self._stems: dict[str, list[str]] = {}
        for tail in tails:
            self.open.update(tail.open)
            if len(tail.files.bases) > 1:
                self.linked.append(tail)
            for base in tail.files.bases:
                folder, _, name = base.rpartition("/")
                self.directories.add(folder or "/")
                dot = name.rfind(".")
                stem = base if dot <= 0 else base[: dot - len(name)]
                self._stems.setdefault(stem, []).append(tail.live)
            # a file that is read to its end may be elsewhere by now, such as in the folder that a link led to
            self.directories.update([state.path.rpartition("/")[0] or "/" for state in tail.held])

    def may_be(self, path: str) -> Iterator[str]:
        """Yield the live paths whose files may have this name, or may get it."""
        for end in range(path.rindex("/") + 1, len(path) + 1):
            yield from self._stems.get(path[:end], ())
