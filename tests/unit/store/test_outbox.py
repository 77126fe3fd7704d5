from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_logtail.counts import add
from otel_logtail.model import (
    BreachRecord,
    Counts,
    EpisodeRecord,
    ExportBatch,
    Instrument,
    PartRecord,
    Point,
    SeriesKey,
    Severity,
    Stream,
)
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.records import BATCH_EVENTS
from otel_logtail.store.rows import STEP_NS, counts_of
from otel_logtail.store.writer import Store
from otel_logtail.testing import fake_mark
from tests.support.examples import examples
from tests.support.memory import place
from tests.support.pieces import ATTRIBUTES, INTERVAL, LIVE, NOON, SECOND, Piece, line, opened, rows

MINUTE = 60 * SECOND

KEPT = [stream for stream in Stream if stream is not Stream.SELF]


@contextmanager
def outbox_of(path: Path, exporter: str = "fake") -> Iterator[Outbox]:
    outbox = Outbox.open(path, exporter)
    try:
        outbox.register(Stream, NOON)
        yield outbox
    finally:
        outbox.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store.db") as store:
        yield store


@pytest.fixture
def outbox(store: Store) -> Iterator[Outbox]:
    with outbox_of(store.path) as outbox:
        yield outbox


def points(batch: ExportBatch | None) -> list[Point]:
    assert batch is not None
    found = [item for item in batch.items if isinstance(item, Point)]
    assert len(found) == len(batch.items)
    return found


def durations(batch: ExportBatch | None) -> list[Point]:
    """Without the 0 that each series begins with."""
    found = [point for point in points(batch) if point.series.instrument is Instrument.DURATION]
    return [point for point in found if point.total.count]


def deliver(outbox: Outbox, stream: Stream = Stream.INTERVALS, limit: int = 1000) -> ExportBatch | None:
    batch = outbox.read(stream, limit)
    if batch is not None:
        outbox.advance(batch, len(batch.items), NOON)
    return batch


def added(*parts: Counts) -> Counts:
    total = Counts()
    for part in parts:
        add(total, part)
    return total


EVENTS = st.tuples(st.integers(0, 60), st.sampled_from([0.01, 0.6, 3.0]), st.sampled_from(["", "a", "b"]))


