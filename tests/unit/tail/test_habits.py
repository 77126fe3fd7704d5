"""How programs with habits of their own go on in another file: each line once; stepped by hand.

caddy puts a time and a reason into the name, the JVM uses numbers in a ring, PostgreSQL takes a new name each day, and
nginx, traefik and envoy write to a renamed file until they get a signal.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from otel_logtail.errors import StoreFull
from otel_logtail.observer import PathRule
from otel_logtail.tail import live, opening
from otel_logtail.tail.directories import SETTLED_NS
from otel_logtail.tail.held import GRACE_S
from otel_logtail.tail.reader import Reader, open_reader
from otel_logtail.tail.tailer import RETIRED_S
from tests.support.tailing import Follower, append, append_bytes, copytruncate, numbered, squeeze

CADDY = PathRule(patterns=(), live=r"access\.log")
JVM = PathRule(patterns=(), live=r"gc.*\.log", ring=True, successive=True)
POSTGRESQL = PathRule(patterns=(), live=r"postgresql-.*\.json", successive=True)

RING = 3


class Lines:
    """The lines that a program has written so far."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def write(self, path: Path, count: int = 2) -> None:
        new = numbered(len(self.all) + 1, len(self.all) + count)
        self.all += new
        append(path, *new)


@pytest.fixture
def lines() -> Lines:
    return Lines()


# --- caddy --------------------------------------------------------------------------------------------------------


def caddy_name(log: Path, number: int, reason: str) -> Path:
    return log.with_name(f"access-2026-11-{number + 1:02}T15-36-08.932{reason}.log")


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("scans", ["after each step", "after the new file", "at the end"])
@pytest.mark.parametrize("reason", ["-size", ""])
def test_file_that_caddy_rotates_is_read_once(
    tmp_path: Path, lines: Lines, reason: str, scans: str, restarts: bool
) -> None:
    log = tmp_path / "access.log"
    log.touch()
    follower = Follower(tmp_path / "access*.log", rule=CADDY)
    follower.follow()

    def scan(*after: str) -> None:
        if scans in after:
            if restarts:
                follower.restart()
            follower.follow()

    for number in range(5):
        lines.write(log)
        renamed = caddy_name(log, number, reason)
        log.rename(renamed)
        if reason:  # without one, the name alone could be that of a live file
            scan("after each step")
        log.touch()
        scan("after each step", "after the new file")
        lines.write(log)
        scan("after each step")
        squeeze(renamed, gzip.compress, ".gz")
        scan("after each step")
        assert list(follower.tail.live) == [str(log)]
    follower.follow_over_grace()
    assert follower.lines == lines.all
    assert follower.open_files == 1


