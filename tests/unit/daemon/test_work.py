"""The hourly line: the work of the last hour, with a clock that the test sets."""

from __future__ import annotations

import io
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from otel_logtail.daemon.build import Parts, build
from otel_logtail.daemon.pace import Pace
from otel_logtail.daemon.settings import Settings, SourceSettings
from otel_logtail.daemon.supervisor import Supervisor
from otel_logtail.daemon.turn import Turn
from otel_logtail.daemon.work import HOUR_S, Work
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.store.connection import connect
from otel_logtail.tail.watch import TimedWatcher
from tests.support.lines import T0, line, lines


def parts_of(folder: Path, reporter: Reporter) -> Parts:
    return build(
        Settings(
            db=folder / "store.db",
            sources=(SourceSettings(observer="headroom", patterns=(str(folder / "proxy.log"),), from_start=True),),
            exporters=("jsonl",),
            exporter_options={"jsonl": {"jsonl_file": str(folder / "sent.jsonl")}},
        ),
        exporter_context=ExporterContext({}),
        home=str(folder),
        reporter=reporter,
    )


def test_each_hour_has_one_line_with_the_new_work(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    log.write_bytes(lines(0, 10))
    out = io.StringIO()
    reporter = Reporter(out)
    parts = parts_of(tmp_path, reporter)
    try:
        watcher = TimedWatcher()
        turn = Turn(parts, watcher, reporter, Supervisor({}), Pace())
        work = Work(
            parts.sources.runs, parts.drains, lambda exporter: parts.store.undelivered([exporter]), reporter, 7.0
        )

        def told() -> list[str]:
            return [text for text in out.getvalue().splitlines() if "in the last" in text]

        turn.take(None)
        work.step(7.0 + HOUR_S - 0.1)
        assert told() == []
        work.step(7.0 + HOUR_S)
        with log.open("ab") as more:
            more.write(lines(10, 13, ms=900))
        turn.take(None)
        work.step(7.0 + HOUR_S + 1.0)
        assert len(told()) == 1
        parts.sources.finish(2**62)
        work.step(7.0 + 2 * HOUR_S)
        waiting = parts.store.undelivered(["jsonl"])
        assert waiting > 0
        assert [text.partition(" read, ")[2] for text in told()] == [
            "10 samples, 0 slow, 0 episodes, 0 B behind; jsonl: 0 delivered, 0 waiting",
            f"3 samples, 3 slow, 1 episode, 0 B behind; jsonl: 0 delivered, {waiting} waiting",
        ]
        run = work.done(7.0 + 2 * HOUR_S)
        assert (run.seconds, run.samples, run.bytes) == (7200, 13, log.stat().st_size)
        watcher.close()
    finally:
        parts.close()


def delivered(parts: Parts, watcher: TimedWatcher, reporter: Reporter) -> Turn:
    """Read the log to its end and deliver everything; return the turn that did it."""
    turn = Turn(parts, watcher, reporter, Supervisor({}), Pace())
    turn.take(None)
    parts.sources.finish(2**62)
    for drain in parts.drains:
        drain.start()
        drain.stop(60.0)
        drain.join()
    return turn


def test_deliveries_are_counted(tmp_path: Path) -> None:
    (tmp_path / "proxy.log").write_bytes(lines(0, 10, ms=900))
    reporter = Reporter(io.StringIO())
    parts = parts_of(tmp_path, reporter)
    try:
        watcher = TimedWatcher()
        turn = delivered(parts, watcher, reporter)
        done = turn.work.done(0.0).exporters["jsonl"]
        assert (done.delivered > 0, done.waiting) == (True, 0)
        watcher.close()
    finally:
        parts.close()


def test_repeats_are_not_counted_as_delivered(tmp_path: Path) -> None:
    (tmp_path / "proxy.log").write_bytes(lines(0, 10) + line(10, at=T0 + timedelta(minutes=30)))
    reporter = Reporter(io.StringIO())
    parts = parts_of(tmp_path, reporter)
    try:
        watcher = TimedWatcher()
        turn = delivered(parts, watcher, reporter)
        with closing(connect(parts.store.path)) as connection:
            ((stored,),) = connection.execute("SELECT delivered FROM exporter").fetchall()
        assert turn.work.done(0.0).exporters["jsonl"].delivered == stored
        watcher.close()
    finally:
        parts.close()