@settings(max_examples=examples(12, share=20), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(EVENTS, st.booleans()), min_size=1, max_size=25), st.data())
def test_totals_are_running_sums_whatever_the_batches_and_however_often_they_are_read(
    events: list[tuple[tuple[int, float, str], bool]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory(dir=place()) as folder, opened(Path(folder, "store.db")) as store:
        piece = Piece(store)
        seen: list[Point] = []
        with outbox_of(store.path) as outbox:
            for (second, duration_s, key), look in events:
                # all lines are written at the same late moment, so their samples come in any order, some late
                piece.commit(line(second, duration_s, logged=100, key=key), seal_s=second)
                if not look:
                    continue
                for _ in range(data.draw(st.integers(1, 2))):
                    batch = outbox.read(Stream.INTERVALS, data.draw(st.integers(1, 6)))
                if batch is not None:
                    count = data.draw(st.integers(0, len(batch.items)))
                    outbox.advance(batch, count, NOON)
                    seen += points(batch)[:count]
            piece.seal(200)
            while (batch := outbox.read(Stream.INTERVALS, data.draw(st.integers(1, 6)))) is not None:
                outbox.advance(batch, len(batch.items), NOON)
                seen += points(batch)
        columns = "count, sum_ns, min_ns, max_ns, explicit, exponential, zeros"
        stored = rows(store.path, f"SELECT id, end_ns, {columns} FROM interval ORDER BY id")
    begun = [point for point in seen if not point.id]
    assert {(p.previous_ns - p.start_ns, p.total.count) for p in begun} == {(0, 0)}
    assert all(point.start_ns <= point.time_ns for point in begun)
    times = [point.time_ns for point in seen]
    assert times == sorted(times)  # of all series of a source: of their resource a receiver makes one more
    assert len(begun) == len({point.series for point in begun}) == len({point.series for point in seen})
    assert [point.id for point in seen if point.id] == [row[0] for row in stored]
    running: dict[SeriesKey, tuple[int, Counts]] = {}
    for point, (_, end_ns, *counts) in zip([p for p in seen if p.id], stored, strict=True):
        last_ns, before = running.get(point.series, (point.start_ns, Counts()))
        come_to_ns = max(running_ns for running_ns, _ in running.values()) if running else 0
        assert point.delta == counts_of(tuple(counts))  # type: ignore[arg-type]
        assert point.total == added(before, point.delta)
        assert point.previous_ns == last_ns
        assert point.start_ns <= point.previous_ns < point.time_ns
        assert isinstance(end_ns, int)
        assert point.time_ns >= max(end_ns, last_ns + 1)
        assert point.time_ns in (end_ns, last_ns + STEP_NS, come_to_ns) or before.count == 0
        running[point.series] = (point.time_ns, point.total)
    samples = sum(total.count for key, (_, total) in running.items() if key.instrument is Instrument.DURATION)
    assert samples == len(events)


def test_items_are_the_same_until_the_receiver_has_them(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    storm = b"".join(line(1 + n / 1000, 2.5) for n in range(130))
    piece.commit(storm + fake_mark(NOON, "a mark") + line(30, 0.1) * 2, seal_s=20)
    for stream in KEPT:
        first = outbox.read(stream, 1000)
        piece.commit(line(31, 0.1), seal_s=20)
        assert first is not None
        assert outbox.read(stream, 1000) == first
        outbox.advance(first, len(first.items), NOON)
        assert outbox.read(stream, 1000) is None
        outbox.advance(first, len(first.items), NOON)  # reported twice, logged once
        assert outbox.read(stream, 1000) is None


def test_the_first_items_of_a_longer_batch_are_those_of_a_shorter_one(store: Store, outbox: Outbox) -> None:
    Piece(store).commit(b"".join(line(n, 0.6) for n in range(100)), seal_s=200)
    for stream in (Stream.INTERVALS, Stream.BREACHES):
        longer, shorter = outbox.read(stream, 9), outbox.read(stream, 4)
        assert longer is not None
        assert shorter is not None
        assert longer.items[:4] == shorter.items


def test_a_partly_accepted_batch_continues_after_that_part(store: Store, outbox: Outbox) -> None:
    Piece(store).commit(b"".join(line(n, 0.6) for n in range(10)))
    batch = outbox.read(Stream.BREACHES, 5)
    assert batch is not None
    outbox.advance(batch, 2, NOON)
    rest = outbox.read(Stream.BREACHES, 3)
    assert rest is not None
    assert rest.items == batch.items[2:]


def test_a_late_interval_is_moved_just_past_the_last_point_of_its_series(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1) + line(21, 0.1), seal_s=30)
    first = durations(deliver(outbox))
    piece.commit(line(2, 0.1, logged=40) + line(3, 0.1, logged=41), seal_s=40)
    piece.commit(line(12, 0.1, logged=42), seal_s=40)
    late = durations(outbox.read(Stream.INTERVALS, 1000))
    assert [(p.time_ns, p.previous_ns) for p in first] == [
        (NOON + 10 * SECOND, NOON),
        (NOON + 30 * SECOND, NOON + 10 * SECOND),
    ]
    last = NOON + 30 * SECOND
    assert [(p.time_ns, p.previous_ns, p.delta.count, p.total.count) for p in late] == [
        (last + STEP_NS, last, 2, 4),
        (last + 2 * STEP_NS, last + STEP_NS, 1, 5),
    ]
    assert {p.start_ns for p in first + late} == {NOON}


def test_lines_out_of_order_give_no_point_that_ends_before_its_series_begins(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(25, 0.1))
    piece.commit(line(12, 0.1, logged=26), seal_s=100)
    assert [(p.start_ns, p.previous_ns, p.time_ns) for p in durations(outbox.read(Stream.INTERVALS, 1000))] == [
        (NOON + 10 * SECOND, NOON + 10 * SECOND, NOON + 20 * SECOND),
        (NOON + 10 * SECOND, NOON + 20 * SECOND, NOON + 30 * SECOND),
    ]


def test_an_idle_series_is_repeated_at_the_closed_time(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1, key="a") + line(1, 0.1, key="b"), seal_s=10)
    deliver(outbox)
    piece.commit(line(61, 0.1, key="b"), seal_s=70)
    deliver(outbox)
    (repeat,) = durations(outbox.silent(MINUTE, 1000))
    assert repeat.series.attributes == (("fake.key", "a"), *ATTRIBUTES)
    assert (repeat.id, repeat.delta, repeat.total.count) == (0, Counts(), 1)
    assert (repeat.start_ns, repeat.previous_ns, repeat.time_ns) == (NOON, NOON + INTERVAL, NOON + 70 * SECOND)


def test_nothing_is_repeated_before_its_time_or_twice(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1), seal_s=10)
    deliver(outbox)
    piece.seal(69.999999999)
    assert outbox.silent(MINUTE, 1000) is None
    piece.seal(70)
    batch = outbox.silent(MINUTE, 1000)
    assert batch is not None
    assert outbox.silent(MINUTE, 1000) == batch
    outbox.advance(batch, len(batch.items), NOON)
    assert outbox.silent(MINUTE, 1000) is None
    assert rows(store.path, "SELECT delivered FROM exporter") == [(2,)]  # a repeated point is not an item


