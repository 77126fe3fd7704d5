"""Maintenance over real stores: answers and totals are unchanged, however data is merged, dropped or killed."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_logtail import query
from otel_logtail.counts import add
from otel_logtail.errors import StoreError
from otel_logtail.model import Counts, Instrument, Point, SeriesKey, Stream
from otel_logtail.store.health import health, pending, size_on_disk
from otel_logtail.store.maintenance import EVERY_S, FORGOTTEN_NS, Limits
from otel_logtail.store.maintenance.size import EVERY_S as SIZE_EVERY_S
from otel_logtail.store.maintenance.steps import Tuning
from otel_logtail.store.rows import counts_of
from otel_logtail.store.streams import TABLES
from otel_logtail.store.writer import Store
from tests.support.examples import examples
from tests.support.lives import (
    DAY,
    HOUR,
    KEPT,
    MINUTE,
    NO_LIMITS,
    PAST,
    Life,
    deliver,
    living,
    ns,
    outbox_of,
    points_of,
)
from tests.support.memory import place
from tests.support.mortal import Killed, MortalConnection
from tests.support.pieces import NOON, SECOND, Piece, line, opened, rows, use_connection

SLOW = settings(max_examples=examples(12, share=20), deadline=None, suppress_health_check=[HealthCheck.too_slow])


FILE_ROW = (
    "INSERT INTO file (id, source, live, path, device, inode, offset, size, head_length, head_digest, anchor_length,"
    " anchor_digest, done, gone_ns)"
)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with living(tmp_path) as life:
        yield life


def answers(path: Path, *ranges: tuple[int | None, int | None]) -> list[object]:
    """Return the answers of `query summary`, `stages`, `samples` and `episodes` for everything and for these ranges."""
    with query.Reader.open(path) as reader:
        return [
            (
                query.summary(query.Reader(reader.conn, since_ns=since, until_ns=until)),
                query.stages(query.Reader(reader.conn, since_ns=since, until_ns=until)),
                list(query.samples(query.Reader(reader.conn, since_ns=since, until_ns=until))),
                list(query.episodes(query.Reader(reader.conn, since_ns=since, until_ns=until))),
            )
            for since, until in ((None, None), *ranges)
        ]


def positions(path: Path) -> dict[str, int]:
    return {str(stream): int(str(at)) for stream, at in rows(path, "SELECT stream, position FROM cursor")}


def stream_rows(path: Path, above: dict[str, int]) -> list[object]:
    """The streams' rows with ids above a cursor's positions, as they are."""
    return [
        rows(path, f"SELECT * FROM {TABLES[Stream(stream)].names[0]} WHERE id > {position} ORDER BY id")
        for stream, position in above.items()
    ]


SAMPLES = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 40 * MINUTE), st.integers(0, 40 * HOUR)),
        st.sampled_from([0.001, 0.03, 0.6, 3.0]),
        st.sampled_from(["", "a"]),
    ),
    min_size=1,
    max_size=40,
)
MINUTES = st.one_of(st.none(), st.integers(-1, 41 * 60).map(lambda minute: ns(minute * MINUTE)))


@SLOW
@given(SAMPLES, st.tuples(MINUTES, MINUTES), st.data())
def test_merging_and_compaction_change_no_answer_and_touch_nothing_that_an_exporter_still_has_to_get(
    samples: list[tuple[int, float, str]], span: tuple[int | None, int | None], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory(dir=place()) as folder, living(folder) as life, outbox_of(life) as outbox:
        for second, duration_s, key in samples:  # in any order: some are late
            seal = data.draw(st.one_of(st.none(), st.just(second)))
            life.say((second, duration_s), seal=seal, key=key)
            if data.draw(st.integers(0, 9)) == 0:
                life.keep_up(exporters=["fake"])
        life.say((60 * HOUR, 0.001), seal=60 * HOUR + 30)  # time passes: the others are old
        for stream in KEPT:
            batch = outbox.read(stream, 1000)
            if batch is not None:
                outbox.advance(batch, data.draw(st.integers(0, len(batch.items))), NOON)
        above = positions(life.path)
        before, waiting = answers(life.path, span), stream_rows(life.path, above)
        highest = rows(life.path, "SELECT name, seq FROM sqlite_sequence ORDER BY name")

        life.keep_up(exporters=["fake"])

        assert answers(life.path, span) == before
        assert stream_rows(life.path, above) == waiting
        assert positions(life.path) == above
        assert rows(life.path, "SELECT name, seq FROM sqlite_sequence ORDER BY name") == highest
        deliver(outbox)
        life.keep_up(exporters=["fake"])
        assert answers(life.path, span) == before
        assert life.count("dropped") == 0


def test_delivered_intervals_become_minutes_after_an_hour_and_hours_after_a_day(life: Life) -> None:
    for minute in range(0, 48 * 60, 10):
        life.say((minute * MINUTE, 0.001), (minute * MINUTE + 30, 0.001), seal=minute * MINUTE)
    life.say((48 * HOUR, 0.001), seal=48 * HOUR - 1)
    before = answers(life.path)
    highest = rows(life.path, "SELECT max(id) FROM interval")
    life.keep_up()
    lengths: dict[int, set[int]] = {}
    for start_ns, end_ns in rows(life.path, "SELECT start_ns, end_ns FROM interval"):
        lengths.setdefault((int(str(end_ns)) - int(str(start_ns))) // SECOND, set()).add(int(str(end_ns)))
    assert set(lengths) == {10, MINUTE, HOUR}
    assert max(lengths[HOUR]) == ns(24 * HOUR)
    assert max(lengths[MINUTE]) == ns(47 * HOUR - 9 * MINUTE)
    assert min(lengths[10]) == ns(47 * HOUR + 10)
    assert len(lengths[HOUR]) == 24
    assert rows(life.path, "SELECT max(id) FROM interval") == highest
    assert answers(life.path) == before


def test_a_log_that_is_found_late_is_merged_too(life: Life) -> None:
    for minute in range(120):
        life.say((minute * MINUTE, 0.001), seal=minute * MINUTE)
    life.say((72 * HOUR, 0.001), seal=71 * HOUR)
    life.keep_up()
    merged = life.count("interval")
    life.say(*((minute * MINUTE + 25, 0.001) for minute in range(120)), seal=71 * HOUR)
    before = answers(life.path)
    assert life.count("interval") > 2 * merged
    life.keep_up()
    assert life.count("interval") == 2 * merged  # of each hour and series one more row
    assert answers(life.path) == before


def test_small_blocks_are_put_together_and_samples_stay_as_they_were(life: Life) -> None:
    for second in range(600):
        life.say((second, 0.001 + second / 1e6))
    life.say((HOUR, 0.001))
    with query.Reader.open(life.path) as reader:
        before = list(query.samples(reader))
        newest = list(query.samples(reader, limit=7))
        middle = list(query.samples(query.Reader(reader.conn, since_ns=ns(100), until_ns=ns(200))))
        life.keep_up()
        assert list(query.samples(reader)) == before
        assert list(query.samples(reader, limit=7)) == newest
        assert list(query.samples(query.Reader(reader.conn, since_ns=ns(100), until_ns=ns(200)))) == middle
    assert life.count("block") == 601  # too few yet to be worth it
    life.say((2 * HOUR, 0.001))
    life.keep_up()
    assert life.count("block") == 3
    with query.Reader.open(life.path) as reader:
        assert list(query.samples(reader))[:-1] == before
        assert list(query.samples(query.Reader(reader.conn, since_ns=ns(100), until_ns=ns(200)))) == middle


def test_a_block_that_is_damaged_where_sqlite_does_not_see_it_stays_and_holds_up_nothing(life: Life) -> None:
    for second in range(1200):
        life.say((second, 0.001), seal=second)
    with closing(sqlite3.connect(life.path)) as conn, conn:
        conn.execute("UPDATE block SET samples = '[[0,' WHERE id = (SELECT id FROM block LIMIT 1 OFFSET 5)")
        conn.execute("UPDATE interval SET exponential = '{' WHERE id = 5")
    life.say((30 * HOUR, 0.001), seal=29 * HOUR)
    life.keep_up()
    assert rows(life.path, "SELECT count FROM block ORDER BY count") == [(1,), (1,), (199,), (1000,)]
    assert rows(life.path, "SELECT end_ns - start_ns FROM interval WHERE id = 5") == [(10 * SECOND,)]


# --- retention ------------------------------------------------------------------------------------------------------


def test_what_is_older_than_the_retention_leaves_counted_from_the_newest_sample_and_not_from_the_clock(
    life: Life,
) -> None:
    with outbox_of(life) as outbox:
        for day in range(40):
            life.say((day * DAY + 50, 1.0), *[(day * DAY + 60, 0.001)] * 2, seal=day * DAY + 80)
        deliver(outbox)
        life.keep_up(Limits(retention_ns=10 * DAY * SECOND), ["fake"])
        with query.Reader.open(life.path) as reader:
            days = {(sample.time_unix_nano - ns(0)) // SECOND // DAY for sample in query.samples(reader)}
            assert days == set(range(29, 40))
            assert query.summary(reader).episodes == 10
        # to the second: of the 29th day the sample that is ten days old to the second is there, the one before is not
        assert life.count("breach") == 10
        assert life.count("dropped") == 0


def test_what_an_exporter_that_is_configured_has_still_to_get_outlives_the_retention(life: Life) -> None:
    with outbox_of(life, seen_ns=0) as outbox:  # however long ago it was seen
        for day in range(10):
            life.say((day * DAY, 1.0), seal=day * DAY + 10)
        life.say(*[(100 * DAY, 0.001)] * 2, seal=100 * DAY - 1)
        life.keep_up(Limits(retention_ns=DAY * SECOND), ["fake"])
        assert life.count("block") == 1
        assert (life.count("episode"), life.count("breach"), life.count("dropped")) == (10, 10, 0)
        deliver(outbox, Stream.BREACHES)
        life.keep_up(Limits(retention_ns=DAY * SECOND), ["fake"])
        assert life.count("breach") == 10  # the episodes hold them
        batch = outbox.read(Stream.EPISODES, 100)
        assert batch is not None
        assert [len(item.breaches) for item in batch.items] == [1] * 10  # type: ignore[union-attr]
        assert sum(p.delta.count for p in deliver(outbox) if p.series.instrument is Instrument.DURATION) == 10
        life.keep_up(Limits(retention_ns=DAY * SECOND), ["fake"])
        assert (life.count("episode"), life.count("breach"), life.count("interval")) == (0, 0, 0)


def test_breaches_of_an_episode_that_is_still_open_outlive_the_retention(life: Life) -> None:
    with outbox_of(life) as outbox:
        life.say((0, 1.0))
        life.say((2, 1.0), (2.1, 1.0))
        other = Piece(life.store, live="/logs/fake-1.log")
        other.commit(line(PAST + 100 * DAY, 0.001) * 2, PAST + 100 * DAY)
        deliver(outbox)
        life.keep_up(Limits(retention_ns=DAY * SECOND), ["fake"])
        assert (life.count("open_episode"), life.count("breach")) == (1, 3)
        life.say(*[(10, 0.001)] * 2)
        batch = outbox.read(Stream.EPISODES, 100)
        assert batch is not None
        assert [len(item.breaches) for item in batch.items] == [3]  # type: ignore[union-attr]
        deliver(outbox)
        life.keep_up(Limits(retention_ns=DAY * SECOND), ["fake"])
        assert (life.count("episode"), life.count("breach")) == (0, 0)


def test_an_exporter_that_was_not_seen_for_a_week_holds_up_nothing_and_what_it_lacks_is_counted(life: Life) -> None:
    now_ns = time.time_ns()
    with (
        outbox_of(life, "gone", seen_ns=now_ns - FORGOTTEN_NS - SECOND),
        outbox_of(life, "away", seen_ns=now_ns - FORGOTTEN_NS + HOUR * SECOND) as away,
    ):
        for minute in range(120):
            life.say((minute * MINUTE, 1.0), (minute * MINUTE + 10, 0.001), seal=minute * MINUTE + 20)
        life.say(*[(50 * HOUR, 0.001)] * 2, seal=49 * HOUR)
        limits = Limits(retention_ns=10 * HOUR * SECOND)
        rows_before = [life.count(table) for table in ("interval", "episode", "breach")]

        assert life.keep_up(limits).dropped == ()  # the missing exporter may return: it gets all
        assert [life.count(table) for table in ("interval", "episode", "breach")] == rows_before

        deliver(away)
        dropped = life.keep_up(limits).dropped
        assert {drop.exporter for drop in dropped} == {"gone"}
        assert {drop.stream.value: drop.count for drop in dropped} == dict(
            zip(("intervals", "episodes", "breaches"), rows_before, strict=True)
        )
        assert {drop.from_ns for drop in dropped} <= {ns(-1), ns(0)}
        assert {drop.to_ns for drop in dropped} == {ns(119 * MINUTE), ns(119 * MINUTE + 20)}
        assert [life.count(table) for table in ("interval", "episode", "breach")] == [0, 0, 0]
        with query.Reader.open(life.path) as reader:
            told = query.status(reader)
        shown = {exporter["name"]: exporter for exporter in cast(list[dict[str, object]], told["exporters"])}
        assert shown["away"]["dropped"] == []
        assert [(d["stream"], d["count"]) for d in cast(list[dict[str, object]], shown["gone"]["dropped"])] == sorted(
            (drop.stream.value, drop.count) for drop in dropped
        )
        assert cast(dict[str, int], told["db"])["dropped"] == sum(rows_before)

    with outbox_of(life, "gone") as gone:  # it returns: its first point has the complete sum
        life.say((51 * HOUR, 0.001), seal=52 * HOUR)
        totals = {point.series: point.total.count for point in deliver(gone)}
        assert [n for series, n in totals.items() if series.instrument is Instrument.DURATION] == [243]


def test_a_stream_that_an_exporter_no_longer_sends_does_not_wait_for_it(life: Life) -> None:
    with outbox_of(life) as outbox:
        life.say((0, 1.0), (20, 0.001), seal=30)
        deliver(outbox, Stream.INTERVALS, Stream.EPISODES)
        assert outbox.pending() == 1
        outbox.register([Stream.INTERVALS, Stream.EPISODES], NOON)
        assert outbox.pending() == 0
        assert outbox.read(Stream.BREACHES, 10) is None
        life.say((40, 0.001), seal=60)
        assert [point.total.count for point in deliver(outbox, Stream.INTERVALS)][-1] == 3
        outbox.register([Stream.EPISODES], NOON)
        outbox.register(KEPT, NOON)  # its series start again, without sent data, and count nothing twice
        assert deliver(outbox, Stream.INTERVALS) == []
        life.say((70, 0.001), seal=90)
        assert max(point.total.count for point in deliver(outbox, Stream.INTERVALS)) == 1


def test_files_are_forgotten_when_they_are_gone_for_long_and_nothing_is_from_them(life: Life) -> None:
    life.say((0, 1.0), (20, 0.001), seal=30)
    with closing(sqlite3.connect(life.path)) as conn, conn:
        conn.execute("UPDATE file SET done = 1")
    life.say((40 * DAY, 0.001), seal=39 * DAY)
    limits = Limits(retention_ns=30 * DAY * SECOND)
    done = life.store.maintenance(limits, ())
    while done.step(0.0, lambda: [life.piece.file.id]):
        pass
    assert life.count("file WHERE gone_ns > 0") == 1
    life.keep_up(limits)  # no query needed it: the old value stays
    assert life.count("file WHERE gone_ns > 0") == 1
    with closing(sqlite3.connect(life.path)) as conn, conn:
        conn.execute("UPDATE file SET gone_ns = 1, done = 1")
    life.keep_up(limits)
    assert life.count("file") == 1  # the last sample is from it
    life.store.source("other", "fake", "e", threshold_ns=1, stall_ns=2, quiet_ns=3)
    with closing(sqlite3.connect(life.path)) as conn, conn:
        conn.execute(f"{FILE_ROW} SELECT 99, 2, 'x', 'x', 1, 2, 0, 0, 0, x'', 0, x'', 1, 1")
    done = life.store.maintenance(limits, ())
    while done.step(0.0, list):
        pass
    assert life.count("file WHERE gone_ns > 0") == 0  # it is there again
    with closing(sqlite3.connect(life.path)) as conn, conn:
        conn.execute("UPDATE file SET gone_ns = 1 WHERE id = 99")
    life.keep_up(limits)
    assert rows(life.path, "SELECT id FROM file") == [(life.piece.file.id,)]


def add_gone_file(life: Life, id_: int, gone_ns: int) -> None:
    with closing(sqlite3.connect(life.path)) as conn, conn:
        conn.execute(f"{FILE_ROW} SELECT ?, 1, 'x', 'x', 1, 2, 0, 0, 0, x'', 0, x'', 1, ?", (id_, gone_ns))


def test_any_number_of_files_may_be_gone(life: Life) -> None:
    add_gone_file(life, 299_999, 0)
    done = life.store.maintenance(Limits(retention_ns=DAY * SECOND), ())
    while done.step(0.0, lambda: range(2, 300_000)):  # beyond what any SQLite takes as parameters
        pass
    assert rows(life.path, "SELECT id FROM file WHERE gone_ns > 0") == [(299_999,)]
    while done.step(EVERY_S, lambda: range(2, 299_999)):
        pass
    assert life.count("file WHERE gone_ns > 0") == 0


@pytest.mark.parametrize("samples", [0, 1])
@pytest.mark.parametrize(("retention_ns", "kept_ns"), [(None, FORGOTTEN_NS), (DAY * SECOND, DAY * SECOND)])
def test_deleted_files_are_forgotten_with_or_without_samples_and_returned_to_the_caller(
    life: Life, samples: int, retention_ns: int | None, kept_ns: int
) -> None:
    life.say(*[(0, 0.001)] * samples)
    add_gone_file(life, 98, time.time_ns() - kept_ns - MINUTE * SECOND)
    add_gone_file(life, 99, time.time_ns() - kept_ns + MINUTE * SECOND)
    done = life.keep_up(Limits(retention_ns=retention_ns))
    assert rows(life.path, "SELECT id FROM file ORDER BY id") == [(life.piece.file.id,), (99,)]
    assert done.forgotten == (98,)


def test_many_files_are_forgotten_in_several_small_transactions(life: Life) -> None:
    with closing(sqlite3.connect(life.path)) as conn, conn:
        conn.executemany(
            f"{FILE_ROW} SELECT ?, 1, 'x', 'x', 1, 2, 0, 0, 0, x'', 0, x'', 1, 1",
            [(id_,) for id_ in range(100, 5100)],
        )
    keeping = life.store.maintenance(NO_LIMITS, ())
    forgotten = []
    while (done := keeping.step(0.0)) is not None:
        forgotten.append(done.forgotten)
    assert max(map(len, forgotten)) == 2000
    assert [id_ for ids in forgotten for id_ in ids] == list(range(100, 5100))


# --- totals through drops -------------------------------------------------------------------------------------------


class Receiver:
    """Check the points of a receiver: each series' times grow, and the last total is complete."""

    def __init__(self) -> None:
        self.last: dict[SeriesKey, tuple[int, Counts]] = {}
        self.ids: set[int] = set()
        self.ever: dict[tuple[SeriesKey, int], Point] = {}

    def take(self, points: Iterable[Point]) -> None:
        for point in points:
            time_ns, before = self.last.get(point.series, (0, Counts()))
            known = self.ever.setdefault((point.series, point.time_ns), point)
            if known is not point:  # it comes again: the very same
                assert (point.start_ns, point.total) == (known.start_ns, known.total)
                continue
            assert point.time_ns >= time_ns
            assert point.total.count >= before.count
            self.last[point.series] = (point.time_ns, point.total)
            self.ids.add(point.id)


