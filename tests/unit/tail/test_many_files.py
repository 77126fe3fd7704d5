"""The work for many files grows with their number: counted in system calls, names and comparisons, not in time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from otel_logtail.errors import StoreFull
from otel_logtail.tail import handover, identify
from otel_logtail.tail.fingerprint import holds
from tests.support.tailing import Follower, append, rotate

OLD_NS = 1_700_000_000 * 10**9
CALLS = ("open", "stat", "lstat", "fstat", "pread", "preadv", "scandir", "readlink", "access")


class Work:
    """The operations since the last call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        self._patch = monkeypatch
        for name in CALLS:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))
        monkeypatch.setattr(identify, "holds", self._counted(holds))
        for name in ("holds", "unpack", "find", "_same_place"):
            monkeypatch.setattr(handover, name, self._counted(getattr(handover, name)))

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.number += 1
            return real(*arguments, **named)

        return counted

    def pass_time(self) -> None:
        """Make all times ten seconds older, so that every change is long past."""
        real = time.time_ns
        self._patch.setattr(time, "time_ns", lambda: real() + 10 * 10**9)

    def of(self, follower: Follower, do: Callable[[], object]) -> int:
        """How much doing this takes: calls, and names that are listed."""
        calls, listed = self.number, follower.tail._folders.listed
        do()
        return self.number - calls + follower.tail._folders.listed - listed


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


def live(folder: Path, number: int) -> str:
    for at in range(number):
        append(folder / f"proxy-{10_000 + at}.log", f"line {at}")
    return f"{folder}/proxy*.log"


def rotated(folder: Path, number: int) -> str:
    append(folder / "proxy.log", "the last one")
    for at in range(1, number):
        append(folder / f"proxy.log.{at}", f"line {at} {'x' * 1100}")
    return f"{folder}/proxy.log"


def folders(folder: Path, number: int) -> str:
    for at in range(number):
        (folder / str(at)).mkdir()
        append(folder / str(at) / "proxy.log", f"line {at}")
        settle(folder / str(at))
    return f"{folder}/*/proxy*.log"


def settle(folder: Path) -> None:
    """As if nothing in it had changed for long."""
    for entry in os.scandir(folder):
        os.utime(entry.path, ns=(OLD_NS, OLD_NS))
    os.utime(folder, ns=(OLD_NS, OLD_NS))


SHAPES = {"live": live, "rotated": rotated, "folders": folders}
FEW, MANY = 40, 160


def phases(tmp_path: Path, shape: str, number: int, work: Work, *, settled: bool) -> Iterator[tuple[str, int]]:
    """The cost of each of a daemon's actions with so many files."""
    folder = tmp_path / f"{shape}-{number}"
    folder.mkdir()
    pattern = SHAPES[shape](folder, number)
    if settled:
        settle(folder)
        work.pass_time()
    follower = Follower(pattern, from_start=True)
    yield "first look", work.of(follower, lambda: follower.look())
    yield "reading", work.of(follower, lambda: follower.read())
    assert len(follower.lines) == number
    yield "looks until it rests", work.of(follower, lambda: [follower.follow() for _ in range(3)])
    follower.look(after_s=70)
    follower.follow()
    yield "a look at rest", work.of(follower, lambda: follower.follow())
    follower.restart()
    yield "look after a restart", work.of(follower, lambda: follower.follow())
    path = next(iter(follower.tail.live))

    def one_more() -> None:
        append(Path(path), "one more")
        follower.look([Path(path)]).read()

    yield "a line", work.of(follower, one_more)
    assert follower.lines[-1] == "one more"

    def rotation() -> None:
        rotate(Path(path))
        append(Path(path), "a new file")
        follower.look([Path(path)]).read()
        follower.look().read()

    yield "a rotation", work.of(follower, rotation)
    assert follower.lines[-1] == "a new file"
    yield "which are gone", work.of(follower, lambda: follower.tail.gone())
    follower.close()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("settled", [True, False], ids=["settled", "changing"])
def test_four_times_as_many_files_are_four_times_the_work(
    tmp_path: Path, work: Work, shape: str, settled: bool
) -> None:
    few = dict(phases(tmp_path, shape, FEW, work, settled=settled))
    many = dict(phases(tmp_path, shape, MANY, work, settled=settled))
    ratio = MANY / FEW
    for phase, number in few.items():
        assert many[phase] <= 1.2 * ratio * number + 20, (phase, number, many[phase])


