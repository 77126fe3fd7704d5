"""The most series of a source: what is beyond them is counted in one, over restarts, and reaches every receiver."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from otel_logtail.daemon.options import MAX_SERIES as OPTION
from otel_logtail.errors import StoreFull, UsageError
from otel_logtail.model import (
    OVERFLOW,
    Batch,
    Counts,
    FileState,
    Instrument,
    IntervalKey,
    Samples,
    SeriesKey,
    Shape,
    Stream,
)
from otel_logtail.store import sources
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.series import MAX_SERIES
from otel_logtail.store.writer import Store
from tests.support.following import Following
from tests.support.pieces import BOUNDS, INTERVAL, LIVE, NOON, Piece


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def opened(path: Path, most: int) -> Store:
    store = Store.open(path)
    store.series.most = most
    return store


def counts(
    store: Store, values: dict[object, int], *, instrument: Instrument = Instrument.DURATION, at: int = 0
) -> Batch:
    """A batch that counts so many samples of 1 s for each value of an attribute."""
    source = Piece(store).info.id
    start_ns = NOON + at * INTERVAL
    bounds_ns = BOUNDS if instrument is not Instrument.BREACHES else ()
    found = {
        IntervalKey(SeriesKey(instrument, (("x", str(value)),), bounds_ns), start_ns, start_ns + INTERVAL): Counts(
            number, number * 10**9, 10**9, 10**9, [number, *[0] * len(bounds_ns)], {0: number}
        )
        for value, number in values.items()
    }
    return Batch(source=source, counts=found, seal_until_ns=start_ns + INTERVAL)


def totals(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as conn:
        return dict(
            conn.execute(
                "SELECT s.attributes, sum(i.count) FROM interval AS i JOIN series AS s ON s.id = i.series"
                " WHERE s.instrument = 'duration' GROUP BY 1"
            )
        )


OTHERS = '{"otel.metric.overflow":true}'


def test_what_is_beyond_the_most_series_is_counted_in_one(path: Path) -> None:
    store = opened(path, 3)
    committed = store.commit(counts(store, {n: n + 1 for n in range(10)}))
    assert committed.overflowed
    assert sum(totals(path).values()) == sum(range(1, 11))
    assert totals(path) == {'{"x":"0"}': 1, '{"x":"1"}': 2, '{"x":"2"}': 3, OTHERS: sum(range(4, 11))}
    assert not store.commit(counts(store, {1: 5}, at=1)).overflowed
    assert store.commit(counts(store, {7: 5}, at=1)).overflowed
    store.close()


def test_each_series_stays_what_it_is_over_restarts(path: Path) -> None:
    expected: dict[str, int] = {}
    for at in range(4):
        store = opened(path, 3)
        store.commit(counts(store, {9 - n: 1 for n in range(10)} if at % 2 else dict.fromkeys(range(10), 1), at=at))
        store.close()
        for name in ('{"x":"0"}', '{"x":"1"}', '{"x":"2"}'):
            expected[name] = expected.get(name, 0) + 1
        expected[OTHERS] = expected.get(OTHERS, 0) + 7
        assert totals(path) == expected


def test_more_room_is_for_new_series_and_less_takes_none_away(path: Path) -> None:
    for at, most in enumerate((3, 5, 1)):
        store = opened(path, most)
        store.commit(counts(store, dict.fromkeys(range(8), 1), at=at))
        store.close()
    found = totals(path)
    assert found == {
        **{f'{{"x":"{n}"}}': 3 for n in range(3)},
        **{f'{{"x":"{n}"}}': 2 for n in (3, 4)},
        OTHERS: 5 + 3 + 3,
    }


def test_breaches_and_episodes_have_room_of_their_own(path: Path) -> None:
    store = opened(path, 2)
    store.commit(counts(store, dict.fromkeys(range(9), 1)))
    assert not store.commit(counts(store, {0: 1, 1: 1}, instrument=Instrument.BREACHES)).overflowed
    assert not store.commit(counts(store, {0: 1, 1: 1}, instrument=Instrument.EPISODES)).overflowed
    assert store.commit(counts(store, {0: 1}, instrument=Instrument.STAGE)).overflowed
    store.close()


def test_other_bounds_have_room_of_their_own(path: Path) -> None:
    store = opened(path, 2)
    batch = counts(store, {0: 1, 1: 1, 2: 1})
    store.commit(batch)
    other = {
        msgspec.structs.replace(
            key, series=msgspec.structs.replace(key.series, bounds_ns=key.series.bounds_ns[:-1])
        ): msgspec.structs.replace(more, explicit=more.explicit[:-1])
        for key, more in list(batch.counts.items())[:2]
    }
    assert not store.commit(msgspec.structs.replace(batch, counts=other)).overflowed
    store.close()


def test_a_commit_that_failed_leaves_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(path, 2)

    def full(*arguments: object) -> None:
        raise StoreFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(sources, "count", full)
        with pytest.raises(StoreFull):
            store.commit(counts(store, {"a": 1, "b": 1}))
    assert not store.commit(counts(store, {"c": 1, "d": 1})).overflowed
    store.close()


def test_memory_and_rows_are_bounded_for_any_input(path: Path) -> None:
    store = opened(path, 50)
    for at in range(30):
        store.commit(counts(store, {f"{at}-{n}": 1 for n in range(200)}, at=at))
    assert sum(totals(path).values()) == 30 * 200
    assert len(totals(path)) == 51
    assert len(store.series._known) == 51
    assert len(store.series._beyond) <= 2000
    store.close()


def test_a_receiver_gets_the_total_of_the_others_and_it_never_falls(path: Path) -> None:
    told: list[int] = []
    for at in range(3):
        store = opened(path, 2)
        store.commit(counts(store, dict.fromkeys(range(6), 1), at=at))
        outbox = Outbox.open(path, "test")
        outbox.register([Stream.INTERVALS], NOON)
        batch = outbox.read(Stream.INTERVALS, 100)
        assert batch is not None
        told += [point.total.count for point in batch.items if point.id and point.series.attributes == OVERFLOW]  # type: ignore[union-attr]
        outbox.advance(batch, len(batch.items), NOON)
        outbox.close()
        store.close()
    assert told == [4, 8, 12]


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1.5", "100001", "9" * 30, "00000000199999999", "\u0663"])
def test_a_number_that_is_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"^invalid --max-series"):
        OPTION.parse(text)
    assert OPTION.parse(OPTION.default) == MAX_SERIES


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Following]:
    with Following(tmp_path, "--max-series", "40", patterns=[tmp_path / "logs" / "proxy-*.log"]) as following:
        yield following


def test_unlimited_names_are_reported_once_and_every_sample_is_counted(many: Following) -> None:
    for port in range(1, 61):
        many.write(2, many.logs / f"proxy-{port}.log")
    many.start().caught_up()
    with many.away():
        for port in range(50, 80):
            many.write(1, many.logs / f"proxy-{port}.log")
    many.finish(
        path=many.logs / "proxy-1.log", warnings=[r"more than 40 series: further ones are counted together.*"] * 2
    )
    rows = many.rows("SELECT attributes FROM series WHERE instrument IN ('duration', 'stage')")
    assert len(rows) == 40 + 2
    ((number,),) = many.rows(
        "SELECT sum(i.count) FROM (SELECT series, count FROM interval UNION ALL"
        " SELECT series, count FROM open_interval) AS i JOIN series AS s ON s.id = i.series"
        " WHERE s.instrument = 'duration'"
    )
    assert number == many.written
    assert any(json.loads(text) == dict(OVERFLOW) for (text,) in rows)


def routes(begin: int, end: int, *, index: int = 0) -> Batch:
    """A batch of samples, each of a shape of its own."""
    numbers = range(begin, end)
    of = [NOON] * len(numbers)
    samples = Samples(
        [*numbers], of, [10] * len(of), of, ["wait"] * len(of), ["work"] * len(of),
        [Shape(("work",), (("x", str(number)),)) for number in numbers], [(1,)] * len(of),
    )  # fmt: skip
    return Batch(source=1, samples=samples, file=FileState(1, LIVE, LIVE, 1, 2, 1000 * (index + 1)))


def test_kinds_of_samples_are_bounded_over_restarts_and_a_commit_that_failed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(path, 3)
    Piece(store)

    def full(*arguments: object) -> None:
        raise StoreFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(sources, "count", full)
        with pytest.raises(StoreFull):
            store.commit(routes(900, 903))
    store.commit(routes(0, 2))
    store.close()
    store = opened(path, 3)
    Piece(store)
    store.commit(routes(1, 900, index=1))
    store.close()
    with closing(sqlite3.connect(path)) as conn:
        kinds = [text for (text,) in conn.execute("SELECT attributes FROM kind ORDER BY id")]
        assert kinds == ['{"x":"0"}', '{"x":"1"}', '{"x":"2"}', OTHERS]
        assert conn.execute("SELECT sum(count) FROM block").fetchone() == (901,)