def test_repeats_do_not_count_as_exported(store: Store, outbox: Outbox) -> None:
    """Else an exporter of an idle log would never seem stuck, although its spans are."""
    piece = Piece(store)
    piece.commit(line(1, 0.1), seal_s=10)
    exported = "SELECT records FROM operation WHERE signal = 'metric_data_point'"
    first = deliver(outbox)
    assert first is not None
    assert rows(store.path, exported) == [(len(first.items),)]  # with the 0 of each series
    piece.seal(70)
    repeats = outbox.silent(MINUTE, 1000)
    assert repeats is not None
    outbox.advance(repeats, len(repeats.items), NOON)
    assert rows(store.path, exported) == [(len(first.items),)]
    piece.commit(line(71, 0.1), seal_s=80)
    assert (more := deliver(outbox)) is not None
    assert rows(store.path, exported) == [(len(first.items) + len(more.items),)]


def test_nothing_is_repeated_while_points_wait(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1, key="a"), seal_s=10)
    deliver(outbox)
    piece.commit(line(61, 0.1, key="b"), seal_s=70)
    assert outbox.silent(MINUTE, 1000) is None


def test_a_stream_waits_while_it_has_items_behind_the_cursor(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    assert outbox.waiting() == frozenset()
    piece.commit(line(1, 0.6), seal_s=10)
    assert outbox.waiting() == {Stream.INTERVALS, Stream.BREACHES}
    deliver(outbox)
    assert outbox.waiting() == {Stream.BREACHES}
    batch = outbox.read(Stream.BREACHES, 10)
    assert batch is not None
    outbox.advance(batch, 1, NOON)
    assert outbox.waiting() == frozenset()


def test_points_are_the_last_if_no_interval_waits_and_no_repeat_is_due(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1, key="a") + line(1, 0.1, key="b"), seal_s=10)
    deliver(outbox)
    assert outbox.silent(2 * MINUTE, 1000) is None
    for second, limit, expected in ((31, 1000, True), (61, 1, False), (91, 1000, True), (131, 1000, False)):
        piece.commit(line(second, 0.1, key="b"), seal_s=second + 9)
        while (batch := outbox.read(Stream.INTERVALS, limit)) is not None and batch.items[-1].id == 0:
            outbox.advance(batch, len(batch.items), NOON)
        assert outbox.is_last == expected
        deliver(outbox)
    assert len(durations(outbox.silent(2 * MINUTE, 1000))) == 1


def test_a_point_after_a_repeat_continues_from_it(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1), seal_s=10)
    deliver(outbox)
    piece.seal(100)
    repeat = outbox.silent(MINUTE, 1000)
    assert repeat is not None
    outbox.advance(repeat, len(repeat.items), NOON)
    piece.commit(line(95, 0.1, logged=101) + line(105, 0.1), seal_s=110)
    at, step = NOON + 100 * SECOND, STEP_NS
    assert [(p.previous_ns, p.time_ns, p.total.count) for p in durations(outbox.read(Stream.INTERVALS, 100))] == [
        (at, at + step, 2),
        (at + step, NOON + 110 * SECOND, 3),
    ]


def test_a_quarantined_item_stays_in_the_totals_and_is_recorded(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.6) + line(11, 0.6) + line(21, 0.6), seal_s=100)
    while (one := outbox.read(Stream.INTERVALS, 1)) is not None and not (one.items[0].id and durations(one)):
        outbox.advance(one, 1, NOON)
    assert one is not None
    before = rows(store.path, "SELECT delivered FROM exporter")
    outbox.set_aside(one, "too large", NOON + 5, held=True)
    (refused,) = durations(one)
    after = durations(outbox.read(Stream.INTERVALS, 1000))
    assert [p.total.count for p in after] == [2, 3]
    assert after[0].previous_ns == refused.time_ns
    kept = rows(store.path, "SELECT exporter, stream, item, about_ns, held, why, time_ns FROM refused")
    assert kept == [("fake", "intervals", refused.id, refused.time_ns, 1, "too large", NOON + 5)]
    assert rows(store.path, "SELECT delivered FROM exporter") == before
    assert rows(store.path, "SELECT last_error, last_error_ns FROM exporter") == [("too large", NOON + 5)]


