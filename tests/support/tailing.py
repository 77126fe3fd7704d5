"""A tail over real files, stepped by hand (scan, read, restart), and checkpoints in memory that can fail."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

import msgspec

from otel_logtail.errors import StoreFull
from otel_logtail.events import Reporter
from otel_logtail.model import Chunk, FileState
from otel_logtail.observer import PathRule
from otel_logtail.tail.checkpoints import Checkpoints
from otel_logtail.tail.held import GRACE_S, SETTLE_S
from otel_logtail.tail.live import PathTail
from otel_logtail.tail.tailer import Tail

RULE = PathRule(patterns=(), live=r"proxy(?:-\d+(?:-\d+)?)?\.log", ignore=r"proxy-stdio-")


class MemoryCheckpoints:
    """Checkpoints as a store keeps them. If ``fails`` is set, that many further calls succeed, then it is full."""

    def __init__(self) -> None:
        self.states: dict[int, FileState] = {}
        self.fails: int | None = None
        self.calls = self.commits = self._last_id = 0
        self._within = False
        self.checkpoints = Checkpoints(self._add, self._update, self._together)

    @contextmanager
    def _together(self) -> Iterator[None]:
        if self._within:
            yield
            return
        before, self._within = dict(self.states), True
        try:
            yield
            self.commits += 1
        except BaseException:
            self.states = before
            raise
        finally:
            self._within = False

    def _call(self) -> None:
        self.calls += 1
        self.commits += not self._within
        if self.fails is not None:
            if self.fails == 0:
                raise StoreFull("no room")
            self.fails -= 1

    def _add(self, states: list[FileState]) -> list[FileState]:
        self._call()
        added = []
        for state in states:
            self._last_id += 1
            new = msgspec.structs.replace(state, id=self._last_id)
            self.states[new.id] = new
            added.append(new)
        return added

    def _update(self, state: FileState) -> None:
        self._call()
        self.states[state.id] = state


def numbered(first: int, last: int) -> list[str]:
    return [f"line {n} of a log that says something" for n in range(first, last + 1)]


class Follower:
    """Follows patterns; ``lines`` has the committed lines as text without newlines, and ``taken`` the samples."""

    made: ClassVar[list[Follower]] = []

    def __init__(
        self,
        *patterns: Path | str,
        trusted: bool = True,
        from_start: bool = False,
        first: bool = True,
        rule: PathRule = RULE,
    ) -> None:
        self.patterns = [str(pattern) for pattern in patterns]
        self.memory = MemoryCheckpoints()
        self.stderr = io.StringIO()
        self.lines: list[str] = []
        self.taken: list[tuple[int, int]] = []
        self.bytes = self.oversized = 0
        self.now_s = 1000.0
        self.trusted, self.rule = trusted, rule
        Follower.made.append(self)
        self.tail = self._tail(first=first, from_start=from_start)

    def _tail(self, *, first: bool, from_start: bool) -> Tail:
        return Tail(
            self.patterns,
            self.rule,
            list(self.memory.states.values()),
            self.memory.checkpoints,
            Reporter(self.stderr),
            trusted=self.trusted,
            from_start=from_start or not first,
        )

    def restart(self, *, before: Callable[[], object] | None = None) -> None:
        """Stop (``before`` runs while it is stopped), and start again from the checkpoints."""
        self.tail.close()
        if before is not None:
            before()
        self.tail = self._tail(first=False, from_start=False)

    def close(self) -> None:
        self.tail.close()
        if self in Follower.made:
            Follower.made.remove(self)  # ten thousand of them are not to be held until the end

    def look(self, hints: Iterable[Path] | None = None, *, after_s: float = 0.0) -> Follower:
        self.now_s += SETTLE_S + after_s
        self.tail.scan(None if hints is None else frozenset(map(str, hints)), self.now_s)
        return self

    def read(self, chunks: int | None = None) -> list[str]:
        """Read and commit all that is there, or so many chunks; returns the lines that it brought."""
        before = len(self.lines)
        while chunks is None or chunks > 0:
            found = read_one(self.tail, self.now_s)
            if found is None:
                break
            tail, chunk = found
            self.memory.checkpoints.update(chunk.after)
            tail.accept(chunk.after)
            self.bytes += chunk.advanced
            self.oversized += chunk.oversized
            offset = chunk.base
            for line in chunk.data.splitlines(keepends=True):
                assert line.endswith(b"\n")
                self.lines.append(line[:-1].decode())
                self.taken.append((chunk.after.id, offset))
                offset += len(line)
            chunks = None if chunks is None else chunks - 1
        if len(self.lines) > before:
            assert len(set(self.taken)) == len(self.taken)
        return self.lines[before:]

    def follow(self) -> list[str]:
        """Look and read."""
        return self.look().read()

    def follow_over_grace(self) -> list[str]:
        """Scan and read until the files that wait for the grace period are closed."""
        return self.follow() + self.look(after_s=GRACE_S + 1).read()

    @property
    def said(self) -> str:
        return self.stderr.getvalue()

    @property
    def open_files(self) -> int:
        return sum(len(held) for held in self.tail.held.values())


def read_one(tail: Tail, now_s: float, order: Callable[[str], int] = lambda live: 0) -> tuple[PathTail, Chunk] | None:
    """Return the next chunk; None if all are read to their end."""
    with closing(tail.read_each(order, now_s)) as chunks:
        return next(chunks, None)


def append(path: Path, *lines: str) -> None:
    with path.open("ab") as file:
        for line in lines:
            file.write(line.encode() + b"\n")


def append_bytes(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def rotate(
    path: Path, *, create: bool = True, compress: Callable[[bytes], bytes] | None = None, suffix: str = ""
) -> None:
    """As RotatingFileHandler and logrotate do: .1 becomes .2 and so on; with ``compress`` the newest one at once."""
    shift(path)
    newest = path.with_name(path.name + ".1")
    path.rename(newest)
    if create:
        path.touch()
    if compress is not None:
        squeeze(newest, compress, suffix)


def shift(path: Path) -> None:
    """Rename the numbered backups of a log: .1 becomes .2 and so on."""
    numbered: dict[int, Path] = {}
    for other in path.parent.iterdir():
        rest = other.name.removeprefix(path.name + ".")
        digits = rest.split(".")[0]
        if rest != other.name and digits.isdigit():
            numbered[int(digits)] = other
    for number in sorted(numbered, reverse=True):
        old = numbered[number]
        ending = old.name.removeprefix(f"{path.name}.{number}")
        old.rename(path.with_name(f"{path.name}.{number + 1}{ending}"))


def squeeze(path: Path, compress: Callable[[bytes], bytes], suffix: str) -> Path:
    """As gzip does: the compressed file is made beside the plain one, which is deleted then."""
    target = path.with_name(path.name + suffix)
    target.write_bytes(compress(path.read_bytes()))
    path.unlink()
    return target


def copytruncate(path: Path, copy: Path | None = None) -> None:
    """As logrotate's copytruncate does."""
    (copy or path.with_name(path.name + ".1")).write_bytes(path.read_bytes())
    with path.open("r+b") as file:
        file.truncate(0)
