"""Finished exports: counted once, by result, with the time since the first attempt."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.model import Delivered, Stream
from otel_logtail.store.operations import Operations, values
from otel_logtail.store.outbox import Outbox
from tests.support.pieces import NOON, Piece, line, opened


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with opened(tmp_path / "store.db") as store:
        Piece(store).commit(line(0, 1.0) + line(20, 1.0) + line(40, 1.0), seal_s=60)
        outbox = Outbox.open(store.path, "one")
        outbox.register([Stream.BREACHES], NOON)
        yield outbox
        outbox.close()


def exported(outbox: Outbox) -> dict[str, float]:
    """The records by result."""
    with closing(sqlite3.connect(outbox.path)) as conn:
        found = [value for value in values(conn) if value.kind == "counter"]
    return {str(dict(value.attributes).get("error.type", "")): value.value for value in found}


def test_records_are_counted_by_their_result(outbox: Outbox) -> None:
    batch = outbox.read(Stream.BREACHES, 2)
    assert batch is not None
    outbox.advance(batch, 2, NOON, rejected=1, why="no")
    batch = outbox.read(Stream.BREACHES, 1)
    assert batch is not None
    outbox.set_aside(batch, "never", NOON, held=True)
    assert exported(outbox) == {"": 1, "rejected": 1, "refused": 1}


def test_an_item_on_trial_is_counted_when_its_trial_is_over(outbox: Outbox) -> None:
    for accepted in (True, False):
        batch = outbox.read(Stream.BREACHES, 1)
        assert batch is not None
        before = exported(outbox)
        outbox.set_aside(batch, "busy", NOON, held=False)
        assert exported(outbox) == before
        (id_,) = outbox.trials(Stream.BREACHES)
        if accepted:
            outbox.trial_over(id_, Delivered(), NOON)
        else:
            outbox.hold(Stream.BREACHES, id_, "never", NOON)
    assert exported(outbox) == {"": 1, "refused": 1}


def test_an_item_that_is_not_sent_is_not_counted(outbox: Outbox) -> None:
    batch = outbox.read(Stream.BREACHES, 2)
    assert batch is not None
    outbox.advance(batch, 2, NOON, skipped=2)
    assert exported(outbox) == {}


def test_the_duration_is_from_the_first_attempt_to_the_decision(outbox: Outbox) -> None:
    now_ns = iter([-9_000_000_000, 0, 3_000_000_000, 4_000_000_000])
    batch = outbox.read(Stream.BREACHES, 1)
    assert batch is not None
    with closing(sqlite3.connect(outbox.path)) as conn, conn:
        operations = Operations(conn, "one", lambda: next(now_ns))
        operations.begin(Stream.BREACHES)
        operations.put_off(Stream.BREACHES)  # this one is on trial
        operations.begin(Stream.BREACHES)
        operations.begin(Stream.BREACHES)  # tried again, after 3 s
        operations.finish(batch)
        (histogram,) = [value for value in values(conn) if value.kind == "histogram"]
    assert (histogram.value, sum(histogram.buckets)) == (4.0, 1)
    assert histogram.buckets[histogram.bounds.index(5.0)] == 1