@pytest.mark.parametrize("shape", ["live", "folders"])
def test_a_file_at_rest_costs_two_calls_and_a_line_in_one_file_nothing_in_others(
    tmp_path: Path, work: Work, shape: str
) -> None:
    cost = dict(phases(tmp_path, shape, MANY, work, settled=True))
    assert cost["a line"] < 20
    assert cost["a look at rest"] <= (1.5 if shape == "live" else 5) * MANY


def test_a_file_of_another_program_is_compared_with_few_of_ours(tmp_path: Path, work: Work) -> None:
    follower = Follower(live(tmp_path, MANY), from_start=True)
    follower.follow()
    append(tmp_path / "other.txt", "x")
    assert work.of(follower, lambda: follower.look([tmp_path / "other.txt"])) < 5
    assert follower.tail.ready == set()
    follower.close()


def test_files_of_many_paths_are_remembered_at_once(tmp_path: Path) -> None:
    follower = Follower(live(tmp_path, MANY), from_start=True)
    follower.follow()
    assert len(follower.memory.states) == MANY
    assert follower.memory.commits <= 2 + MANY  # each chunk is one
    follower.close()


def test_if_storing_many_checkpoints_fails_all_are_new_at_the_next_scan(tmp_path: Path) -> None:
    follower = Follower(live(tmp_path, MANY), from_start=True)
    follower.memory.fails = MANY // 2
    with pytest.raises(StoreFull):
        follower.look()
    follower.memory.fails = None
    follower.follow()
    assert len(follower.lines) == MANY
    assert {state.offset for state in follower.memory.states.values()} != {0}
    follower.close()


def test_after_that_failed_each_path_is_read_once_before_its_chunk_is_accepted(tmp_path: Path) -> None:
    follower = Follower(live(tmp_path, FEW), from_start=True)
    for left in (FEW - 1, 1):  # failing at the last file, and at the second
        follower.memory.fails = left
        with pytest.raises(StoreFull):
            follower.look()
    follower.memory.fails = None
    follower.look()
    read = [tail.live for tail, _ in follower.tail.read_each(lambda live: 0, follower.now_s)]
    assert sorted(read) == sorted(follower.tail.live)
    follower.close()


def look_and_read(follower: Follower) -> None:
    follower.look(after_s=70).read()


def test_thousands_of_known_files_cost_as_much_as_the_existing_ones(tmp_path: Path, work: Work) -> None:
    """A name for each process that ever ran: most are known and gone."""
    costs = []
    for number in (FEW, MANY):
        folder = tmp_path / str(number)
        folder.mkdir()
        follower = Follower(live(folder, number), from_start=True)
        follower.follow()
        for path in sorted(folder.iterdir())[5:]:
            path.unlink()
        follower.look(after_s=1).read()
        follower.look(after_s=70).read()
        settle(folder)
        follower.look(after_s=70).read()
        costs.append(work.of(follower, partial(look_and_read, follower)))
        assert len(follower.tail.live) == 5
        follower.close()
    assert costs[0] == costs[1] < 60


@pytest.mark.parametrize("shape", ["live", "rotated"])
def test_as_many_new_files_beside_as_many_known_ones(tmp_path: Path, work: Work, shape: str) -> None:
    costs = []
    for number in (FEW, MANY):
        folder = tmp_path / str(number)
        folder.mkdir()
        follower = Follower(SHAPES[shape](folder, number), from_start=True)
        follower.follow_over_grace()

        def more(folder: Path = folder, number: int = number) -> None:
            for at in range(number):
                if shape == "live":
                    append(folder / f"proxy-{50_000 + at}.log", f"new {at} {'y' * 1100}")
                else:
                    append(folder / f"proxy.log.{at + number}", f"new {at} {'y' * 1100}")

        follower.restart(before=more)
        costs.append(work.of(follower, partial(look_and_read, follower)))
        assert len(follower.lines) == 2 * number
        follower.close()
    assert costs[1] <= 1.2 * MANY / FEW * costs[0]
