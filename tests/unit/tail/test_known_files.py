"""Checkpoints of deleted files: kept no longer than maintenance keeps them, without a cost for a scan."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_logtail.model import FileState
from otel_logtail.store.maintenance import EVERY_S, Limits, Maintenance
from otel_logtail.tail.checkpoints import States
from otel_logtail.tail.fingerprint import HEAD_BYTES, fingerprint
from otel_logtail.tail.held import GRACE_S
from otel_logtail.tail.identify import identify
from otel_logtail.tail.lines import new_buffer, read_chunk
from otel_logtail.tail.reader import Reader, open_reader
from tests.model.test_store_model import StoreFollower
from tests.support.pieces import rows
from tests.support.tailing import Follower, append, rotate

BACKUPS = 6


def state_of(id_: int, path: Path, content: bytes, read: int, *, done: bool) -> FileState:
    """The checkpoint of a file with this content after so many bytes were read."""
    path.write_bytes(content)
    reader = open_reader(str(path))
    head = fingerprint(content[:HEAD_BYTES])
    state = FileState(id_, "live", str(path), reader.device, reader.inode, 0, len(content), head)
    chunk = read_chunk(reader, state, new_buffer(), read) if read else None
    reader.close()
    return msgspec.structs.replace(chunk.after if chunk is not None else state, done=done)


def paths_of(readers: dict[str, Reader], states: list[FileState]) -> dict[str, int | None]:
    live = next(reversed(readers), "")
    claims = identify(readers, states, live, [])
    return {path: None if state is None else state.id for path, state in claims.items()}


LINES = st.lists(st.sampled_from([b"", b"a", b"b", b"c" * 600]), max_size=4).map(lambda some: b"\n".join([*some, b""]))
FILES = st.lists(st.tuples(LINES, st.booleans()), min_size=1, max_size=4)
KNOWN = st.lists(st.tuples(LINES, st.integers(0, 2000), st.integers(0, 5)), max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FILES, KNOWN)
def test_of_the_finished_files_those_that_are_found_are_all_that_count(
    files: list[tuple[bytes, bool]], known: list[tuple[bytes, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        readers: dict[str, Reader] = {}
        for number, (content, packed) in enumerate(files):
            path = Path(folder, f"log.{9 - number}" + (".gz" if packed and number < len(files) - 1 else ""))
            path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
            readers[str(path)] = open_reader(str(path))
        here = list(readers.values())
        finished = []
        for id_, (content, read, inode) in enumerate(known, 1):
            state = state_of(id_, Path(folder, "aside"), content, read, done=True)
            if inode < len(here):  # it was used again
                state = msgspec.structs.replace(state, device=here[inode].device, inode=here[inode].inode)
            finished.append(state)
        like = States(finished).finished_like(here)
        assert paths_of(readers, like) == paths_of(readers, finished[::-1])
        for reader in here:
            reader.close()


def test_a_scan_compares_with_existing_files_for_any_number_of_past_files(tmp_path: Path) -> None:
    states = States(
        state_of(id_, tmp_path / "aside", f"file {id_}\n".encode() * (id_ % 200), 4096, done=True)
        for id_ in range(1, 1001)
    )
    (tmp_path / "aside").write_bytes(b"file 777\n" * 300)
    (tmp_path / "new").write_bytes(b"nothing that was seen before\n")
    (tmp_path / "empty").touch()
    readers = [open_reader(str(tmp_path / name)) for name in ("aside", "new", "empty")]
    # all had the inode; of those that were empty the newest stands for the others
    assert [state.id for state in states.finished_like(readers)] == [1000, 777]
    for reader in readers:
        reader.close()


def test_what_is_put_again_or_dropped_is_found_as_it_is_now(tmp_path: Path) -> None:
    one, two = (state_of(id_, tmp_path / "aside", b"text\n" * id_, 4096, done=True) for id_ in (1, 2))
    empty = state_of(3, tmp_path / "empty", b"", 0, done=True)
    states = States([one, two, msgspec.structs.replace(empty, head=fingerprint(b""))])
    assert states.finished(but=[]) == frozenset({1, 2, 3})
    assert (states.unfinished(), len(states)) == ([], 3)
    on = msgspec.structs.replace(one, done=False)
    states.put(on)
    assert states.finished(but=[2]) == frozenset({3})
    assert states.unfinished() == [on]
    reader, nothing = open_reader(str(tmp_path / "aside")), open_reader(str(tmp_path / "empty"))
    assert [state.id for state in states.finished_like([reader, nothing])] == [3, 2]
    states.put(one)
    states.drop([2, 3, 99])
    assert list(states) == states.finished_like([reader, nothing]) == [one]
    states.drop([1])
    assert (len(states), states.finished_like([reader, nothing])) == (0, [])
    reader.close()
    nothing.close()


# --- with a store and its maintenance
# -----------------------------------------------------------------------------------


class Keeping:
    """A follower and the maintenance of its store, in turns as in the daemon."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "proxy.log"
        self.follower = StoreFollower(self.log, folder / "store.db", from_start=True)
        self.maintenance: Maintenance = self.follower.store.maintenance(Limits(retention_ns=1), [])
        self.now_s = 0.0
        self.number = 1

    def live(self, lines: int = 1) -> None:
        """Rotate, write, and read until the rotated file is closed."""
        if self.log.exists():
            rotate(self.log)
            self.log.with_name(f"proxy.log.{BACKUPS + 1}").unlink(missing_ok=True)
        for _ in range(lines):
            self.number += 3  # no multiple of three: those are breaches
            append(self.log, f"{self.number}:")
        self.follower.follow()
        self.follower.look(after_s=GRACE_S + 1)

    def keep_up(self) -> None:
        """One pass notes what is gone; the next one forgets it."""
        tail = self.follower.run.tail
        for _ in range(2):
            self.now_s += EVERY_S
            while (done := self.maintenance.step(self.now_s, tail.gone)) is not None:
                tail.forget(frozenset(done.forgotten))

    @property
    def known(self) -> set[int]:
        states = [state.id for tail in self.follower.run.tail._tails.values() for state in tail.states]
        assert len(set(states)) == len(states)
        return set(states)

    @property
    def stored(self) -> set[int]:
        return {state.id for state in self.follower.store.files(self.follower.info.id)}


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Keeping]:
    keeping = Keeping(tmp_path)
    yield keeping
    keeping.follower.close()


