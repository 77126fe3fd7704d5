"""How often all files are looked at: seldom where that costs much, since events come; often where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_logtail.daemon import app as app_module
from otel_logtail.daemon.app import BLIND_LOOK_S, LONGEST_LOOK_S, LOOK_S, App
from otel_logtail.daemon.settings import Settings, SourceSettings
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.tail.watch import TimedWaker
from tests.support.tailing import Follower

FILES = 150


class Waits(TimedWaker):
    """Says that events come (or not), notes how long the first waits would be, and then ends the run."""

    def __init__(self, *, alive: bool) -> None:
        super().__init__()
        self._alive = alive
        self.waits: list[float] = []
        self.running: App | None = None

    def alive(self) -> bool:
        return self._alive

    def wait(self, timeout_s: float) -> frozenset[str] | None:
        self.waits.append(timeout_s)
        if len(self.waits) == 3:
            assert self.running is not None
            self.running.stop()
        # first look at all again: the first look opens the files, and says little of what the next ones cost
        return None if len(self.waits) == 1 else frozenset()


def waits(folder: Path, files: int, *, alive: bool = True) -> float:
    """How long the daemon would wait for its next look at so many files, once it has read them."""
    logs = folder / "logs"
    logs.mkdir()
    for number in range(files):
        (logs / f"proxy-{10_000 + number}.log").touch()
    waker = Waits(alive=alive)
    waker.running = App(
        Settings(
            db=folder / "store.db",
            sources=(SourceSettings(observer="headroom", patterns=(str(logs / "proxy-*.log"),)),),
        ),
        exporter_context=ExporterContext({}, {}, "host", "0"),
        home=str(folder),
        waker=waker,
        reporter=Reporter(),
    )
    try:
        assert waker.running.run() == 0
    finally:
        waker.running.close()
    return waker.waits[-1]


def test_few_files_are_looked_at_every_two_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "LOOK_SHARE", 1.0)  # whatever this machine is doing besides
    assert waits(tmp_path, 1) == pytest.approx(LOOK_S, abs=1.0)


def test_a_look_that_costs_much_comes_less_often_and_yet_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "LOOK_SHARE", 1e-6)  # so that a millisecond is much
    assert LOOK_S * 2 < waits(tmp_path, FILES) <= LONGEST_LOOK_S


def test_where_no_events_come_the_look_is_as_often_as_ever(tmp_path: Path) -> None:
    assert waits(tmp_path, FILES, alive=False) <= BLIND_LOOK_S


def test_with_nothing_to_read_each_file_is_asked_for_its_place_twice_at_most(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"proxy-{10_000 + number}.log").touch()
    follower = Follower(tmp_path / "proxy-*.log").look()
    asked: list[str] = []

    def place(live: str) -> int:
        asked.append(live)
        return 0

    assert follower.tail.read(place, follower.now_s) is None
    assert len(asked) <= 2 * 50
    follower.close()
