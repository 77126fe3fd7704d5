"""Killed before any statement while items are isolated, quarantined, released: none is lost, no total falls."""

from __future__ import annotations

import io
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from otel_logtail.delivery.lane import Lane
from otel_logtail.delivery.rules import Rules
from otel_logtail.events import Reporter
from otel_logtail.model import (
    BreachRecord,
    Delivered,
    Delivery,
    ExportBatch,
    Item,
    MarkRecord,
    Point,
    Refused,
    Retry,
    Stream,
)
from otel_logtail.store import quarantine
from otel_logtail.store.connection import connect, sync_each_commit, transaction
from otel_logtail.store.outbox import Outbox
from otel_logtail.testing import fake_mark
from tests.support.mortal import MortalConnection
from tests.support.pieces import NOON, Piece, line, opened, rows

TABLES: dict[Stream, tuple[str, type]] = {
    Stream.INTERVALS: ("interval", Point),
    Stream.BREACHES: ("breach", BreachRecord),
    Stream.MARKS: ("mark", MarkRecord),
}
STREAMS = tuple(TABLES)
FAILURE = "the receiver failed"
RULES = Rules(first_backoff_s=0.0, last_backoff_s=0.0, tries=2)
Judge = Callable[[ExportBatch], Delivery]


class Watched(MortalConnection):
    """A connection that calls a function before each statement."""

    def __init__(self, connection: sqlite3.Connection, before: Callable[[], None]) -> None:
        super().__init__(connection, -1)
        self._before = before

    def _live(self) -> None:
        self._before()

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction


class Receiver:
    """Runs the lanes in the test's own thread and records accepted items in order."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.given_up = False
        self.accepted = self.asked = 0
        self.took: list[Item] = []
        self.said = io.StringIO()

    def export(self, batch: ExportBatch) -> Delivery:
        self.asked += 1
        delivery = self.judge(batch)
        if isinstance(delivery, Delivered):
            self.took += batch.items
            self.accepted += 1
        return delivery

    def over(self) -> bool:
        return False

    def progressed(self) -> None:
        """Nothing depends on it here."""

    def works(self) -> None:
        """Nothing is notified."""

    def run(self, path: Path, before: Callable[[], None] | None = None) -> None:
        """Have all streams sent until nothing is due. ``before`` is called before each statement."""
        with closing(Outbox.open(path, "fake")) as outbox:
            outbox.register(STREAMS, time.time_ns())
        db = connect(path)
        sync_each_commit(db, False)
        outbox = Outbox(path, "fake", db if before is None else cast(sqlite3.Connection, Watched(db, before)))
        try:
            lanes = [Lane(stream, outbox, Reporter(self.said), self, RULES) for stream in STREAMS]
            asked = -1
            for _ in range(4):
                if self.asked == asked:
                    break  # nothing is due
                asked = self.asked
                for lane in lanes:
                    lane.hasten()
                    lane.run()
        finally:
            outbox._marker.close()
            db.close()


def strange(batch: ExportBatch) -> bool:
    return any(item.id == 2 for item in batch.items)


JUDGES: dict[str, Judge] = {
    "refused": lambda batch: Refused("bad") if strange(batch) else Delivered(),
    "fails": lambda batch: Retry(FAILURE, isolate=True) if strange(batch) else Delivered(),
    "rejected": lambda batch: Delivered(rejected=1, why="too old") if strange(batch) else Delivered(),
    "all fail": lambda _: Retry(FAILURE, isolate=True),
}


ISOLATED = {
    "refused": "was quarantined: bad",
    "fails": "was quarantined: the receiver failed",
    "rejected": "rejected data is not sent again",
    "all fail": "buffering, will retry",
}


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "begun.db"
    with opened(path) as store:
        marks = b"".join(fake_mark(NOON + n, "a mark") for n in range(3))
        Piece(store).commit(b"".join(line(10 * n, 0.6) for n in range(3)) + marks, seal_s=200)
        with closing(Outbox.open(path, "fake")) as outbox:
            outbox.register(STREAMS, time.time_ns())
    yield path


@pytest.mark.parametrize("name", JUDGES)
def test_killed_before_any_statement_nothing_is_lost(begun: Path, tmp_path: Path, name: str) -> None:
    numbered = {
        stream: {id_ for (id_,) in rows(begun, f"SELECT id FROM {table}")} for stream, (table, _) in TABLES.items()
    }
    assert all(numbered.values())
    first, deaths = Receiver(JUDGES[name]), list[tuple[Path, int]]()

    def leave() -> None:
        """Copy the store as a process leaves it that is killed now, and note how much the receiver has."""
        left = tmp_path / f"{len(deaths)}.db"
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{left}{end}")
        deaths.append((left, len(first.took)))

    path = tmp_path / "first.db"
    shutil.copy(begun, path)
    first.run(path, leave)
    at_the_end = (path, len(first.took))
    assert len(deaths) > 100
    assert ISOLATED[name] in first.said.getvalue()
    assert "internal error:" not in first.said.getvalue()
    for left, number in (*deaths, at_the_end):
        with closing(connect(left)) as db, transaction(db):
            quarantine.release(db, None)
        second = Receiver(lambda _: Delivered())
        second.run(left)
        assert "internal error:" not in second.said.getvalue()
        took = first.took[:number] + second.took
        for stream, ids in numbered.items():
            of_stream = {item.id for item in took if isinstance(item, TABLES[stream][1])}
            assert of_stream - {0} == ids, (left.name, stream)
        check_totals(took)
        assert rows(left, "SELECT * FROM refused") == []
        left.unlink()


def check_totals(took: list[Item]) -> None:
    """Check that resent items are the same, and that the newest total of each series counts each sample once."""
    known: dict[tuple[object, object, int, int], tuple[int, int]] = {}
    for point in (item for item in took if isinstance(item, Point)):
        key = (point.series.instrument, point.series.attributes, point.start_ns, point.time_ns)
        assert known.setdefault(key, (point.id, point.total.count)) == (point.id, point.total.count)
    by_series: dict[object, list[tuple[int, int]]] = {}
    for (instrument, attributes, start_ns, time_ns), (_, count) in known.items():
        by_series.setdefault((instrument, attributes, start_ns), []).append((time_ns, count))
    for points in by_series.values():
        counts = [count for _, count in sorted(points)]
        assert counts == sorted(counts)