def sealed(path: Path) -> dict[int, dict[int, tuple[int, Counts]]]:
    """Return every closed row: id -> series and counts."""
    columns = "count, sum_ns, min_ns, max_ns, explicit, exponential, zeros"
    found: dict[int, dict[int, tuple[int, Counts]]] = {}
    for id_, series, *counts in rows(path, f"SELECT id, series, {columns} FROM interval"):
        found[int(str(id_))] = {int(str(series)): (0, counts_of(tuple(counts)))}  # type: ignore[arg-type]
    return found


@SLOW
@given(st.lists(st.sampled_from(["say", "say", "late", "read", "advance", "drop", "silent"]), max_size=40), st.data())
def test_sums_stay_true_through_drops_also_between_reading_and_advancing(ops: list[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory(dir=place()) as folder, living(folder) as life, outbox_of(life) as outbox:
        ever: dict[int, dict[int, tuple[int, Counts]]] = {}
        receiver, now, batch = Receiver(), 0, None
        for op in ops:
            if op in ("say", "late"):
                now += data.draw(st.integers(1, 30))
                second = now if op == "say" else max(0, now - 25)
                life.say((second, data.draw(st.sampled_from([0.001, 0.6]))), seal=now - 5)
                ever |= sealed(life.path)
            elif op in ("read", "silent"):
                limit = data.draw(st.integers(1, 5))
                batch = outbox.read(Stream.INTERVALS, limit) if op == "read" else outbox.silent(10 * SECOND, limit)
            elif op == "advance" and batch is not None:
                count = data.draw(st.integers(0, len(batch.items)))
                receiver.take(points_of(batch)[:count])  # the receiver has them, although the store has not recorded it
                outbox.advance(batch, count, NOON)
                batch = None
            elif op == "drop":
                dropping = life.store.maintenance(Limits(max_bytes=1), ["fake"])
                for _ in range(data.draw(st.integers(1, 12))):
                    dropping.step(0.0)
        life.say((now + 100, 0.001), seal=now + 200)
        ever |= sealed(life.path)
        receiver.take(deliver(outbox, Stream.INTERVALS, limit=3))
        while (batch := outbox.silent(1, 3)) is not None:
            receiver.take(points_of(batch))
            outbox.advance(batch, len(batch.items), NOON)
        truth: dict[int, Counts] = {}
        for row in ever.values():
            for series, (_, counts) in row.items():
                add(truth.setdefault(series, Counts()), counts)
        assert sorted(map(repr, truth.values())) == sorted(repr(total) for _, total in receiver.last.values())
        # no deletion is silent
        dropped = rows(life.path, "SELECT ifnull(sum(count), 0) FROM dropped WHERE stream = 'intervals'")
        assert len(ever.keys() - receiver.ids) <= int(str(dropped[0][0])) <= len(ever)


def drop_all(life: Life) -> None:
    life.keep_up(Limits(max_bytes=1), ["fake"])
    assert life.count("interval") == 0


def test_a_drop_between_reading_and_advancing_leaves_the_totals_that_it_made(life: Life) -> None:
    with outbox_of(life) as outbox:
        for second in range(5, 55, 10):
            life.say((second, 0.001), seal=second)
        life.say(seal=60)
        batch = outbox.read(Stream.INTERVALS, 4)
        assert batch is not None
        drop_all(life)
        outbox.advance(batch, 4, NOON)
        life.say((65, 0.001), seal=70)
        assert {p.series.instrument: p.total.count for p in deliver(outbox)}[Instrument.DURATION] == 6
        assert positions(life.path)["intervals"] == max(sealed(life.path))


def test_after_a_drop_no_time_is_sent_again_with_another_total(life: Life) -> None:
    with outbox_of(life) as outbox:
        receiver = Receiver()
        for second in (15, 5):
            life.say((second, 0.001), seal=20)
        batch = outbox.read(Stream.INTERVALS, 10)
        assert batch is not None
        receiver.take(points_of(batch))  # it has them, and the answer gets lost
        drop_all(life)
        life.say((5, 0.001), seal=20)
        receiver.take(deliver(outbox))
        assert {series.instrument: total.count for series, (_, total) in receiver.last.items()} == {
            Instrument.DURATION: 3,
            Instrument.STAGE: 3,
        }


def test_dropped_counts_are_owed_until_the_receiver_has_them_after_the_0_of_their_series(life: Life) -> None:
    with outbox_of(life) as outbox:
        assert outbox.read(Stream.INTERVALS, 10) is None
        life.say((5, 0.001), seal=100)
        drop_all(life)
        batch = outbox.read(Stream.INTERVALS, 10)
        assert batch is not None
        assert [(p.id, p.total.count, p.delta.count) for p in points_of(batch)] == [(0, 0, 0)] * 2 + [(0, 1, 1)] * 2
        outbox.advance(batch, 3, NOON)
        rest = outbox.read(Stream.INTERVALS, 10)
        assert rest is not None
        assert rest.items == batch.items[3:]
        outbox.advance(rest, 1, NOON)
        assert outbox.read(Stream.INTERVALS, 10) is None
        assert life.count("owed") == 0


# --- the size bound -------------------------------------------------------------------------------------------------

MIB = 1 << 20


def fill(life: Life, begin: int, seconds: int) -> None:
    """A sample each 10 ms, a breach each 10 s."""
    for second in range(begin, begin + seconds, 100):
        samples = [(second + n / 100, 1.0 if n % 1000 == 0 else 0.001) for n in range(10_000)]
        life.say(*samples, seal=second + 90)


def file_bytes(life: Life) -> int:
    with closing(sqlite3.connect(life.path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return life.path.stat().st_size


def test_the_size_bound_bounds_the_file_and_the_newest_stays(life: Life) -> None:
    with outbox_of(life) as outbox:
        fill(life, 0, 800)
        deliver(outbox)
        assert file_bytes(life) > 3 * MIB
        done = life.keep_up(Limits(max_bytes=2 * MIB), ["fake"])
        assert MIB < file_bytes(life) <= 2 * MIB
        assert done.dropped == ()
        with query.Reader.open(life.path) as reader:
            found = [sample.time_unix_nano for sample in query.samples(reader)]
        assert found == [ns(800) - 10_000_000 * n for n in range(len(found), 0, -1)]


def test_with_a_dead_exporter_the_size_still_holds_and_what_it_lacks_is_counted_and_shown(life: Life) -> None:
    with outbox_of(life):
        for second in range(0, 40_000, 10):
            life.say((second, 1.0), (second + 5, 0.001), seal=second)
        breaches, intervals = life.count("breach"), life.count("interval")
        most = file_bytes(life) * 4 // 5
        done = life.keep_up(Limits(max_bytes=most * 8 // 7), ["fake"])  # an eighth of it is for the log of changes
        assert file_bytes(life) <= most
        by_stream = {drop.stream: drop for drop in done.dropped}
        assert len(by_stream) == len(done.dropped)
        assert by_stream[Stream.BREACHES].count == breaches - life.count("breach") > 0
        assert by_stream[Stream.INTERVALS].count == intervals - life.count("interval") > 0
        assert by_stream[Stream.INTERVALS].from_ns == ns(0)
        last = by_stream[Stream.BREACHES].to_ns
        assert rows(life.path, "SELECT min(time_ns) FROM breach") == [(last + 10 * SECOND,)]
        with query.Reader.open(life.path) as reader:
            numbers = health(reader.conn, life.path, time.time_ns()).values
        told = {dict(v.attributes)["stream"]: v.value for v in numbers if v.name == "otel_logtail.dropped"}
        assert told == {drop.stream.value: drop.count for drop in done.dropped}


def test_the_size_is_checked_every_second_because_a_backlog_brings_much_in_a_minute(life: Life) -> None:
    keeping = life.store.maintenance(Limits(max_bytes=2 * MIB), ())
    now_s = 1000.0
    while keeping.step(now_s):
        pass
    fill(life, 0, 800)
    assert now_s + SIZE_EVERY_S < now_s + EVERY_S
    assert not keeping.step(now_s + SIZE_EVERY_S / 2)
    steps = 0
    while keeping.step(now_s + SIZE_EVERY_S):
        steps += 1
    assert steps > 1
    assert file_bytes(life) <= 2 * MIB
    assert not keeping.step(now_s + 2 * SIZE_EVERY_S)


def test_pages_are_given_back_many_at_a_time(life: Life) -> None:
    fill(life, 0, 800)
    with closing(sqlite3.connect(life.path)) as conn, conn:
        conn.execute("DELETE FROM block WHERE id <> (SELECT max(id) FROM block)")
    free = int(str(rows(life.path, "PRAGMA freelist_count")[0][0]))
    assert free > 500
    keeping = life.store.maintenance(NO_LIMITS, ())
    steps = 0
    while keeping.step(0.0):
        steps += 1
    assert int(str(rows(life.path, "PRAGMA freelist_count")[0][0])) <= 64
    assert steps < free / 8


def test_a_store_without_deletable_data_is_not_endless_work(life: Life) -> None:
    keeping = life.store.maintenance(Limits(max_bytes=1), ())
    steps = 0
    while keeping.step(0.0):
        steps += 1
        assert steps < 10
    assert not keeping.is_failing


def test_one_step_is_a_small_transaction_however_much_there_is_to_do(life: Life) -> None:
    fill(life, 0, 2000)
    now_ns = time.time_ns()
    with outbox_of(life, "gone", seen_ns=now_ns - 2 * FORGOTTEN_NS):
        for second in range(3000, 18_000, 10):
            life.say((second, 1.0), (second + 5, 0.001), seal=second)
        life.say((40 * DAY, 0.001), seal=39 * DAY)
        keeping = life.store.maintenance(Limits(DAY * SECOND, MIB), ())
        changes = []
        before = life.store._db.total_changes
        while keeping.step(0.0):
            after = life.store._db.total_changes
            changes.append(after - before)
            before = after
        assert sum(changes) > 5_000
        assert max(changes) <= 2100


# --- failing and dying ----------------------------------------------------------------------------------------------


def test_a_failure_is_reported_and_retried_later(life: Life) -> None:
    life.say((0, 0.001))
    keeping = life.store.maintenance(NO_LIMITS, ())
    with closing(sqlite3.connect(life.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        life.store._db.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(StoreError):
            keeping.step(0.0)
        assert keeping.is_failing
    assert not keeping.step(EVERY_S / 2)
    assert keeping.is_failing
    while keeping.step(EVERY_S):
        pass
    assert not keeping.is_failing


def make_old_store(folder: Path) -> tuple[Path, list[tuple[int, int]]]:
    """Create work of each kind: merging, compaction, retention, an exporter that is no longer configured."""
    with living(folder) as life:
        with outbox_of(life, "fake") as outbox, outbox_of(life, "gone", seen_ns=1):
            for minute in range(0, 40 * 60, 37):
                life.say((minute * MINUTE, 1.0), (minute * MINUTE + 30, 0.001), seal=minute * MINUTE)
            deliver(outbox)
            life.say((48 * HOUR, 0.001), seal=47 * HOUR)
        return life.path, [(ns(20 * HOUR), ns(30 * HOUR)), (ns(31 * HOUR), ns(49 * HOUR))]


def test_killed_before_any_statement_of_maintenance_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    tuning = Tuning(rows=40, block=20)  # many small transactions: many moments to die in
    made, ranges = make_old_store(tmp_path)
    limits = Limits(retention_ns=30 * HOUR * SECOND)

    def outcome(path: Path) -> tuple[object, ...]:
        recent = answers(path, *ranges)[1:]
        tables = ("interval", "episode", "breach", "cursor", "total", "refused")
        contents = [rows(path, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables]
        return recent, contents, rows(path, "SELECT exporter, stream, count, from_ns, to_ns FROM dropped")

    kept = answers(made, *ranges)[1:]
    whole = tmp_path / "whole.db"
    shutil.copy(made, whole)
    with opened(whole) as store:
        store.maintenance(limits, ["fake"], tuning).run()
    expected = outcome(whole)
    assert expected[0] == kept
    statements, done = 0, False
    while not done:
        path = tmp_path / "killed.db"
        shutil.copy(made, path)
        store = Store.open(path)
        use_connection(store, MortalConnection(store._db, statements))
        try:
            store.maintenance(limits, ["fake"], tuning).run()
            done = True
        except Killed:
            pass
        store._file.connection.close()  # the kernel's part of a kill: uncommitted data is lost
        store._file.close()
        assert answers(path, *ranges)[1:] == kept
        with opened(path) as again:
            again.maintenance(limits, ["fake"], tuning).run()
        assert outcome(path) == expected, statements
        for left in tmp_path.glob("killed.db*"):
            left.unlink()
        statements += 1 if statements < 40 else 9
    assert statements > 100


def test_what_waits_is_counted_the_same_way_however_much_it_is(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    with outbox_of(life) as outbox:
        for second in range(0, 1000, 10):
            life.say((second, 0.001), seal=second)
        batch = outbox.read(Stream.INTERVALS, 17)
        assert batch is not None
        outbox.advance(batch, 17, NOON)
        waiting = life.count("interval") - sum(item.id > 0 for item in batch.items[:17])
        assert outbox.pending() == waiting
        monkeypatch.setattr("otel_logtail.store.progress.FEW", 3)
        with closing(sqlite3.connect(life.path)) as conn:
            assert pending(conn, "fake") == waiting
    assert size_on_disk(life.path) > 0
