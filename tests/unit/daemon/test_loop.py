"""The stages put together, stepped in this process: when it looks, and what a run that does not stay leaves behind."""

from __future__ import annotations

import io
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from otel_logtail.daemon import turn as stages
from otel_logtail.daemon.build import build
from otel_logtail.daemon.loop import Loop
from otel_logtail.daemon.settings import INTERVAL_NS, Settings, SourceSettings
from otel_logtail.engine.engine import Now
from otel_logtail.errors import StoreFull
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.store.maintenance import Limits
from otel_logtail.tail.watch import TimedWatcher
from tests.support.lines import line

HOUR = 360_000
"""So many lines are an hour of log; line 0 is an hour old."""


class StepWatcher(TimedWatcher):
    """Records the paths to watch, and stops the run at the first wait."""

    def __init__(self, watched: Callable[[set[str]], object]) -> None:
        super().__init__()
        self._watched = watched
        self.stop: Callable[[], object] = lambda: None

    def watch(self, directories: Iterable[str]) -> None:
        self._watched(set(directories))

    def alive(self) -> bool:
        return True

    def wait(self, timeout_s: float) -> frozenset[str] | None:
        self.stop()
        return frozenset()


def made(tmp_path: Path, watcher: TimedWatcher, said: io.StringIO | None = None, **settings: Any) -> Loop:
    of_the_source = {name: settings.pop(name) for name in ("patterns", "from_start") if name in settings}
    source = SourceSettings(observer="headroom", **of_the_source)
    reporter = Reporter(said or io.StringIO())
    parts = build(
        Settings(db=tmp_path / "store.db", sources=(source,), **settings),
        exporter_context=ExporterContext({}),
        home=str(tmp_path),
        reporter=reporter,
    )
    return Loop(parts, watcher, reporter)


def run(tmp_path: Path, watcher: TimedWatcher, said: io.StringIO | None = None, **settings: Any) -> int:
    app = made(tmp_path, watcher, said, **settings)
    if isinstance(watcher, StepWatcher):
        watcher.stop = app.stop
    try:
        return app.run()
    finally:
        app.close()


