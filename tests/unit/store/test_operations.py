"""Finished exports: counted once, by result, with the time since the first attempt."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.model import Delivered, Stream
from otel_logtail.store.operations import BOUNDS_NS, Operations, values
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
        (id_,) = outbox.on_trial.tries(Stream.BREACHES)
        if accepted:
            outbox.on_trial.over(id_, Delivered(), NOON)
        else:
            outbox.on_trial.hold(Stream.BREACHES, id_, "never", NOON)
    assert exported(outbox) == {"": 1, "refused": 1}


def test_an_item_that_is_not_sent_is_not_counted(outbox: Outbox) -> None:
    batch = outbox.read(Stream.BREACHES, 2)
    assert batch is not None
    outbox.advance(batch, 2, NOON, skipped=2)
    assert exported(outbox) == {}


def test_the_duration_is_from_the_first_attempt_to_the_decision(outbox: Outbox) -> None:
    now_ns = iter([-9_000_000_000, 0, 3_000_000_000, 4_000_000_000, 5_000_000_000, 5_250_000_000])
    batch = outbox.read(Stream.BREACHES, 1)
    assert batch is not None
    with closing(sqlite3.connect(outbox.path)) as conn, conn:
        operations = Operations(conn, "one", lambda: next(now_ns))
        operations.begin(Stream.BREACHES)
        operations.put_off(Stream.BREACHES)  # this one is on trial
        operations.begin(Stream.BREACHES)
        operations.begin(Stream.BREACHES)  # tried again, after 3 s
        operations.finish(batch)
        (first,) = [value for value in values(conn) if value.kind == "histogram"]
        operations.begin(Stream.BREACHES)
        operations.finish(batch)
        (both,) = [value for value in values(conn) if value.kind == "histogram"]
    assert (first.value, sum(first.buckets), first.extremes) == (4.0, 1, (4.0, 4.0))
    assert first.buckets[first.bounds.index(5.0)] == 1
    assert (both.value, sum(both.buckets), both.extremes) == (4.25, 2, (0.25, 4.0))


def test_only_the_items_that_were_decided_and_sent_are_counted(outbox: Outbox) -> None:
    batch = outbox.read(Stream.BREACHES, 3)
    assert batch is not None
    assert len(batch.items) == 3
    outbox.advance(batch, 2, NOON, skipped=1)
    assert exported(outbox) == {"": 1}


# --- damage that SQLite does not detect ---


def damage(outbox: Outbox, what: str) -> None:
    with closing(sqlite3.connect(outbox.path)) as conn, conn:
        assert conn.execute(f"UPDATE operation SET {what}").rowcount == 1


def deliver(outbox: Outbox) -> None:
    batch = outbox.read(Stream.BREACHES, 1)
    assert batch is not None
    outbox.advance(batch, 1, NOON)


def durations(outbox: Outbox) -> list[int]:
    with closing(sqlite3.connect(outbox.path)) as conn:
        return [sum(value.buckets) for value in values(conn) if value.kind == "histogram"]


def ends_of(outbox: Outbox) -> list[tuple[float, float] | None]:
    with closing(sqlite3.connect(outbox.path)) as conn:
        return [value.extremes for value in values(conn) if value.kind == "histogram"]


@pytest.mark.parametrize(
    "what",
    [
        "buckets = substr(buckets, 1, 3)",
        "buckets = x'ff00'",
        "buckets = CAST(x'5bff5d' AS TEXT)",
        "buckets = '[0,1]'",
        "buckets = replace(buckets, '0,', '\"a\",')",
        "buckets = replace(buckets, '0,', '-1,')",
        "buckets = replace(buckets, '0,', '9223372036854775807,')",
        "sum_ns = 'x'",
        "sum_ns = -5",
    ],
)
def test_damaged_durations_count_as_none_and_are_replaced(outbox: Outbox, what: str) -> None:
    deliver(outbox)
    damage(outbox, what)
    assert (exported(outbox), durations(outbox)) == ({"": 1}, [])
    deliver(outbox)
    assert (exported(outbox), durations(outbox)) == ({"": 2}, [1])


@pytest.mark.parametrize(
    "what", ["min_ns = 'x'", "max_ns = NULL", "min_ns = -1", "max_ns = min_ns - 1", "max_ns = 1 << 60"]
)
def test_damaged_ends_of_durations_are_left_out(outbox: Outbox, what: str) -> None:
    deliver(outbox)
    assert all(ends is not None for ends in ends_of(outbox))
    damage(outbox, what)
    assert ends_of(outbox) == [None]
    deliver(outbox)
    assert (durations(outbox), ends_of(outbox)) == ([2], [None])


@pytest.mark.parametrize("what", ["records = 'x'", "records = -1", "records = x'00'"])
def test_a_damaged_number_of_records_starts_again(outbox: Outbox, what: str) -> None:
    deliver(outbox)
    damage(outbox, what)
    assert exported(outbox) == {"": 0}
    deliver(outbox)
    assert (exported(outbox), durations(outbox)) == ({"": 1}, [2])


def test_numbers_stay_within_the_integers_of_sqlite(outbox: Outbox) -> None:
    deliver(outbox)
    damage(outbox, f"records = {2**63 - 1}, sum_ns = {2**63 - 1}")
    deliver(outbox)
    assert (exported(outbox), durations(outbox)) == ({"": 2**63 - 1}, [2])


@pytest.mark.parametrize(
    "what",
    [
        "component = '{'",
        "component = '[]'",
        "component = CAST(x'7bff7d' AS TEXT)",
        "signal = 'spam'",
        "error = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_row_with_a_damaged_name_is_left_out_and_harms_no_other(outbox: Outbox, what: str) -> None:
    deliver(outbox)
    damage(outbox, what)
    assert (exported(outbox), durations(outbox)) == ({}, [])
    deliver(outbox)
    assert (exported(outbox), durations(outbox)) == ({"": 1}, [1])


def test_signals_of_one_component_are_one_histogram_even_if_one_is_damaged(outbox: Outbox) -> None:
    deliver(outbox)
    for signal, buckets in (("span", "[0,1,2]"), ("metric_data_point", [1] * (len(BOUNDS_NS) + 1))):
        with closing(sqlite3.connect(outbox.path)) as conn, conn:
            row = "exporter, ?, component, error, records, sum_ns, ?, min_ns, max_ns"
            conn.execute(
                f"INSERT INTO operation SELECT {row} FROM operation WHERE signal = 'log'", (signal, str(buckets))
            )
    assert durations(outbox) == [len(BOUNDS_NS) + 2]
