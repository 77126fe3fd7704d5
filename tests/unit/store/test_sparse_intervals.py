"""Intervals of few samples: readers get the same data as from counts, with the same ids, in the same order."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_logtail import query
from otel_logtail.engine import intervals
from otel_logtail.model import Batch, Item, Point, Stream
from otel_logtail.store import sparse_table
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.maintenance.steps import Tuning
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.rows import Repaired
from tests.support.lives import NO_LIMITS
from tests.support.memory import place
from tests.support.mortal import Killed, MortalConnection
from tests.support.pieces import NOON, SECOND, Backlog, Piece, line, opened, rows, use_connection

SLOW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TUNING = Tuning(merges=((60 * SECOND, 20 * SECOND),), rows=7, intervals=5)
"""Values stay values at all but the longest merge, so that here both kinds of rows are merged at the same time."""

Said = list[tuple[int, float, str]]


class Pieces(Backlog):
    """A log of which intervals with few samples stay values."""

    most_values = intervals.MOST_VALUES

    def batch(self, data: bytes, seal_s: float | None = None) -> Batch:
        with patch.object(intervals, "MOST_VALUES", self.most_values):
            return super().batch(data, seal_s)


class Counting(Pieces):
    """The same log, of which each interval is counted."""

    most_values = 0


def text(said: Said) -> bytes:
    return b"".join(line(second, duration_s, logged=200, key=key) for second, duration_s, key in said)


@contextmanager
def both(folder: str) -> Iterator[tuple[Pieces, Counting]]:
    with ExitStack() as stack:
        stores = [stack.enter_context(opened(Path(folder, f"{name}.db"))) for name in ("values", "counts")]
        yield Pieces(stores[0]), Counting(stores[1])


def plain(items: tuple[Item, ...]) -> list[object]:
    """Return points without what differs between two stores: their ids."""
    assert all(isinstance(item, Point) for item in items)
    return [
        msgspec.structs.replace(
            item,
            source=item.source.name,
            exemplars=[(one.id, one.time_ns, one.duration_ns) for one in item.exemplars],
        )
        for item in items
        if isinstance(item, Point)
    ]


@contextmanager
def outbox_of(piece: Piece, name: str, *, from_now: bool = False) -> Iterator[Outbox]:
    with closing(Outbox.open(piece.store.path, name)) as outbox:
        outbox.register([Stream.INTERVALS], NOON, from_now=from_now)
        yield outbox


def delivered(outbox: Outbox, limit: int, done: int) -> list[object]:
    """Read a batch, of which the receiver takes some items; return it, and how many items wait."""
    batch = outbox.read(Stream.INTERVALS, limit)
    if batch is None:
        return [None, outbox.pending()]
    outbox.advance(batch, min(done, len(batch.items)), NOON)
    return [*plain(batch.items), outbox.pending()]


def answers(path: Path) -> list[object]:
    found: list[object] = [rows(path, "SELECT * FROM minutes ORDER BY 1, 2, 3")]
    for since_s, until_s in ((None, None), (13, 61), (20, None)):
        with query.Reader.open(path) as reader:
            since_ns, until_ns = (None if at is None else NOON + at * SECOND for at in (since_s, until_s))
            part = query.Reader(reader.conn, since_ns=since_ns, until_ns=until_ns)
            found += [query.summary(part), query.stages(part), query.breakdown(part), query.hours(part).hours]
            found.append(query.over_time(part, [NOON, NOON + 30 * SECOND, NOON + 200 * SECOND]))
            found.append(str(part.damage))
    return found


SAID = st.lists(
    st.tuples(st.integers(0, 90), st.sampled_from([0.001, 0.01, 0.6, 3.0]), st.sampled_from(["", "", "", "a"])),
    min_size=1,
    max_size=12,
)
OPS = st.one_of(
    st.tuples(st.just("say"), SAID, st.none() | st.integers(0, 120)),
    st.tuples(st.just("deliver"), st.integers(1, 9), st.integers(0, 9)),
    st.tuples(st.just("merge"), st.none(), st.none()),
    st.tuples(st.just("expire"), st.integers(30, 150), st.none()),
    st.tuples(st.just("shrink"), st.none(), st.none()),
    st.tuples(st.just("pass over"), st.integers(1, 20), st.none()),
    st.tuples(st.just("begin"), st.booleans(), st.none()),
)


def step(piece: Piece, outbox: Outbox, number: int, op: tuple[str, object, object]) -> object:
    what, first, second = op
    if what == "say":
        piece.commit(text(first), second)  # type: ignore[arg-type]
    elif what == "deliver":
        return delivered(outbox, first, second)  # type: ignore[arg-type]
    elif what == "merge":
        piece.store.maintenance(NO_LIMITS, ["one"], TUNING).run()
    elif what == "expire":
        limits = Limits(retention_ns=int(str(first)) * SECOND)
        return piece.store.maintenance(limits, ["one"], TUNING).run()
    elif what == "shrink":  # all data is deleted, delivered or not
        return piece.store.maintenance(Limits(max_bytes=1), ["one"], TUNING).run()
    elif what == "pass over":
        upkeep = piece.store.maintenance(NO_LIMITS, ["one"], TUNING)
        return [step.dropped for step in upkeep._retention.pass_over(Stream.INTERVALS, int(str(first)))]
    else:
        with outbox_of(piece, f"new {number}", from_now=bool(first)) as new:
            return [new.pending(), *map(repr, plain(new.told())), delivered(new, 50, 50)]
    return None


@SLOW
@given(st.lists(OPS, min_size=1, max_size=14))
def test_values_are_delivered_merged_and_queried_as_counts_are(ops: list[tuple[str, object, object]]) -> None:
    with tempfile.TemporaryDirectory(dir=place()) as folder, both(folder) as (values, counts), ExitStack() as stack:
        boxes = [stack.enter_context(outbox_of(piece, "one")) for piece in (values, counts)]
        for number, op in enumerate([("say", [(1, 0.01, "")], None), *ops, ("say", [(95, 0.01, "")], 200)]):
            found, expected = (step(piece, box, number, op) for piece, box in zip((values, counts), boxes, strict=True))
            assert found == expected
            assert answers(values.store.path) == answers(counts.store.path)
        while (expected := delivered(boxes[1], 5, 5))[0] is not None:
            assert delivered(boxes[0], 5, 5) == expected
        assert delivered(boxes[0], 5, 5) == expected


def some(piece: Piece, number: int = 5) -> None:
    """Store some intervals with a sample each, all of them as values."""
    piece.commit(text([(second * 10, 0.01, "") for second in range(number)]), number * 10)


@pytest.fixture
def piece(tmp_path: Path) -> Iterator[Pieces]:
    with opened(tmp_path / "store.db") as store:
        yield Pieces(store)


def test_an_interval_of_few_samples_is_one_row_and_one_of_many_is_counted(piece: Pieces) -> None:
    most = intervals.MOST_VALUES
    piece.commit(text([(1, 0.01, "")] * most + [(11, 0.01, "")] * (most + 1)), 20)
    series = rows(piece.store.path, "SELECT count(*) FROM series")
    assert rows(piece.store.path, "SELECT end_ns, id - first_id + 1 FROM sparse_interval") == [
        (NOON + 10 * SECOND, *series[0])
    ]
    assert rows(piece.store.path, "SELECT DISTINCT end_ns FROM interval") == [(NOON + 20 * SECOND,)]


def test_an_interval_with_an_open_row_of_the_same_end_is_counted(piece: Pieces) -> None:
    piece.commit(text([(1, 0.01, "")]))
    piece.commit(text([(2, 0.02, ""), (12, 0.01, "")]), 20)
    assert rows(piece.store.path, "SELECT DISTINCT end_ns, count FROM interval") == [(NOON + 10 * SECOND, 2)]
    assert rows(piece.store.path, "SELECT DISTINCT end_ns FROM sparse_interval") == [(NOON + 20 * SECOND,)]


def test_of_more_intervals_than_one_transaction_closes_the_rest_follows(piece: Pieces) -> None:
    piece.commit(text([(second, 0.01, "") for second in range(0, 60, 10)]))
    piece.store._intervals.most_closed = 4
    piece.commit(text([(second, 0.01, "a") for second in range(0, 90, 10)]), 100)
    while rows(piece.store.path, "SELECT count(*) FROM open_interval") != [(0,)]:
        piece.seal(100)
    with outbox_of(piece, "one") as outbox:
        batch = outbox.read(Stream.INTERVALS, 1000)
    assert batch is not None
    ids = [item.id for item in batch.items if item.id]
    assert ids == list(range(1, len(ids) + 1))
    assert rows(piece.store.path, "SELECT sum(count) FROM minutes") == [(15,)]


def test_series_beyond_the_limit_on_sets_are_counted(piece: Pieces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_table, "_MOST_SETS", 1)
    piece.commit(text([(1, 0.01, ""), (11, 0.01, "a"), (21, 0.01, "")]), 30)
    assert rows(piece.store.path, "SELECT end_ns FROM sparse_interval ORDER BY 1") == [
        (NOON + 10 * SECOND,),
        (NOON + 30 * SECOND,),
    ]
    assert rows(piece.store.path, "SELECT DISTINCT end_ns FROM interval") == [(NOON + 20 * SECOND,)]
    assert rows(piece.store.path, "SELECT count(DISTINCT id) FROM series_set") == [(1,)]


def test_a_series_whose_rows_were_all_deleted_begins_with_an_earlier_interval(tmp_path: Path) -> None:
    begun = []
    with both(str(tmp_path)) as pieces:
        for piece in pieces:
            piece.commit(text([(51, 0.01, "")]), 60)
            piece.store.maintenance(Limits(max_bytes=1), [], TUNING).run()
            piece.commit(text([(1, 0.01, "")]), 60)
            with outbox_of(piece, "one") as outbox:
                batch = outbox.read(Stream.INTERVALS, 1000)
            assert batch is not None
            begun.append(plain(batch.items))
            assert {item.start_ns for item in batch.items if isinstance(item, Point)} == {NOON}
    assert begun[0] == begun[1]


def test_samples_beyond_the_limit_on_series_are_counted_together(piece: Pieces) -> None:
    piece.store.series.most = len(rows(piece.store.path, "SELECT 1 FROM series"))
    some(piece)
    assert rows(piece.store.path, "SELECT count(*) FROM sparse_interval") == [(0,)]
    assert rows(piece.store.path, "SELECT sum(count) FROM minutes") == [(5,)]


@pytest.mark.parametrize(
    "damage",
    [
        *("'[[1'", "'[]'", "'[[1e99]]'", """'[["a"]]'""", "'[[99999999999999999999]]'"),
        *("x'ff'", "CAST(x'5b5bff' AS TEXT)"),
    ],
)
def test_a_damaged_row_is_reported_and_holds_up_nothing(piece: Pieces, damage: str) -> None:
    some(piece)
    series = int(str(rows(piece.store.path, "SELECT count(*) FROM series")[0][0]))
    with closing(sqlite3.connect(piece.store.path)) as conn, conn:
        conn.execute(f"UPDATE sparse_interval SET samples = {damage} WHERE end_ns = {NOON + 20 * SECOND}")
    with query.Reader.open(piece.store.path) as reader:
        assert query.summary(reader).count == 4
        assert str(reader.damage) == "1 interval cannot be read: samples are missing in the totals"
    with outbox_of(piece, "one") as outbox:
        batch = outbox.read(Stream.INTERVALS, 1000)
        assert batch is not None
        outbox.advance(batch, len(batch.items), NOON)
        assert outbox.take_repaired() == Repaired(lost=series)
        assert outbox.pending() == 0
    points = [item for item in batch.items if isinstance(item, Point) and item.series.instrument.value == "duration"]
    assert [point.total.count for point in points if point.id] == [1, 1, 2, 3, 4]
    piece.commit(text([(190, 0.01, "")]), 200)
    with outbox_of(piece, "one") as outbox:
        delivered(outbox, 1000, 1000)
    piece.store.maintenance(NO_LIMITS, ["one"], TUNING).run()
    ends = rows(piece.store.path, "SELECT end_ns FROM sparse_interval ORDER BY 1")
    assert ends == [(NOON + 20 * SECOND,), (NOON + 200 * SECOND,)]


def test_killed_at_any_statement_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    statements = 0
    while True:
        path = tmp_path / f"{statements}.db"
        with opened(path) as store:
            piece = Pieces(store)
            some(piece, 3)
            batch = piece.batch(text([(second * 10, 0.6, "") for second in range(3, 7)]), 60)
            before = use_connection(store, MortalConnection(store._db, statements))
            try:
                store.commit(batch)
            except Killed:
                killed = True
            else:
                killed = False
            use_connection(store, before)
        with opened(path) as store:
            assert store.files(1)[0].offset in {piece.file.offset, batch.file.offset if batch.file else 0}
            if killed:
                store.commit(batch)
        assert rows(path, "SELECT sum(count) FROM minutes") == [(7,)]
        last = rows(path, "SELECT seq FROM sqlite_sequence WHERE name = 'interval'")
        assert rows(path, "SELECT count(*) FROM closed") == last
        if not killed:
            return
        statements += 1
