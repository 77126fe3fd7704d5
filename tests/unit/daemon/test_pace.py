"""How often all files are scanned: seldom if a scan is expensive and events come, often if there are no events."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_logtail.daemon.build import build
from otel_logtail.daemon.loop import Loop
from otel_logtail.daemon.pace import BLIND_SCAN_S, LONGEST_S, SCAN_S, SHARE, Pace
from otel_logtail.daemon.settings import Settings, SourceSettings
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.tail.watch import TimedWatcher
from tests.support.tailing import Follower, read_one

FILES = 150


class Waits(TimedWatcher):
    """Reports events (or none), records the first waits, and then stops the run."""

    def __init__(self, *, alive: bool) -> None:
        super().__init__()
        self._alive = alive
        self.waits: list[float] = []
        self.running: Loop | None = None

    def alive(self) -> bool:
        return self._alive

    def wait(self, timeout_s: float) -> frozenset[str] | None:
        self.waits.append(timeout_s)
        if len(self.waits) == 3:
            assert self.running is not None
            self.running.stop()
        # scan everything again: the first scan opens the files, so its cost is not that of the next ones
        return None if len(self.waits) == 1 else frozenset()


def waits(folder: Path, files: int, *, alive: bool = True, share: float = SHARE) -> float:
    """How long the daemon would wait for its next scan of so many files, once it has read them."""
    logs = folder / "logs"
    logs.mkdir()
    for number in range(files):
        (logs / f"proxy-{10_000 + number}.log").touch()
    watcher = Waits(alive=alive)
    reporter = Reporter()
    parts = build(
        Settings(
            db=folder / "store.db",
            sources=(SourceSettings(observer="headroom", patterns=(str(logs / "proxy-*.log"),)),),
        ),
        exporter_context=ExporterContext(host="host"),
        home=str(folder),
        reporter=reporter,
    )
    watcher.running = Loop(parts, watcher, reporter, pace=Pace(share))
    try:
        assert watcher.running.run() == 0
    finally:
        watcher.running.close()
    return watcher.waits[-1]


def test_few_files_are_scanned_every_two_seconds(tmp_path: Path) -> None:
    share = 1.0  # at any other load of this machine
    assert waits(tmp_path, 1, share=share) == pytest.approx(SCAN_S, abs=1.0)


def test_an_expensive_scan_is_repeated_less_often_but_still_repeated(tmp_path: Path) -> None:
    share = 1e-6  # so that a millisecond is much
    assert SCAN_S * 2 < waits(tmp_path, FILES, share=share) <= LONGEST_S


def test_without_events_the_files_are_scanned_as_often_as_before(tmp_path: Path) -> None:
    assert waits(tmp_path, FILES, alive=False) <= BLIND_SCAN_S


def test_if_there_is_nothing_to_read_each_file_gets_two_stats_at_most(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"proxy-{10_000 + number}.log").touch()
    follower = Follower(tmp_path / "proxy-*.log").look()
    asked: list[str] = []

    def place(live: str) -> int:
        asked.append(live)
        return 0

    assert read_one(follower.tail, follower.now_s, place) is None
    assert len(asked) <= 2 * 50
    follower.close()
