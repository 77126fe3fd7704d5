"""A log that changes between any two system calls of the tail: writes, rotations, lost parts, kills.

The real program needs hundreds of kills until a change falls between two of its system calls. Here a log is changed
between any two of them, in one process and by a seed, so that a fault can be repeated.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar
from unittest import mock

from otel_logtail.model import FileState
from otel_logtail.tail.held import GRACE_S
from tests.support.tailing import Follower

_T = TypeVar("_T")

CALLS = ("open", "stat", "fstat", "pread", "preadv", "scandir", "lstat", "readlink")
KEPT = 8
TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/usr/lib/python3.12/asyncio/runners.py", line 118, in run',
    "    return self._loop.run_until_complete(task)",
    "asyncio.exceptions.CancelledError",
]


class Killed(BaseException):
    """The program was killed here."""


class Writer:
    """Writes numbered lines and rotates, in steps: each ``next`` of :meth:`steps` changes the disk once."""

    def __init__(self, log: Path, chance: random.Random, all_is_read: Callable[[], bool]) -> None:
        self.log, self.number = log, 0
        self.ends = False
        self.trace: list[str] = []
        self._chance, self._all_is_read = chance, all_is_read

    def steps(self) -> Iterator[None]:
        """Yield after each change of the disk."""
        while not self.ends:
            yield from self._burst()
            if self._chance.random() < 0.15:
                yield from self._rotate()
            if self._chance.random() < 0.04:
                yield from self._replace_a_backup()
            if self._chance.random() < 0.06:
                yield from self._lose_a_part()

    def _note(self, text: str) -> None:
        self.trace.append(f"{text} (line {self.number})")

    def _burst(self) -> Iterator[None]:
        many = self._chance.choice((1, 1, 3, 20, 60))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            for _ in range(many):
                if self._chance.random() < 0.2:
                    os.write(descriptor, self._other())
                    yield
                self.number += 1
                line = self._line()
                cut = self._chance.randrange(len(line)) if self._chance.random() < 0.1 else 0
                if cut:
                    os.write(descriptor, line[:cut])
                    yield
                os.write(descriptor, line[cut:])
                if self._chance.random() < 0.2:
                    yield
        finally:
            os.close(descriptor)
        yield

    def _line(self) -> bytes:
        return b"%07d " % self.number + b"." * 440 + b" %07d\n" % self.number

    def _other(self) -> bytes:
        if self._chance.random() < 0.2:
            return "".join(line + "\n" for line in TRACEBACK).encode()
        return b"%016x %s\n" % (self._chance.getrandbits(64), b"x" * self._chance.randrange(400))

    def _rotated(self) -> dict[int, Path]:
        found = {}
        for path in self.log.parent.iterdir():
            parts = path.name.removeprefix(self.log.name).split(".")
            if len(parts) > 1 and parts[1].isdigit():
                found[int(parts[1])] = path
        return found

    def _rotate(self) -> Iterator[None]:
        rotated = self._rotated()
        if len(rotated) > KEPT and not self._all_is_read():
            return
        for number in sorted(rotated, reverse=True):
            path = rotated[number]
            if number > KEPT // 2 and len(rotated) > KEPT:
                path.unlink()
                yield
                continue
            ending = ".gz" if path.suffix == ".gz" else ""
            path.rename(self.log.with_name(f"{self.log.name}.{number + 1}{ending}"))
            yield
        newest = self.log.with_name(f"{self.log.name}.1")
        if not self.log.exists():
            self.log.touch()
            yield
        how = self._chance.random()
        if how < 0.4:
            self._note("copied and truncated")
            yield from self._write_slowly(newest, self.log.read_bytes())
            os.truncate(self.log, 0)
            yield
        elif how < 0.55:
            self._note("renamed within a line")
            self.number += 1
            line = self._line()
            descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                cut = self._chance.randrange(1, len(line))
                os.write(descriptor, line[:cut])
                self.log.rename(newest)
                yield
                if self._chance.random() < 0.5:
                    yield from self._burst()
                os.write(descriptor, line[cut:])
                yield
            finally:
                os.close(descriptor)
        else:
            self._note("renamed")
            self.log.rename(newest)
            yield
        plain = self._rotated().get(2)
        if plain is not None and plain.suffix != ".gz" and self._chance.random() < 0.5:
            self._note("compressed")
            yield from self._write_slowly(plain.with_name(plain.name + ".gz"), gzip.compress(plain.read_bytes(), 1))
            plain.unlink()
            yield

    def _replace_a_backup(self) -> Iterator[None]:
        rotated = [path for path in self._rotated().values() if path.suffix != ".gz"]
        if rotated:
            path = self._chance.choice(rotated)
            self._note(f"replaced {path.name}")
            copy = path.with_name("copy-in-the-making")
            copy.write_bytes(path.read_bytes())
            copy.rename(path)
            yield

    def _lose_a_part(self) -> Iterator[None]:
        """Only lines that were read before are lost: no program could bring back the others."""
        lines = self.log.read_bytes().splitlines(keepends=True) if self.log.exists() else []
        if len(lines) < 20 or not self._all_is_read():
            return
        many = self._chance.randrange(1, len(lines) // 2)
        how = self._chance.random()
        if how < 0.4:
            self._note(f"lost its last {many} lines")
            os.truncate(self.log, sum(map(len, lines[:-many])))
        elif how < 0.8:
            self._note(f"lost its first {many} lines, in place")
            with self.log.open("r+b", buffering=0) as file:
                file.truncate(0)
                yield
                file.write(b"".join(lines[many:]))
        else:
            self._note(f"lost its first {many} lines, by another file")
            copy = self.log.with_name("sed-in-the-making")
            copy.write_bytes(b"".join(lines[many:]))
            copy.rename(self.log)
        yield

    def _write_slowly(self, path: Path, data: bytes) -> Iterator[None]:
        with path.open("wb", buffering=0) as file:
            middle = self._chance.randrange(len(data) + 1)
            file.write(data[:middle])
            yield
            file.write(data[middle:])
            yield


class Interleaved:
    """One run. ``lost`` and ``doubled`` are line numbers, once it has ended."""

    def __init__(self, folder: Path, seed: int, *, rounds: int = 60) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self.log = folder / "proxy.log"
        self.log.touch()
        self._rounds = rounds
        self._times: Counter[int] = Counter()
        self._writer = Writer(self.log, random.Random(seed + 1), self._all_is_read)  # noqa: S311
        self._steps = self._writer.steps()
        self._intensity = self._chance.choice((0.002, 0.01, 0.05, 0.2))
        self._kills = self._chance.choice((0.0, 0.001, 0.005))
        self._is_changing = False
        self.follower = Follower(self.log, from_start=True)
        self.trace = self._writer.trace

    @property
    def lines(self) -> int:
        """How many lines were written."""
        return self._writer.number

    def run(self) -> tuple[list[int], list[int]]:
        """Run it; return the numbers of the lines that are lost, and of those that are doubled."""
        with self._hooked():
            for _ in range(self._rounds):
                for _ in range(self._chance.choice((0, 0, 1, 5, 40))):
                    next(self._steps)
                self._round()
        self._writer.ends = True
        for _ in self._steps:
            pass  # it finishes the line and the rotation that it is within
        for _ in range(4):
            self._note_what_it_reports(lambda: self.follower.look(after_s=GRACE_S + 10))
            self._read()
        numbers = range(1, self._writer.number + 1)
        self.follower.close()
        return [n for n in numbers if n not in self._times], [n for n, times in self._times.items() if times > 1]

    def _round(self) -> None:
        try:
            if self._kills and self._chance.random() < 0.1:
                raise Killed
            self._is_changing = True
            after_s = self._chance.choice((-0.45, -0.3, 0.0, 0.0, 0.2, 5.0))
            self._note_what_it_reports(lambda: self.follower.look(after_s=after_s))
            self._read(self._chance.choice((1, None, None)))
        except Killed:
            self.trace.append("killed")
            with self._quiet():
                for _ in range(self._chance.choice((0, 0, 1, 5, 40, 200))):
                    next(self._steps)
                self.follower.restart()
        finally:
            self._is_changing = False

    def _note_what_it_reports(self, do: Callable[[], _T]) -> _T:
        said = len(self.follower.said)
        try:
            return do()
        finally:
            for line in self.follower.said[said:].splitlines():
                self.trace.append("    " + line.replace(str(self.log.parent) + "/", "").replace("otel-logtail: ", ""))

    def _read(self, chunks: int | None = None) -> None:
        """Read, and commit as the engine does: a line in doubt counts only if it is new."""
        while chunks is None or chunks > 0:
            read = partial(self.follower.tail.read, lambda live: 0, self.follower.now_s)
            found = self._note_what_it_reports(read)
            if found is None:
                return
            tail, chunk = found
            self._kill()
            self.follower.memory.checkpoints.update(chunk.after)
            offset = chunk.base
            for line in chunk.data.splitlines(keepends=True):
                if line[7:9] == b" .":
                    self._take(int(line[:7]), chunk.after, in_doubt=offset < chunk.after.doubt)
                offset += len(line)
            self._kill()
            tail.accept(chunk.after)
            chunks = None if chunks is None else chunks - 1

    def _take(self, number: int, after: FileState, *, in_doubt: bool) -> None:
        if in_doubt and self._times[number]:
            return
        self._times[number] += 1
        if self._times[number] == 2:
            self.trace.append(f"  !! line {number} doubled by file {after.id}, {after.path}")

    def _all_is_read(self) -> bool:
        return len(self._times) == self._writer.number

    def _kill(self) -> None:
        if self._kills and self._is_changing and self._chance.random() < self._kills:
            raise Killed

    def _change(self) -> None:
        if not self._is_changing:
            return
        with self._quiet():
            if self._chance.random() < self._intensity:
                for _ in range(self._chance.choice((1, 1, 2, 5, 30))):
                    next(self._steps)
        self._kill()

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        before, self._is_changing = self._is_changing, False
        try:
            yield
        finally:
            self._is_changing = before

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        """Change something before some of the system calls of the tail."""

        def before(call: Callable[..., object]) -> Callable[..., object]:
            def hooked(*args: object, **named: object) -> object:
                self._change()
                return call(*args, **named)

            return hooked

        patches = [mock.patch.object(os, name, before(getattr(os, name))) for name in CALLS]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            self._is_changing = False
            for patch in patches:
                patch.stop()


def main() -> int:
    """Run many seeds and print the traces of those that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--trace", action="store_true")
    arguments = parser.parse_args()
    wrong = 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            run = Interleaved(Path(folder), seed)
            lost, doubled = run.run()
        if lost or doubled:
            wrong += 1
            print(f"seed {seed}: lost {len(lost)} {lost[:4]}, doubled {len(doubled)} {doubled[:4]}", flush=True)
            if arguments.trace:
                print("\n".join(run.trace))
    print(f"{wrong} of {arguments.seeds} went wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
