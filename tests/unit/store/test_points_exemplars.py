"""The exemplars of a point are breaches that its own counts hold, and none of another point's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_logtail.engine.hits import Thresholds
from otel_logtail.model import Instrument, Point, Stream
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.points import MAX_EXEMPLARS
from otel_logtail.store.writer import Store
from tests.support.pieces import NOON, SECOND, THRESHOLDS, Piece, line, opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store.db") as store:
        yield store


def points_of(store: Store, name: str = "fake") -> list[Point]:
    """All points of durations with a breach, as a new exporter gets them."""
    outbox = Outbox.open(store.path, name)
    try:
        outbox.register([Stream.INTERVALS], NOON)
        batch = outbox.read(Stream.INTERVALS, 1000)
    finally:
        outbox.close()
    assert batch is not None
    points = [item for item in batch.items if isinstance(item, Point) and item.id]
    return [p for p in points if p.series.instrument is Instrument.DURATION and p.delta.max_ns >= SECOND // 2]


def late_line(piece: Piece) -> None:
    piece.seal(10)
    piece.commit(line(2, 0.75, logged=25))


def late_line_of_another_file(piece: Piece) -> None:
    piece.seal(10)
    Piece(piece.store, live="/other/fake-8787.log").commit(line(2, 0.75, logged=25))


def late_line_after_a_restart(piece: Piece) -> None:
    piece.seal(10)
    piece.store._intervals.forget()
    Piece(piece.store).commit(line(2, 0.75, logged=25))


def other_thresholds(piece: Piece) -> None:
    Piece(piece.store, thresholds=Thresholds(SECOND // 2, 5 * SECOND // 2)).commit(line(2, 0.75))


def another_source(piece: Piece) -> None:
    Piece(piece.store, source="other", live="/logs/other.log").commit(line(2, 0.75))


def other_attributes(piece: Piece) -> None:
    piece.commit(line(2, 0.75, key="a"))


@pytest.mark.parametrize(
    "then",
    [
        late_line,
        late_line_of_another_file,
        late_line_after_a_restart,
        other_thresholds,
        another_source,
        other_attributes,
    ],
)
def test_a_breach_is_an_exemplar_of_the_point_that_counts_it_and_of_no_other(
    store: Store, then: Callable[[Piece], None]
) -> None:
    piece = Piece(store)
    piece.commit(line(1, 1.0) + line(3, 0.5))
    piece.commit(line(4, 0.1))
    then(piece)
    for source in ("fake-source", "other"):
        Piece(store, source=source, live=f"/logs/{source}.log").seal(100)
    found = {p.delta.sum_ns: [breach.duration_ns for breach in p.exemplars] for p in points_of(store)}
    assert found == {16 * SECOND // 10: [SECOND, SECOND // 2], 3 * SECOND // 4: [3 * SECOND // 4]}


def test_thresholds_that_change_and_change_back_add_no_exemplar_beyond_the_values_of_a_point(store: Store) -> None:
    Piece(store).commit(line(1, 0.6))
    Piece(store, thresholds=Thresholds(SECOND // 2, 5 * SECOND // 2)).commit(line(2, 2.3))
    piece = Piece(store)
    piece.commit(line(3, 0.7))
    piece.seal(100)
    found = sorted([breach.duration_ns * 10 // SECOND for breach in p.exemplars] for p in points_of(store))
    assert found == [[6, 7], [23]]


def test_an_interval_that_grows_in_many_commits_has_the_worst_of_all_of_them(store: Store) -> None:
    piece, other = Piece(store), Piece(store, source="other", live="/logs/other.log")
    for n in range(8):
        piece.commit(line(n, 0.6 + n / 100))
        other.commit(line(n, 3.0))
    piece.seal(100)
    (point,) = points_of(store)
    assert [breach.duration_ns for breach in point.exemplars] == [SECOND * n // 100 for n in (65, 66, 67)]
    assert len(point.exemplars) == MAX_EXEMPLARS


def test_a_sample_exactly_at_the_threshold_is_an_exemplar(store: Store) -> None:
    piece = Piece(store)
    piece.commit(line(1, THRESHOLDS.degraded_ns / SECOND))
    piece.seal(100)
    assert [len(point.exemplars) for point in points_of(store)] == [1]


def test_merged_intervals_keep_the_exemplars_of_all_that_they_hold(store: Store) -> None:
    piece = Piece(store)
    for minute in range(3):
        for second in (1, 21, 41):
            piece.commit(line(60 * minute + second, 0.5 + second / 100))
    piece.commit(line(60 * 60 * 30, 0.1))
    piece.seal(60 * 60 * 29)
    store.maintenance(Limits(), ()).run()
    (point,) = points_of(store)
    assert point.delta.count == 9
    assert [breach.duration_ns for breach in point.exemplars] == [91 * SECOND // 100] * 3


def test_intervals_of_an_older_version_have_the_breaches_of_their_time(store: Store) -> None:
    piece = Piece(store)
    piece.commit(line(1, 1.0))
    piece.seal(100)
    store._db.execute("UPDATE interval SET first_breach = 0, last_breach = 0")
    assert [[breach.duration_ns for breach in point.exemplars] for point in points_of(store)] == [[SECOND]]
