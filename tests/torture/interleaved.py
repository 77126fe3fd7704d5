"""A log that changes between any two system calls of the tail, and kills there.

The real program needs hundreds of kills until a change falls between two of its system calls. Here a log is changed
between any two of them, in one process and by a seed, so that a fault can be repeated.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar
from unittest import mock

from otel_logtail.model import FileState
from otel_logtail.tail.held import GRACE_S
from tests.support.tailing import Follower, read_one
from tests.torture.writer import TRACEBACK, Pauses, Writer

_T = TypeVar("_T")

CALLS = ("open", "stat", "fstat", "pread", "preadv", "scandir", "lstat", "readlink")


class Killed(BaseException):
    """The program was killed here."""


class Doubled(BaseException):
    """A line was read twice. Later lines would only hide it."""


class Numbered(Writer):
    """Writes numbered lines; ``times`` has those that were read."""

    KEPT = 8
    ROTATES, REPLACES, LOSES = 0.15, 0.04, 0.06

    def __init__(self, log: Path, chance: random.Random, times: Sized) -> None:
        super().__init__(log, chance)
        self.enough = False
        self._times = times

    def steps(self) -> Iterator[Pauses]:
        """Yield after each change of the disk, but rarely between two lines of a burst."""
        return (pauses for pauses in super().steps() if pauses or self.chance.random() < 0.2)

    def ends(self) -> bool:
        return self.enough

    def many(self) -> int:
        return self.chance.choice((1, 1, 3, 20, 60))

    def next_line(self) -> bytes:
        self.lines += 1
        return b"%07d " % self.lines + b"." * 440 + b" %07d\n" % self.lines

    def other(self) -> bytes:
        if self.chance.random() < 0.2:
            return TRACEBACK
        return b"%016x %s\n" % (self.chance.getrandbits(64), b"x" * self.chance.randrange(400))

    def all_is_read(self) -> bool:
        return len(self._times) == self.lines


class Changing(Numbered):
    """Loses a part of a long log whenever all is read, appends to it and rotates it at once, perhaps several times."""

    def steps(self) -> Iterator[Pauses]:
        while not self.ends():
            yield from self._append(self.chance.choice((3, 50, 300, 700)))
            for _ in range(60):
                if self.all_is_read() or self.ends():
                    break
                yield ()
            yield from self._lose_a_part()
            yield from self._append(self.chance.choice((1, 23, 100)))
            for _ in range(self.chance.choice((1, 1, 2, 3))):
                yield from self._rotate()
                yield from self._append(self.chance.choice((1, 20, 200)))

    def _append(self, many: int) -> Iterator[Pauses]:
        descriptor = self._open()
        try:
            for _ in range(many):
                os.write(descriptor, self.next_line())
                if self.chance.random() < 0.03:
                    yield ()
        finally:
            os.close(descriptor)
        yield ()


class Stale(Numbered):
    """Writes at its old offset, behind a hole of NULs, while its file is copied to dated names and truncated."""

    MOST_COPIES = 60

    def steps(self) -> Iterator[Pauses]:
        self._is_short = self.chance.random() < 0.5
        self._copies = 0
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT)
        try:
            while not self.ends():
                for _ in range(self.chance.choice((1, 5, 20))):
                    os.write(descriptor, self.next_line())
                    if self.chance.random() < 0.3:
                        yield ()
                if self.chance.random() < 0.6 and self._copies < self.MOST_COPIES:
                    yield from self._copy_and_truncate()
                yield ()
        finally:
            os.close(descriptor)

    def next_line(self) -> bytes:
        line = super().next_line()
        return line.replace(b"." * 400, b"") if self._is_short else line

    def _copy_and_truncate(self) -> Iterator[Pauses]:
        self._copies += 1
        day = date(2020, 1, 1) + timedelta(days=self._copies)
        copy = self.log.with_name(f"{self.log.name}-{day:%Y%m%d}")
        data = self.log.read_bytes()
        self._note(f"copied to {copy.name}")
        if self.chance.random() < 0.5:
            yield from self._write_slowly(copy, data)
        else:
            copy.write_bytes(data)
            yield ()
        os.truncate(self.log, 0)
        self._note("truncated")
        yield ()


WRITERS: tuple[tuple[type[Numbered], int], ...] = ((Numbered, 60), (Changing, 25), (Stale, 15))
"""The writers, and how many rounds a run of each has."""


class Interleaved:
    """One run. ``trace`` has what happened, in order."""

    def __init__(self, folder: Path, seed: int, writer: type[Numbered] = Numbered, *, rounds: int = 60) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self.log = folder / "proxy.log"
        self.log.touch()
        self._rounds = rounds
        self._times: Counter[int] = Counter()
        self._writer = writer(self.log, random.Random(seed + 1), self._times)  # noqa: S311
        self._steps = self._writer.steps()
        self._intensity = self._chance.choice((0.002, 0.01, 0.05, 0.2))
        self._kills = self._chance.choice((0.0, 0.001, 0.005))
        self._is_changing = False
        self.follower = Follower(self.log, from_start=True)
        self.trace = self._writer.trace

    @property
    def lines(self) -> int:
        """How many lines were written."""
        return self._writer.lines

    def run(self) -> tuple[list[int], list[int]]:
        """Run it; return the numbers of the lines that are lost, or the first one that is doubled, which ends it."""
        try:
            with self._hooked():
                for _ in range(self._rounds):
                    for _ in range(self._chance.choice((0, 0, 1, 5, 40))):
                        next(self._steps)
                    self._round()
            self._writer.enough = True
            for _ in self._steps:
                pass  # it finishes the line and the rotation that it is within
            for _ in range(4):
                self._note_what_it_reports(lambda: self.follower.look(after_s=GRACE_S + 10))
                self._read()
        except Doubled:
            return [], [n for n, times in self._times.items() if times > 1]
        finally:
            self.follower.close()
        return [n for n in range(1, self._writer.lines + 1) if n not in self._times], []

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
            read = partial(read_one, self.follower.tail, self.follower.now_s)
            found = self._note_what_it_reports(read)
            if found is None:
                return
            tail, chunk = found
            self._kill()
            self.follower.memory.checkpoints.update(chunk.after)
            offset = chunk.base
            for line in chunk.data.splitlines(keepends=True):
                text = line.lstrip(b"\0")
                if text[7:9] == b" .":
                    self._take(int(text[:7]), chunk.after, in_doubt=offset < chunk.after.doubt)
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
            raise Doubled

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
    parser.add_argument("--writer", choices=[writer.__name__ for writer, _ in WRITERS], action="append")
    arguments = parser.parse_args()
    writers = [each for each in WRITERS if arguments.writer is None or each[0].__name__ in arguments.writer]
    wrong = 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        for writer, rounds in writers:
            with tempfile.TemporaryDirectory(prefix="interleaved-") as folder:
                run = Interleaved(Path(folder), seed, writer, rounds=rounds)
                lost, doubled = run.run()
            if lost or doubled:
                wrong += 1
                what = f"line {doubled[0]} is doubled" if doubled else f"{len(lost)} lines are lost, {lost[:4]}"
                print(f"seed {seed}, {writer.__name__}: {what}", flush=True)
                if arguments.trace:
                    print("\n".join(run.trace))
    print(f"{wrong} of {len(writers) * arguments.seeds} runs went wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
