"""The tail against a list: lines are written, rotated, cut off, compressed, restarted and refused, in any order.

A *generation* is the lines written to the live path between two rotations. A line is lost only if the model deleted it
before it was read, which the model never does: it deletes files only when all of their lines are read. It does not
delete a rotated file that changed. Such a change is found at the next rotation, and the file may be gone before it is
compared: then its bytes are reported as not read, although they were.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from otel_logtail.errors import StoreFull
from otel_logtail.tail.held import GRACE_S
from tests.support.examples import examples
from tests.support.tailing import Follower, read_one, squeeze

FEWEST_LINES = 8
"""A file with fewer lines cannot be recognized when a part of it changed."""

SIZES = st.sampled_from([0, 1, 20, 300, 1500])


class TailMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.log = self.folder / "proxy.log"
        self.number = 0
        self.generation = self.changes = 0
        self.written: dict[int, list[str]] = {0: []}
        self.names: dict[str, int] = {}  # rotated file -> generation
        self.late: tuple[int, int, str] | None = None  # a writer within a line: descriptor, generation, whole line
        self.copying = False
        self.changed = False  # since the last scan
        self.edited: set[int] = set()  # generations whose rotated file changed
        self.follower: Follower

    @initialize(from_start=st.booleans(), there=st.booleans())
    def begin(self, from_start: bool, there: bool) -> None:
        if there:
            self.log.touch()
        self.follower = Follower(self.log, from_start=from_start)
        self.follower.look()

    def number_of(self, line: str) -> str:
        """The number of a written line, from the follower's lines."""
        return line

    # --- the program that writes ---

    def _line(self, size: int) -> str:
        self.number += 1
        return f"{self.number}:".ljust(size, "=")

    @rule(sizes=st.lists(SIZES, min_size=1, max_size=5))
    def append(self, sizes: list[int]) -> None:
        self.finish_half_of(self.generation)
        lines = [self._line(size) for size in sizes]
        with self.log.open("a") as file:
            file.write("".join(line + "\n" for line in lines))
        self.written[self.generation] += lines

    @precondition(lambda self: self.late is None)
    @rule(size=SIZES)
    def append_half(self, size: int) -> None:
        line = self._line(size)
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, line[: (len(line) + 1) // 2].encode())
        self.late = (descriptor, self.generation, line)

    @precondition(lambda self: self.late is not None)
    @rule()
    def finish_half(self) -> None:
        assert self.late is not None
        descriptor, generation, line = self.late
        os.write(descriptor, line[(len(line) + 1) // 2 :].encode() + b"\n")
        os.close(descriptor)
        self.written[generation].append(line)
        self.late = None

    def finish_half_of(self, generation: int) -> None:
        if self.late is not None and self.late[1] == generation:
            self.finish_half()

    # --- what rotates its log ---

    def _names_changed(self) -> None:
        """Work within one tick of this clock takes longer in reality."""
        self.changes += 1
        os.utime(self.folder, ns=(self.changes, self.changes))

    def _make_room(self) -> None:
        moved = {}
        for name in sorted(self.names, key=lambda name: -int(name.split(".")[2])):
            parts = name.split(".")
            parts[2] = str(int(parts[2]) + 1)
            (self.folder / name).rename(self.folder / ".".join(parts))
            moved[".".join(parts)] = self.names[name]
        self.names = moved

    def _next_generation(self) -> None:
        self.names["proxy.log.1"] = self.generation
        self.generation += 1
        self.written[self.generation] = []

    @precondition(lambda self: self.log.exists() and not self.copying)
    @rule(create=st.booleans())
    def rename(self, create: bool) -> None:
        self._make_room()
        self.log.rename(self.folder / "proxy.log.1")
        self._next_generation()
        if create:
            self.log.touch()
        self._names_changed()

    @precondition(lambda self: self.log.exists() and not self.copying)
    @rule()
    def begin_a_copy(self) -> None:
        self._make_room()
        (self.folder / "proxy.log.1").touch()
        self.copying = True
        self._names_changed()

    @precondition(lambda self: self.copying)
    @rule(part=st.sampled_from([1, 30, 1100, 5000]))
    def go_on_copying(self, part: int) -> None:
        with self.log.open("rb") as log, (self.folder / "proxy.log.1").open("ab") as copy:
            log.seek(copy.tell())
            copy.write(log.read(part))

    @precondition(lambda self: self.copying)
    @rule()
    def end_the_copy_and_truncate(self) -> None:
        self.finish_half_of(self.generation)
        self.go_on_copying(-1)
        os.truncate(self.log, 0)
        self.copying = False
        self._next_generation()

    @precondition(lambda self: self.log.exists() and not self.copying)
    @rule(sizes=st.lists(SIZES, max_size=8))
    def copytruncate(self, sizes: list[int]) -> None:
        self.finish_half_of(self.generation)
        self._make_room()
        shutil.copyfile(self.log, self.folder / "proxy.log.1")
        self._names_changed()
        os.truncate(self.log, 0)
        self._next_generation()
        if sizes:
            self.append(sizes)

    def _plain(self) -> list[str]:
        """Return the rotated files without a writer, newest first."""
        writing = None if self.late is None else self.late[1]
        names = [name for name, generation in self.names.items() if name[-3:] != ".gz" and generation != writing]
        return sorted(names, key=lambda name: int(name.split(".")[2]))

    @precondition(lambda self: self._plain())
    @rule()
    def compress(self) -> None:
        name = self._plain()[0]
        squeeze(self.folder / name, gzip.compress, ".gz")
        self.names[name + ".gz"] = self.names.pop(name)
        self._names_changed()

    def _read_to_the_end(self) -> list[str]:
        read = set(self.follower.lines)
        writing = None if self.late is None else self.late[1]
        return [
            n for n, g in self.names.items() if g != writing and read.issuperset(map(self.number_of, self.written[g]))
        ]

    def _deletable(self) -> list[str]:
        return sorted(name for name in self._read_to_the_end() if self.names[name] not in self.edited)

    @precondition(lambda self: self._deletable() and not self.changed)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self._deletable()))
        (self.folder / name).unlink()
        del self.names[name]
        self._names_changed()

    # --- what changes a part of a file of which all was read ---

    def _changeable(self) -> list[Path]:
        if self.changed:
            return []  # one change at a time: else of a small file hardly anything is left
        read = self._read_to_the_end()
        paths = [self.folder / name for name in self._plain() if name in read]
        written = map(self.number_of, self.written[self.generation])
        if self.log.exists() and not self._is_being_written() and set(self.follower.lines).issuperset(written):
            paths.append(self.log)
        return [path for path in paths if path.read_bytes().count(b"\n") >= FEWEST_LINES]

    def _changes(self, path: Path) -> None:
        self.changed = True
        if path != self.log:
            self.edited.add(self.names[path.name])

    def _is_being_written(self) -> bool:
        return self.copying or (self.late is not None and self.late[1] == self.generation)

    @precondition(lambda self: self._changeable())
    @rule(data=st.data(), in_place=st.booleans(), pieces=st.sampled_from([1, 1, 2, 3]))
    def change_a_part(self, data: st.DataObject, in_place: bool, pieces: int) -> None:
        path = data.draw(st.sampled_from(self._changeable()))
        lines = path.read_bytes().splitlines(keepends=True)
        number = data.draw(st.integers(1, len(lines) // 3))
        place = data.draw(st.sampled_from([0, len(lines) - number, data.draw(st.integers(0, len(lines) - number))]))
        content = b"".join(lines[:place] + lines[place + number :])
        self._changes(path)
        if not in_place:
            other = self.folder / "other"
            other.write_bytes(content)
            other.replace(path)
            self._names_changed()
            return
        with path.open("r+b", buffering=0) as file:
            file.truncate(0)
            for at in range(0, len(content), -(-len(content) // pieces)):
                if pieces > 1:
                    self.follower.look([self.log]).read()
                file.write(content[at : at + -(-len(content) // pieces)])

    @precondition(lambda self: self._changeable())
    @rule(data=st.data(), at_the_end=st.booleans())
    def overwrite_with_nuls(self, data: st.DataObject, at_the_end: bool) -> None:
        path = data.draw(st.sampled_from(self._changeable()))
        lines = path.read_bytes().splitlines(keepends=True)
        number = len(b"".join(lines[-2:] if at_the_end else lines[:2]))
        self._changes(path)
        with path.open("r+b") as file:
            file.seek(-number if at_the_end else 0, os.SEEK_END if at_the_end else os.SEEK_SET)
            file.write(bytes(number))

    # --- us ---

    @rule()
    def look(self) -> None:
        self.follower.look()

    @rule()
    def look_at_the_live_path(self) -> None:
        self.follower.look([self.log])

    @rule(chunks=st.sampled_from([1, 2, None]))
    def read(self, chunks: int | None) -> None:
        self.follower.read(chunks)

    @rule()
    def follow(self) -> None:
        self.follower.follow()
        self.follower.follow()  # a changed file is read as soon as it has settled
        self.changed = False

    @rule()
    def read_without_committing(self) -> None:
        read_one(self.follower.tail, self.follower.now_s)

    @rule(calls=st.integers(0, 4))
    def follow_with_a_store_that_gets_full(self, calls: int) -> None:
        self.follower.memory.fails = calls
        try:
            self.follower.follow()
        except StoreFull:
            pass
        self.follower.memory.fails = None

    @precondition(lambda self: self.late is None or self.late[1] == self.generation)
    @rule()
    def grace_period_passes(self) -> None:
        self.follower.now_s += GRACE_S + 1

    @rule()
    def restart(self) -> None:
        self.follower.restart()

    @invariant()
    def nothing_is_read_twice(self) -> None:
        if hasattr(self, "follower"):
            assert len(set(self.follower.lines)) == len(self.follower.lines)

    def teardown(self) -> None:
        try:
            if hasattr(self, "follower"):
                self._all_is_read_in_order()
        finally:
            if self.late is not None:
                os.close(self.late[0])
            if hasattr(self, "follower"):
                self.follower.close()
            shutil.rmtree(self.folder)

    def _all_is_read_in_order(self) -> None:
        if self.copying:
            self.end_the_copy_and_truncate()
        if self.late is not None:
            self.finish_half()
        self.follower.follow_over_grace()
        lines = self.follower.lines
        generations = [[self.number_of(line) for line in written] for written in self.written.values()]
        assert sorted(lines) == sorted(line for written in generations for line in written)
        place = {line: at for at, line in enumerate(lines)}
        for written in generations:
            assert written == sorted(written, key=place.__getitem__)
        # (lines written to a deleted file between scans cannot be read, and the loss is reported)
        assert not re.search(r"unread bytes|were not read", self.follower.said)
        self.follower.restart()
        assert self.follower.follow_over_grace() == []


TestTailModel = TailMachine.TestCase
TestTailModel.settings = settings(
    max_examples=examples(100),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