def test_what_failed_last_is_kept_until_a_success(store: Store, outbox: Outbox) -> None:
    Piece(store).commit(line(1, 0.6))
    outbox.failed("connection refused", NOON)
    assert rows(store.path, "SELECT last_error, last_success_ns FROM exporter") == [("connection refused", None)]
    deliver(outbox, Stream.BREACHES)
    assert rows(store.path, "SELECT last_error, last_success_ns FROM exporter") == [(None, NOON)]


def test_a_new_exporter_begins_with_everything_and_has_a_cursor_of_its_own(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(1, 2.5) + line(30, 0.1), seal_s=40)
    first = {stream: deliver(outbox, stream) for stream in KEPT}
    assert outbox.pending() == 0
    with outbox_of(store.path, "late-comer") as other:
        assert other.pending() == sum(item.id > 0 for batch in first.values() if batch for item in batch.items)
        assert {stream: other.read(stream, 1000) for stream in KEPT} == first
        piece.commit(line(31, 0.6), seal_s=50)
        assert len(durations(outbox.read(Stream.INTERVALS, 1000))) == 1
        assert len(durations(other.read(Stream.INTERVALS, 1000))) == 3
        outbox.register(Stream, NOON)  # at the next start no series restarts
        assert len(durations(outbox.read(Stream.INTERVALS, 1000))) == 1


def test_an_episode_of_many_breaches_is_exported_in_parts_while_it_lasts(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(b"".join(line(1 + n / 100, 0.6) for n in range(300)))
    first = parts_of(outbox.read(Stream.PARTS, 10))
    assert outbox.read(Stream.EPISODES, 10) is None
    assert [(one.part.number, one.part.count, len(one.breaches)) for one in first] == [(1, 128, 128), (2, 128, 128)]
    piece.commit(line(60, 0.1) * 2)
    parts = parts_of(outbox.read(Stream.PARTS, 10))
    assert parts[:2] == first
    assert [(one.part.number, one.part.count) for one in parts[2:]] == [(3, 44)]
    assert [breach.id for one in parts for breach in one.breaches] == list(range(1, 301))
    batch = outbox.read(Stream.EPISODES, 10)
    assert batch is not None
    (record,) = batch.items
    assert isinstance(record, EpisodeRecord)
    assert (record.episode.count, record.parts, record.breaches) == (300, 3, ())
    assert {(one.trace_id, one.parent_id) for one in parts} == {(record.episode.trace_id, record.episode.span_id)}
    assert len({one.part.span_id for one in parts} | {record.episode.span_id}) == 4


def test_an_episode_of_few_breaches_has_them_in_its_record(store: Store, outbox: Outbox) -> None:
    Piece(store).commit(b"".join(line(1 + n / 100, 0.6) for n in range(128)) + line(60, 0.1) * 2)
    assert outbox.read(Stream.PARTS, 10) is None
    batch = outbox.read(Stream.EPISODES, 10)
    assert batch is not None
    (record,) = batch.items
    assert isinstance(record, EpisodeRecord)
    assert (record.parts, [breach.id for breach in record.breaches]) == (0, list(range(1, 129)))


def test_full_parts_and_episodes_come_in_batches_of_so_many_breaches_in_order_and_whole(
    store: Store, outbox: Outbox
) -> None:
    storms = [b"".join(line(20 * storm + n / 100, 0.6) for n in range(128 + storm % 2)) for storm in range(1, 41)]
    Piece(store).commit(b"".join(storms) + line(1000, 0.1) * 2)
    numbers = {Stream.EPISODES: 40, Stream.PARTS: 40}
    for stream, number in numbers.items():
        told = []
        while batch := outbox.read(stream, 1000):
            records = [item for item in batch.items if isinstance(item, EpisodeRecord | PartRecord)]
            assert 0 < sum(len(record.breaches) for record in records) <= BATCH_EVENTS or stream is Stream.EPISODES
            told += [record.id for record in records]
            assert outbox.is_last == (len(told) == number)
            outbox.advance(batch, len(batch.items), NOON)
        assert told == list(range(1, number + 1))


def test_an_exporter_without_parts_gets_the_breaches_of_the_first_one(store: Store) -> None:
    with outbox_of(store.path, "other") as other:
        other.register([Stream.EPISODES], NOON)
        Piece(store).commit(b"".join(line(1 + n / 100, 0.6) for n in range(200)) + line(60, 0.1) * 2)
        batch = other.read(Stream.EPISODES, 10)
        assert batch is not None
        (record,) = batch.items
        assert isinstance(record, EpisodeRecord)
        assert (record.parts, [breach.id for breach in record.breaches]) == (2, list(range(1, 129)))


def test_a_copy_of_the_log_adds_no_breach_to_a_part(store: Store, outbox: Outbox) -> None:
    storm = b"".join(line(1 + n / 100, 0.6) for n in range(200)) + line(60, 0.1) * 2
    for live in (LIVE, "/logs/copy.log"):
        Piece(store, live=live).commit(storm)
    parts = parts_of(outbox.read(Stream.PARTS, 10))
    assert [len(one.breaches) for one in parts] == [128, 72]
    assert {breach.live for one in parts for breach in one.breaches} == {LIVE}


def parts_of(batch: ExportBatch | None) -> list[PartRecord]:
    assert batch is not None
    return [item for item in batch.items if isinstance(item, PartRecord)]


def test_a_breach_names_where_it_was_read_and_the_span_of_its_episode(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1) + line(2, 2.5, cause="read", key="a"))
    batch = outbox.read(Stream.BREACHES, 10)
    assert batch is not None
    assert piece.open.current is not None
    assert batch.items == (
        BreachRecord(
            id=1,
            source=piece.info,
            live=LIVE,
            path=LIVE,
            offset=len(line(1, 0.1)),
            uid=piece.store._db.execute("SELECT uid FROM breach").fetchone()[0],
            time_ns=NOON + 2 * SECOND,
            duration_ns=2_500_000_000,
            severity=Severity.STALL,
            cause="read",
            stage="work",
            attributes=(("fake.key", "a"), *ATTRIBUTES),
            trace_id=piece.open.current.trace_id,
            span_id=piece.open.current.span_id,
        ),
    )