def test_after_300_rotations_the_daemon_has_the_checkpoints_of_the_store_and_no_more(keeping: Keeping) -> None:
    most = 0
    for turn in range(1, 301):
        keeping.live()
        most = max(most, len(keeping.known))
        if turn % 20 == 0:
            keeping.keep_up()
            assert keeping.known == keeping.stored
            assert len(keeping.known) == BACKUPS + 1
            assert keeping.follower.run.tail.gone() == frozenset()
    assert most <= BACKUPS + 1 + 20
    assert rows(keeping.follower.db, "SELECT samples FROM source") == [(300,)]


def test_a_file_that_reappears_is_known_until_it_is_forgotten_and_new_after_that(keeping: Keeping) -> None:
    keeping.live(lines=50)
    copy = keeping.log.with_name("copy")
    shutil.copy(keeping.log, copy)
    for _ in range(BACKUPS + 1):
        keeping.live(lines=50)
    (first,) = keeping.follower.run.tail.gone()
    back = keeping.log.with_name(f"proxy.log.{BACKUPS + 1}")
    shutil.copy(copy, back)  # another inode
    keeping.follower.look()
    assert keeping.follower.read() == []
    assert keeping.follower.run.tail.gone() == frozenset()
    keeping.keep_up()
    assert first in keeping.known & keeping.stored
    back.unlink()
    keeping.follower.look()
    keeping.keep_up()
    assert first not in keeping.known | keeping.stored
    shutil.copy(copy, back)
    keeping.follower.look()
    keeping.follower.read()
    (again,) = (state for tail in keeping.follower.run.tail._tails.values() for state in tail.states[-1:])
    assert (again.path, again.offset, again.id in keeping.stored) == (str(back), back.stat().st_size, True)
    assert first not in keeping.known | keeping.stored


def test_a_file_that_reappears_between_being_noted_and_forgotten_stays_known(keeping: Keeping) -> None:
    keeping.live(lines=50)
    copy = keeping.log.with_name("copy")
    shutil.copy(keeping.log, copy)
    for _ in range(BACKUPS + 1):
        keeping.live(lines=50)
    (first,) = tail_gone = keeping.follower.run.tail.gone()
    assert keeping.maintenance.step(EVERY_S, lambda: tail_gone)
    while (done := keeping.maintenance.step(EVERY_S, frozenset)) is not None:  # noted before; now it is there
        assert done.forgotten == ()
    keeping.now_s = 2 * EVERY_S
    looks = iter([tail_gone])
    # gone as the pass begins, then back
    while (done := keeping.maintenance.step(keeping.now_s, lambda: next(looks, frozenset()))) is not None:
        assert done.forgotten == ()
    assert first in keeping.known & keeping.stored


def test_logs_of_processes_that_have_ended_are_forgotten_too(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "proxy*.log", from_start=True)
    for pid in range(1000, 1050):
        log = tmp_path / f"proxy-{pid}.log"
        append(log, f"{pid}")
        assert follower.follow() == [f"{pid}"]
        if pid % 2:
            rotate(log, create=False)
        else:
            log.unlink()
        follower.follow_over_grace()
    follower.look()
    rotated = {state.id for state in follower.memory.states.values() if int(state.live[-8:-4]) % 2}
    gone = follower.tail.gone()
    assert gone == follower.memory.states.keys() - rotated
    follower.tail.forget(gone)
    assert {state.id for states in follower.tail._known.values() for state in states} == rotated
    assert follower.tail.gone() == frozenset()
    follower.close()