def ask(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        return connection.execute(sql).fetchall()


def write(log: Path, *numbers: int) -> None:
    with log.open("ab") as file:
        file.write(b"".join(map(line, numbers)))


def test_file_created_just_before_the_watch_starts_is_read_by_the_first_scan(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"

    def watched(directories: set[str]) -> None:
        if not log.exists():  # no event reports it, and the periodic scan is two seconds away
            write(log, 1)

    run(tmp_path, StepWatcher(watched), patterns=(str(log),), from_start=True)
    assert ask(tmp_path, "SELECT samples FROM source") == [(1,)]


def test_what_is_written_before_a_folder_that_was_just_found_is_watched_is_read(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a" / "proxy.log"
    log.parent.mkdir(parents=True)
    write(log, 0)

    def watched(directories: set[str]) -> None:
        if str(log.parent) in directories and log.exists():
            log.rename(log.with_name("proxy.log.1"))
            write(log, 1)

    run(tmp_path, StepWatcher(watched), patterns=(str(tmp_path / "logs" / "*" / "proxy.log"),), from_start=True)
    assert ask(tmp_path, "SELECT samples FROM source") == [(2,)]


def test_changes_that_arrive_while_the_store_fails_are_found_by_a_scan_of_all_files_once_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Changed(StepWatcher):
        def wait(self, timeout_s: float) -> frozenset[str]:
            return frozenset({"a"}) if len(taken) == 1 else frozenset()

    taken: list[frozenset[str] | None] = []
    loop = made(tmp_path, Changed(lambda directories: None), patterns=(str(tmp_path / "proxy.log"),))

    def take(changed: frozenset[str] | None) -> float:
        taken.append(changed)
        if len(taken) == 2:
            raise StoreFull("no room")
        if len(taken) == 3:
            loop.stop()
        return 60.0

    monkeypatch.setattr(loop._turn, "take", take)
    loop.run()
    loop.close()
    assert taken == [None, frozenset({"a"}), None]


def test_a_file_that_appears_and_is_deleted_while_a_backlog_is_read_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, many = tmp_path / "proxy.log", 15_000
    write(log, *range(many))
    watcher = StepWatcher(lambda directories: None)
    loop = made(tmp_path, watcher, patterns=(str(log),), from_start=True)
    watcher.stop = loop.stop
    sources = loop._parts.sources
    step, begun_s = sources.step, time.monotonic()
    steps_done = 0
    now = SimpleNamespace(monotonic=lambda: begun_s + 3.0 * steps_done, thread_time=time.thread_time)
    monkeypatch.setattr(stages, "time", now)

    def step_and_rotate(now_s: float) -> bool | None:
        nonlocal steps_done
        has_new = step(now_s)
        steps_done = number = steps_done + 1
        if number == 1:
            log.rename(tmp_path / "proxy.log.1")
            write(log, many)
        elif number == 2:
            log.unlink()
        return has_new

    monkeypatch.setattr(sources, "step", step_and_rotate)
    loop.run()
    loop.close()
    assert steps_done > 4  # it was a backlog
    assert ask(tmp_path, "SELECT samples FROM source") == [(many + 1,)]


def test_a_run_that_does_not_stay_seals_no_further_than_the_clock_though_a_line_is_from_the_future(
    tmp_path: Path,
) -> None:
    log = tmp_path / "proxy.log"
    write(log, 0, 1, 20 * HOUR)
    assert run(tmp_path, TimedWatcher(), patterns=(str(log),), once=True) == 0
    ((sealed_ns,),) = ask(tmp_path, "SELECT sealed_ns FROM source")
    assert sealed_ns <= time.time_ns() + INTERVAL_NS
    assert ask(tmp_path, "SELECT count(*) > 0 FROM interval") == [(1,)]
    assert ask(tmp_path, "SELECT count(*) > 0 FROM open_interval") == [(1,)]
    write(log, 2)  # what is written now is not late
    run(tmp_path, TimedWatcher(), patterns=(str(log),), once=True)
    durations = "SELECT sum(count) FROM {} JOIN series ON series.id = series WHERE instrument = 'duration'"
    assert ask(tmp_path, durations.format("interval")) == [(3,)]
    assert ask(tmp_path, durations.format("open_interval")) == [(1,)]


@pytest.mark.parametrize("retention_ns", [None, 3600 * 10**9])
def test_retention_holds_where_no_run_ever_stays(tmp_path: Path, retention_ns: int | None) -> None:
    log = tmp_path / "proxy.log"
    settings: dict[str, Any] = {"patterns": (str(log),), "once": True, "limits": Limits(retention_ns=retention_ns)}
    write(log, 0, 1)
    run(tmp_path, TimedWatcher(), **settings)
    assert ask(tmp_path, "SELECT sum(count) FROM block") == [(2,)]  # age counts from the newest ones
    write(log, 2 * HOUR, 2 * HOUR + 1)
    run(tmp_path, TimedWatcher(), **settings)
    assert ask(tmp_path, "SELECT sum(count) FROM block") == [(2 if retention_ns else 4,)]
    assert ask(tmp_path, "SELECT samples FROM source") == [(4,)]


def test_the_size_bound_holds_where_no_run_ever_stays(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    bound = 1 << 20
    for turn in range(4):
        write(log, *range(turn * 6000, (turn + 1) * 6000))
        run(tmp_path, TimedWatcher(), patterns=(str(log),), once=True, limits=Limits(max_bytes=bound))
        assert (tmp_path / "store.db").stat().st_size <= bound
    assert ask(tmp_path, "SELECT samples FROM source") == [(24_000,)]
    assert 0 < ask(tmp_path, "SELECT sum(count) FROM block")[0][0] < 24_000


def test_what_the_store_forgets_of_files_that_are_gone_the_daemon_forgets_too(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    settings: dict[str, Any] = {"patterns": (str(log),), "from_start": True}
    write(log, 0)
    run(tmp_path, StepWatcher(lambda _: None), **settings)
    with closing(sqlite3.connect(tmp_path / "store.db")) as conn, conn:
        conn.execute(
            "INSERT INTO file (id, source, live, path, device, inode, offset, size, head_length, head_digest,"
            " anchor_length, anchor_digest, done, gone_ns)"
            " SELECT 99, 1, live, live, 1, 2, 0, 0, 0, x'', 0, x'', 1, 1 FROM file"
        )
    waits: list[frozenset[int]] = []
    watcher = StepWatcher(lambda _: None)
    app = made(tmp_path, watcher, limits=Limits(retention_ns=3600 * 10**9), **settings)

    def wait() -> None:
        waits.append(app._parts.sources.gone())
        if not waits[-1] or len(waits) == 100:
            app.stop()

    watcher.stop = wait
    app.run()
    app.close()
    assert waits[0] == frozenset({99})  # maintenance works in small steps
    assert waits[-1] == frozenset()
    assert ask(tmp_path, "SELECT id FROM file") == [(1,)]


LENGTHS = (
    "SELECT DISTINCT (i.end_ns - i.start_ns) / 1000000000 FROM interval AS i JOIN series AS s ON s.id = i.series"
    " WHERE s.instrument = 'duration'"
)


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [({}, 60), ({"exporters": ("console",)}, 10), ({"interval_ns": 5 * 10**9}, 5)],
)
def test_counts_are_per_minute_if_no_exporter_gets_them_sooner(
    tmp_path: Path, settings: dict[str, Any], seconds: int
) -> None:
    write(tmp_path / "proxy.log", *range(HOUR - 60_000, HOUR, 100))
    run(tmp_path, TimedWatcher(), once=True, patterns=(str(tmp_path / "proxy.log"),), **settings)
    assert ask(tmp_path, LENGTHS) == [(seconds,)]


def test_a_recent_exporter_of_counts_keeps_its_interval(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    settings: dict[str, Any] = {"once": True, "patterns": (str(log),)}
    write(log, HOUR - 6000)
    run(tmp_path, TimedWatcher(), exporters=("console",), **settings)
    write(log, HOUR - 3000)
    run(tmp_path, TimedWatcher(), **settings)
    assert ask(tmp_path, "SELECT count(*) FROM block") == [(2,)]
    assert ask(tmp_path, LENGTHS) == [(10,)]


def test_after_a_restart_with_shorter_intervals_the_log_time_does_not_advance(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    write(log, HOUR)
    settings: dict[str, Any] = {"patterns": (str(log),), "from_start": True}
    run(tmp_path, StepWatcher(lambda _: None), interval_ns=3600 * 10**9, **settings)
    app = made(tmp_path, StepWatcher(lambda _: None), exporters=("console",), **settings)
    try:
        (source,) = app._parts.sources.runs
        # otherwise open intervals close while their time still runs, and each later line is late
        assert source.engine.ahead_ns(Now(time.time_ns(), 0)) <= 0
    finally:
        app.close()