def test_file_that_is_compressed_for_long_is_read_once(tmp_path: Path, lines: Lines) -> None:
    log = tmp_path / "access.log"
    log.touch()
    follower = Follower(log, rule=CADDY)
    follower.follow()
    lines.write(log, 2000)
    follower.look().read(1)
    renamed = caddy_name(log, 0, "-size")
    log.rename(renamed)
    log.touch()
    lines.write(log)
    packed = gzip.compress(renamed.read_bytes())
    for part in (packed[: len(packed) // 2], packed[len(packed) // 2 :]):
        append_bytes(renamed.with_name(f"{renamed.name}.gz"), part)
        follower.follow()
    renamed.unlink()
    follower.follow_over_grace()
    assert follower.lines == lines.all


# --- the JVM ------------------------------------------------------------------------------------------------------


class Ring:
    """Writes as the JVM does: the file is renamed to the next number, from 0, and the oldest one is overwritten."""

    def __init__(self, log: Path) -> None:
        self.log, self._next = log, 0
        log.touch()

    def rotate(self) -> None:
        old = self.log.with_name(f"gc.log.{self._next % RING}")
        old.unlink(missing_ok=True)
        self.log.rename(old)
        self._next += 1
        self.log.touch()
        # a JVM writes for long into each file; here, a clock tick may pass between none of them
        os.utime(old, ns=(self._next * 10**9, self._next * 10**9))


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path / "gc.log")


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("rotations", [1, 2, RING])
def test_ring_of_files_is_read_in_the_order_in_which_it_was_written(
    ring: Ring, lines: Lines, rotations: int, restarts: bool
) -> None:
    follower = Follower(ring.log, rule=JVM)
    follower.follow()
    for _ in range(3 * RING):
        for _ in range(rotations):
            lines.write(ring.log)
            ring.rotate()
        lines.write(ring.log)
        if restarts:
            follower.restart()
        follower.follow()
    follower.follow_over_grace()
    assert follower.lines == lines.all
    assert follower.open_files == 1


def test_ring_that_was_there_before_is_read_from_its_oldest_file(ring: Ring, lines: Lines) -> None:
    for _ in range(RING + 1):
        lines.write(ring.log)
        ring.rotate()
    lines.write(ring.log)
    follower = Follower(ring.log, rule=JVM, from_start=True)
    follower.follow()
    assert follower.lines == lines.all[2:]  # the oldest file is overwritten


@pytest.mark.parametrize("restarts", [False, True])
def test_files_of_jvms_that_ended_are_closed(
    tmp_path: Path, lines: Lines, tick: Callable[[Path], None], restarts: bool
) -> None:
    """The name holds the pid, so each start is a new live path, which may be written to and rotated again."""
    follower = Follower(tmp_path / "gc-*.log", rule=JVM)
    follower.follow()
    for pid in range(10):
        log = tmp_path / f"gc-{pid}.log"
        for number in range(2):
            lines.write(log)
            log.rename(log.with_name(f"{log.name}.{number}"))
        lines.write(log)
        tick(log)
        follower.follow_over_grace()
        idle(follower)
    assert list(follower.tail.live) == [str(tmp_path / "gc-9.log")]
    assert follower.open_files == 1
    if restarts:
        follower.restart()
        follower.follow()
        assert list(follower.tail.live) == [str(tmp_path / "gc-9.log")]
    silent = tmp_path / "gc-3.log"
    lines.write(silent)
    silent.rename(silent.with_name("gc-3.log.2"))
    lines.write(silent)
    follower.follow_over_grace()
    assert sorted(follower.lines) == sorted(lines.all)


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


def day(folder: Path, number: int) -> Path:
    return folder / f"postgresql-{datetime(2026, 1, 1) + timedelta(days=number):%Y-%m-%d_%H%M%S}.json"


@pytest.fixture
def tick() -> Iterator[Callable[[Path], None]]:
    """Gives files times of change that are a minute apart and old enough, so that they count as settled."""
    now_ns = datetime.now().timestamp() * 1e9 - 1000 * 60e9 - SETTLED_NS

    def set_time(path: Path) -> None:
        nonlocal now_ns
        now_ns += 60e9
        os.utime(path, ns=(int(now_ns), int(now_ns)))

    yield set_time


def idle(follower: Follower, after_s: float = RETIRED_S) -> None:
    """Scan without any change until all files are idle, and again after this time."""
    for _ in range(3):
        follower.follow()
    follower.look(after_s=after_s).read()


@pytest.fixture(autouse=True)
def times_of_change_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is settled 3 s after its last change; no test waits for that."""
    monkeypatch.setattr(live, "SETTLED_NS", 0)


@pytest.mark.parametrize("restarts", [False, True])
def test_file_of_each_day_is_read_once_and_closed(
    tmp_path: Path, lines: Lines, tick: Callable[[Path], None], restarts: bool
) -> None:
    follower = Follower(tmp_path / "postgresql-*.json", rule=POSTGRESQL)
    follower.follow()
    most = 0
    for number in range(200):
        lines.write(day(tmp_path, number))
        tick(day(tmp_path, number))
        if restarts and number % 10 == 0:
            follower.restart()
        idle(follower)
        most = max(most, follower.open_files, len(follower.tail.live))
    assert follower.lines == lines.all
    assert most <= 2
    assert list(follower.tail.live) == [str(day(tmp_path, 199))]
    assert len(follower.memory.states) == 200  # as many as there are files


def test_files_of_days_that_are_deleted_are_forgotten(
    tmp_path: Path, lines: Lines, tick: Callable[[Path], None]
) -> None:
    follower = Follower(tmp_path / "postgresql-*.json", rule=POSTGRESQL)
    follower.follow()
    for number in range(20):
        lines.write(day(tmp_path, number))
        tick(day(tmp_path, number))
        if number >= 3:
            day(tmp_path, number - 3).unlink()
        idle(follower)
        gone = follower.tail.gone()
        follower.tail.forget(gone)
        for id_ in gone:
            del follower.memory.states[id_]
        assert len(follower.memory.states) <= 4
        assert sum(map(len, follower.tail._known.values())) <= 3
    assert follower.lines == lines.all


def test_the_newest_file_is_never_closed(tmp_path: Path, lines: Lines, tick: Callable[[Path], None]) -> None:
    follower = Follower(tmp_path / "postgresql-*.json", rule=POSTGRESQL)
    follower.follow()
    lines.write(day(tmp_path, 0))
    tick(day(tmp_path, 0))
    idle(follower, after_s=100 * RETIRED_S)
    assert follower.open_files == 1


def test_files_of_a_program_that_renames_them_are_not_closed(
    tmp_path: Path, lines: Lines, tick: Callable[[Path], None]
) -> None:
    follower = Follower(tmp_path / "proxy-*.log")
    follower.follow()
    for number in (1, 2):
        lines.write(tmp_path / f"proxy-{number}.log")
        tick(tmp_path / f"proxy-{number}.log")
    idle(follower, after_s=100 * RETIRED_S)
    assert follower.open_files == 2


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("hinted", [False, True])
@pytest.mark.parametrize("change", ["grows", "is cut off", "is replaced"])
def test_closed_file_that_changes_is_followed_again(
    tmp_path: Path, lines: Lines, tick: Callable[[Path], None], change: str, hinted: bool, restarts: bool
) -> None:
    follower = Follower(tmp_path / "postgresql-*.json", rule=POSTGRESQL)
    follower.follow()
    for number in (0, 1):
        lines.write(day(tmp_path, number), 3)
        tick(day(tmp_path, number))
    idle(follower)
    assert list(follower.tail.live) == [str(day(tmp_path, 1))]
    if restarts:
        follower.restart()
        follower.follow()
    if change == "is cut off":
        os.truncate(day(tmp_path, 0), 0)
    elif change == "is replaced":
        day(tmp_path, 0).unlink()
    lines.write(day(tmp_path, 0), 2)
    follower.look([day(tmp_path, 0)] if hinted else None).read()
    follower.follow()
    assert follower.lines == lines.all
    assert str(day(tmp_path, 0)) in follower.tail.live


def test_file_with_half_a_line_is_closed_and_the_line_read_when_it_is_complete(
    tmp_path: Path, lines: Lines, tick: Callable[[Path], None]
) -> None:
    follower = Follower(tmp_path / "postgresql-*.json", rule=POSTGRESQL)
    follower.follow()
    lines.write(day(tmp_path, 0))
    append_bytes(day(tmp_path, 0), b"half ")
    tick(day(tmp_path, 0))
    lines.write(day(tmp_path, 1))
    tick(day(tmp_path, 1))
    idle(follower)
    assert follower.open_files == 1
    append_bytes(day(tmp_path, 0), b"a line\n")
    follower.follow()
    assert follower.lines == [*lines.all, "half a line"]


@pytest.mark.parametrize("restarts", [False, True])
def test_file_with_a_date_is_followed_once_the_live_file_of_the_same_name_is_deleted(
    tmp_path: Path, lines: Lines, restarts: bool
) -> None:
    """The file of a day looks like a rotated one while ``postgresql.json`` is beside it."""
    plain = tmp_path / "postgresql.json"
    lines.write(plain)
    follower = Follower(tmp_path / "postgresql*.json", rule=POSTGRESQL, from_start=True)
    follower.follow()
    plain.unlink()
    lines.write(day(tmp_path, 0))
    follower.follow()
    for _ in range(3):
        lines.write(day(tmp_path, 0))
        follower.follow_over_grace()
        if restarts:
            follower.restart()
    follower.follow()
    follower.follow()
    assert follower.lines == lines.all
    assert list(follower.tail.live) == [str(day(tmp_path, 0))]


def test_store_that_is_full_keeps_the_files_open(tmp_path: Path, lines: Lines, tick: Callable[[Path], None]) -> None:
    follower = Follower(tmp_path / "postgresql-*.json", rule=POSTGRESQL)
    follower.follow()
    for number in range(3):
        lines.write(day(tmp_path, number))
        tick(day(tmp_path, number))
    for _ in range(3):
        follower.follow()
    follower.memory.fails = 1  # the second of two
    with pytest.raises(StoreFull):
        follower.look(after_s=RETIRED_S)
    assert follower.open_files == 3
    assert not any(state.done for state in follower.memory.states.values())
    follower.memory.fails = None
    follower.follow()
    assert follower.open_files == 1
    assert follower.lines == lines.all


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("name", ["postgresql-15-main.log", "postgresql-15-main.json"])
def test_postgresql_log_that_debian_truncates_is_read_once(
    tmp_path: Path, lines: Lines, name: str, restarts: bool
) -> None:
    log = tmp_path / name
    log.touch()
    follower = Follower(tmp_path / "postgresql-*", rule=POSTGRESQL)
    follower.follow()
    for number in range(4):
        lines.write(log, 5)
        if number % 2:
            follower.follow()
        for age in (2, 1):
            if (older := log.with_name(f"{name}.{age}.gz")).exists():
                older.rename(log.with_name(f"{name}.{age + 1}.gz"))
        if (newest := log.with_name(f"{name}.1")).exists():
            squeeze(newest, gzip.compress, ".gz").rename(log.with_name(f"{name}.2.gz"))
        copytruncate(log)
        lines.write(log, 3)
        if restarts:
            follower.restart()
        follower.follow()
    follower.follow_over_grace()
    assert follower.lines == lines.all
    assert list(follower.tail.live) == [str(log)]


# --- a writer that opens the new file late ------------------------------------------------------------------------


@pytest.mark.parametrize("hinted", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_lines_that_a_writer_adds_long_after_the_rename_are_read_at_once(
    tmp_path: Path, lines: Lines, restarts: bool, hinted: bool
) -> None:
    log, renamed = tmp_path / "access.log", tmp_path / "access.log.1"
    log.touch()
    follower = Follower(log, rule=CADDY)
    follower.follow()
    lines.write(log)
    log.rename(renamed)
    log.touch()
    follower.follow_over_grace()
    for _ in range(3):
        assert follower.open_files == 1
        if restarts:
            follower.restart()
            follower.follow()
        lines.write(renamed)
        follower.look([renamed] if hinted else None).read()
        assert follower.lines == lines.all
        follower.look(after_s=GRACE_S + 1).read()
    lines.write(log)
    follower.follow()
    assert follower.lines == lines.all


def test_lines_in_a_buffer_for_ten_seconds_are_read_from_the_renamed_file_first(tmp_path: Path, lines: Lines) -> None:
    log, renamed = tmp_path / "access.log", tmp_path / "access.log.1"
    log.touch()
    follower = Follower(log, rule=CADDY)
    follower.follow()
    for _ in range(3):
        lines.write(log)
        follower.follow()
        renamed.unlink(missing_ok=True)
        log.rename(renamed)
        for _ in range(20):  # the program flushes what it has, then opens the new file
            follower.look(after_s=0.5).read()
        lines.write(renamed)
        follower.follow()
        lines.write(log)
        follower.follow()
    assert follower.lines == lines.all


# --- a scan that runs into a rotation -----------------------------------------------------------------------------


class Meanwhile:
    """Something that happens once, between the listing of the names and the opening of the files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
        self.left = [happens]

        def opened(path: str) -> Reader:
            if self.left:
                self.left.pop()()
            return open_reader(path)

        monkeypatch.setattr(opening, "open_reader", opened)


@pytest.mark.parametrize("unread", [0, 3])
def test_copy_that_is_made_during_the_first_scan_is_read_once(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch, unread: int
) -> None:
    log = tmp_path / "access.log"
    log.touch()
    follower = Follower(log, rule=CADDY)
    follower.follow()
    lines.write(log, 4)
    follower.follow()
    follower.restart(before=lambda: lines.write(log, unread))
    happened = Meanwhile(monkeypatch, lambda: copytruncate(log))
    follower.follow()
    assert not happened.left
    lines.write(log)
    follower.follow_over_grace()
    assert follower.lines == lines.all


def test_file_that_is_missing_at_the_first_scan_is_reported(tmp_path: Path, lines: Lines) -> None:
    log = tmp_path / "access.log"
    log.touch()
    follower = Follower(log, rule=CADDY)
    follower.follow()
    lines.write(log, 4)
    follower.follow()

    def replaced() -> None:
        log.unlink()
        append(log, "another file")

    follower.restart(before=replaced)
    assert follower.follow() == ["another file"]
    assert follower.said.count("lost") == 1
