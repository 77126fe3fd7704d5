"""The program that writes a log, and what rotates it, in every way that loses nothing: one step after the other."""

from __future__ import annotations

import gzip
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

TRACEBACK = b"""Traceback (most recent call last):
  File "/usr/lib/python3.12/asyncio/runners.py", line 118, in run
    return self._loop.run_until_complete(task)
asyncio.exceptions.CancelledError
"""

Pauses = tuple[float, ...]
"""Seconds, of which one is chosen as the pause after a step."""

AT_ONCE: Pauses = (0.0,)
BETWEEN_LINES: Pauses = ()
WITHIN_A_LINE: Pauses = (0.0, 0.0, 0.0, 0.002, 0.02)
BEFORE_THE_REST: Pauses = (0.0, 0.0, 0.02)


class Writer(ABC):
    """Writes and rotates ``log``. Each ``next`` of :meth:`steps` changes the disk once.

    ``lines`` is how many samples were written; each has its own number. ``trace`` has the other changes, in order.
    ``KEPT`` rotated files stay, read or not; ``ROTATES``, ``REPLACES`` and ``LOSES`` are chances.
    """

    KEPT: ClassVar[int] = 12
    ROTATES: ClassVar[float] = 0.12
    REPLACES: ClassVar[float] = 0.03
    LOSES: ClassVar[float] = 0.03

    def __init__(self, log: Path, chance: random.Random) -> None:
        self.log = log
        self.chance = chance
        self.lines = self.rotations = self.replaced = self.parts_lost = 0
        self.trace: list[str] = []

    @abstractmethod
    def next_line(self) -> bytes:
        """Return the next line. It counts from now on, so the caller must write it."""

    @abstractmethod
    def other(self) -> bytes:
        """Return lines without a sample."""

    @abstractmethod
    def many(self) -> int:
        """Return the number of lines that are written next."""

    @abstractmethod
    def all_is_read(self) -> bool:
        """Return whether each line was read, so that files can be deleted without a loss."""

    @abstractmethod
    def ends(self) -> bool:
        """Return whether to write no more."""

    def steps(self) -> Iterator[Pauses]:
        """Yield after each change of the disk."""
        while not self.ends():
            yield from self._burst()
            if self.chance.random() < self.ROTATES:
                yield from self._rotate()
            if self.chance.random() < self.REPLACES:
                yield from self._replace_a_backup()
            if self.chance.random() < self.LOSES:
                yield from self._lose_a_part()
            yield 0.0, 0.001, 0.01, 0.05
        yield from self._burst()  # the last rotation may have left no log, and `--once` needs one

    def _note(self, text: str) -> None:
        self.trace.append(f"{text} (line {self.lines})")

    # --- writing ----------------------------------------------------------------------------------------------------

    def _burst(self) -> Iterator[Pauses]:
        descriptor = self._open()
        try:
            for _ in range(self.many()):
                if self.chance.random() < 0.2:
                    os.write(descriptor, self.other())
                    yield AT_ONCE
                line = self.next_line()
                cut = self.chance.randrange(len(line)) if self.chance.random() < 0.1 else 0
                if cut:
                    os.write(descriptor, line[:cut])
                    yield WITHIN_A_LINE
                os.write(descriptor, line[cut:])
                yield BETWEEN_LINES
        finally:
            os.close(descriptor)
        yield AT_ONCE

    def _open(self) -> int:
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    # --- rotating ---------------------------------------------------------------------------------------------------

    def _rotated(self) -> dict[int, Path]:
        found = {}
        for path in self.log.parent.iterdir():
            parts = path.name.removeprefix(self.log.name).split(".")
            if len(parts) > 1 and parts[1].isdigit():
                found[int(parts[1])] = path
        return found

    def _rotate(self) -> Iterator[Pauses]:
        rotated = self._rotated()
        if len(rotated) > self.KEPT and not self.all_is_read():
            return
        for number in sorted(rotated, reverse=True):
            path = rotated[number]
            if number > self.KEPT // 2 and len(rotated) > self.KEPT:
                path.unlink()
            else:
                ending = ".gz" if path.suffix == ".gz" else ""
                path.rename(self.log.with_name(f"{self.log.name}.{number + 1}{ending}"))
            yield AT_ONCE
        newest = self.log.with_name(f"{self.log.name}.1")
        if not self.log.exists():
            self.log.touch()
            yield AT_ONCE
        how = self.chance.random()
        if how < 0.4:
            self._note("copied and truncated")
            yield from self._write_slowly(newest, self.log.read_bytes())
            os.truncate(self.log, 0)
        elif how < 0.6:
            self._note("renamed within a line")
            yield from self._rename_within_a_line(newest)
        else:
            self._note("renamed")
            self.log.rename(newest)
        self.rotations += 1
        yield AT_ONCE
        plain = self._rotated().get(2)
        if plain is not None and plain.suffix != ".gz" and self.chance.random() < 0.5:
            self._note("compressed")
            yield from self._write_slowly(plain.with_name(plain.name + ".gz"), gzip.compress(plain.read_bytes(), 1))
            plain.unlink()
            yield AT_ONCE

    def _rename_within_a_line(self, newest: Path) -> Iterator[Pauses]:
        """Another worker is within a line, and finishes it in the file that has another name by then."""
        line, descriptor = self.next_line(), self._open()
        try:
            cut = self.chance.randrange(1, len(line))
            os.write(descriptor, line[:cut])
            self.log.rename(newest)
            yield 0.0, 0.01, 0.05
            if self.chance.random() < 0.5:
                yield from self._burst()
            os.write(descriptor, line[cut:])
        finally:
            os.close(descriptor)

    def _replace_a_backup(self) -> Iterator[Pauses]:
        """Put a copy of a rotated file in its place, as a restored backup or a mirror does: another inode."""
        rotated = [path for path in self._rotated().values() if path.suffix != ".gz"]
        if rotated:
            path = self.chance.choice(rotated)
            self._note(f"replaced {path.name}")
            copy = path.with_name("copy-in-the-making")
            copy.write_bytes(path.read_bytes())
            copy.rename(path)
            self.replaced += 1
            yield AT_ONCE

    def _lose_a_part(self) -> Iterator[Pauses]:
        """Cut lines off the end of the log or off its beginning: all of them were read already."""
        lines = self.log.read_bytes().splitlines(keepends=True) if self.log.exists() else []
        if len(lines) < 20 or not self.all_is_read():
            return
        many = self.chance.randrange(1, len(lines) // 2)
        how = self.chance.random()
        if how < 0.4:  # a power cut
            self._note(f"lost its last {many} lines")
            os.truncate(self.log, sum(map(len, lines[:-many])))
        elif how < 0.8:  # tail -n N log > t; cat t > log
            self._note(f"lost its first {many} lines, in place")
            with self.log.open("r+b", buffering=0) as file:
                file.truncate(0)
                yield 0.0, 0.0, 0.01
                file.write(b"".join(lines[many:]))
        else:  # sed -i 1,Nd log
            self._note(f"lost its first {many} lines, by another file")
            copy = self.log.with_name("sed-in-the-making")
            copy.write_bytes(b"".join(lines[many:]))
            copy.rename(self.log)
        self.parts_lost += 1
        yield AT_ONCE

    def _write_slowly(self, path: Path, data: bytes) -> Iterator[Pauses]:
        """As cp and gzip do: under its name from the first byte on."""
        with path.open("wb", buffering=0) as file:
            middle = self.chance.randrange(len(data) + 1)
            file.write(data[:middle])
            yield BEFORE_THE_REST
            file.write(data[middle:])
            yield AT_ONCE