def test_other_bounds_are_another_series_with_totals_of_its_own(store: Store, outbox: Outbox) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1), seal_s=10)
    store._db.execute("UPDATE series SET bounds = '[7]'")  # as another threshold would have made it
    store.series.forget()
    piece.commit(line(2, 0.1), seal_s=20)
    first, second = durations(outbox.read(Stream.INTERVALS, 1000))
    assert (first.total.count, second.total.count, first.series.bounds_ns) == (1, 1, (7,))


def test_any_number_of_series_may_be_known_to_a_receiver(store: Store, outbox: Outbox) -> None:
    for number in range(40):
        Piece(store, source=f"source-{number}").commit(line(1, 0.1), seal_s=10)
    if sys.version_info >= (3, 11):  # as if they were 33,000, more than SQLite takes as parameters
        outbox._db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 20)
    batch = outbox.read(Stream.INTERVALS, 1000)
    assert len(durations(batch)) == 40
    deliver(outbox)
    assert {point.source.name for point in outbox.told()} == {f"source-{number}" for number in range(40)}
    assert outbox.silent(0, 1000) is not None


def test_an_idle_source_that_starts_again_does_not_make_others_read_their_totals_for_each_batch(
    store: Store, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    Piece(store, source="idle", live="/logs/idle.log").commit(line(1, 0.1), seal_s=10)
    piece = Piece(store)
    piece.commit(line(1, 0.1), seal_s=10)
    deliver(outbox)
    outbox.register([Stream.EPISODES], NOON)
    outbox.register(Stream, NOON)
    piece.commit(line(2001, 0.1), seal_s=2010)
    deliver(outbox)
    assert sorted(rows(store.path, "SELECT skip_ns > 0 FROM sent")) == [(0,), (1,)]
    for second in range(2011, 2061, 10):
        piece.commit(line(second, 0.1), seal_s=second + 10)
    load = Mock(side_effect=outbox._points._load)
    monkeypatch.setattr(outbox._points, "_load", load)
    batches = 0
    while (batch := outbox.read(Stream.INTERVALS, 1)) is not None:
        outbox.advance(batch, len(batch.items), NOON)
        batches += 1
    assert batches >= 5
    assert load.call_count <= 1
