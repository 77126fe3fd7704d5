"""One line with a forged date deletes no other data and cannot exceed the size limit."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from otel_logtail import query
from otel_logtail.model import Instrument, Point, Stream
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.maintenance.steps import Tuning
from otel_logtail.store.rows import Repaired
from tests.support.lives import DAY, HOUR, PAST, Life, deliver, living, ns, outbox_of, points_of
from tests.support.pieces import NOON, SECOND, Piece, line, rows

NOW = (time.time_ns() - NOON) / SECOND - PAST
"""The clock as seconds of 2024."""
YEAR = 365 * DAY


def counts(points: list[Point], key: str) -> int:
    return sum(
        point.delta.count
        for point in points
        if point.series.instrument is Instrument.DURATION and dict(point.series.attributes).get("fake.key", "") == key
    )


@pytest.mark.parametrize("forged_s", [NOW, NOW + 100 * YEAR], ids=["now", "in a century"])
@pytest.mark.parametrize("together", [True, False], ids=["one block", "a block of its own"])
def test_one_line_dated_now_in_an_imported_log_does_not_age_the_others(
    tmp_path: Path, forged_s: float, together: bool
) -> None:
    with living(tmp_path) as life:
        honest = [(day * DAY + 50, 1.0) for day in range(20)]
        if together:
            life.say(*honest, (forged_s, 1.0), seal=20 * DAY)
        else:
            life.say(*honest, seal=20 * DAY)
            life.say((forged_s, 1.0), seal=forged_s + 10)
        life.keep_up(Limits(retention_ns=30 * DAY * SECOND))
        with query.Reader.open(life.path) as reader:
            assert len(list(query.samples(reader))) == 21


def test_two_lines_age_the_others(tmp_path: Path) -> None:
    with living(tmp_path) as life:
        life.say((50, 1.0), seal=60)
        life.say((NOW, 1.0), (NOW, 1.0), seal=NOW + 10)
        life.keep_up(Limits(retention_ns=30 * DAY * SECOND))
        with query.Reader.open(life.path) as reader:
            assert len(list(query.samples(reader))) == 2


def test_counts_without_samples_are_aged_by_two_of_them_as_well(tmp_path: Path) -> None:
    with living(tmp_path) as life:
        for day in range(20):
            life.say((day * DAY + 50, 0.001), seal=day * DAY + 60)
        life.say((NOW, 0.001), seal=NOW + 10)
        life.store._db.execute("DELETE FROM block")
        life.keep_up(Limits(retention_ns=30 * DAY * SECOND))
        assert life.count("interval WHERE end_ns < 1750000000000000000") > 0
        life.say((NOW + 20, 0.001), seal=NOW + 40)
        life.store._db.execute("DELETE FROM block")
        life.keep_up(Limits(retention_ns=30 * DAY * SECOND))
        assert life.count("interval WHERE end_ns < 1750000000000000000") == 0


def open_counts(life: Life) -> dict[str, int]:
    """How many samples are counted in open intervals, by key."""
    found = rows(
        life.path,
        "SELECT coalesce(json_extract(s.attributes, '$.\"fake.key\"'), ''), sum(o.count) FROM open_interval AS o"
        " JOIN series AS s ON s.id = o.series WHERE s.instrument = 'duration' GROUP BY 1",
    )
    return {str(key): int(str(number)) for key, number in found}


def forge(life: Life, number: int, key: str = "", *, begin_s: float = YEAR) -> None:
    """Lines that are dated years ahead, each in an interval of its own."""
    data = b"".join(line(PAST + NOW + begin_s + 10 * n, 0.001, key=key) for n in range(number))
    life.piece.commit(data)


def used_bytes(life: Life) -> int:
    pages, free, size = (
        rows(life.path, f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (int(str(pages)) - int(str(free))) * int(str(size))


def test_the_size_limit_holds_for_lines_that_are_dated_years_ahead(tmp_path: Path) -> None:
    with living(tmp_path) as life, outbox_of(life) as outbox:
        life.say(*[(50, 0.001)] * 3, seal=60)
        assert counts(deliver(outbox), "") == 3
        life.say((70, 0.001), (71, 0.001))
        forge(life, 4000)
        forge(life, 10, key="b", begin_s=2 * YEAR)
        limit, before = used_bytes(life) // 3, open_counts(life)
        done = life.keep_up(Limits(max_bytes=limit), ["fake"])
        assert used_bytes(life) <= limit
        assert life.count("open_interval WHERE end_ns < 1750000000000000000") == 2  # those that are not ahead stay
        assert not done.dropped
        points = deliver(outbox)
        left = open_counts(life)
        for key in ("", "b"):
            assert counts(points, key) == before[key] - left.get(key, 0) > 0
        assert max(point.time_ns for point in points) < time.time_ns()
        assert all(point.start_ns <= point.time_ns for point in points)


def test_counts_that_are_added_up_change_no_batch_in_transit(tmp_path: Path) -> None:
    with living(tmp_path) as life, outbox_of(life) as outbox:
        life.say(*[(50, 0.001)] * 3, seal=60)
        received = deliver(outbox)
        life.say(*[(70, 0.001)] * 5, seal=90)
        life.say(*[(95, 0.001)] * 2)
        forge(life, 3000)
        before, batch = open_counts(life)[""], outbox.read(Stream.INTERVALS, 1000)
        assert batch is not None
        life.keep_up(Limits(max_bytes=used_bytes(life) // 2), ["fake"])
        added = before - open_counts(life)[""]
        assert added > 0
        received += points_of(batch)
        outbox.advance(batch, len(batch.items), NOON)
        rest = deliver(outbox)
        received += rest
        assert counts(rest, "") == added
        ids = [point.id for point in received if point.id]
        assert len(set(ids)) == len(ids)
        points = [point for point in received if point.series.instrument is Instrument.DURATION]
        totals = [point.total.count for point in points]
        assert totals[:3] == [0, 3, 8]
        assert totals[-1] == 8 + added
        assert all(one < other for one, other in pairwise(totals))
        assert all(one.time_ns < other.time_ns for one, other in pairwise(points))
        assert len({point.start_ns for point in points}) == 1
        assert points[-1].time_ns < ns(95)


def test_a_new_exporter_receives_waiting_intervals_with_their_own_times(tmp_path: Path) -> None:
    with living(tmp_path) as life, outbox_of(life) as outbox:
        for hour in range(6):
            life.say((HOUR * hour + 50, 0.001), seal=HOUR * hour + 60)
        forge(life, 3000)
        life.keep_up(Limits(max_bytes=used_bytes(life) // 2), ["fake"])
        points = [p for p in deliver(outbox) if p.series.instrument is Instrument.DURATION and p.delta.count]
        assert [point.time_ns for point in points[:6]] == [ns(HOUR * hour + 60) for hour in range(6)]
        assert sum(point.delta.count for point in points) == 6 + 3000 - open_counts(life).get("", 0)
        assert life.count("dropped") == 0


def test_counts_of_damaged_intervals_are_reported_and_keep_their_number(tmp_path: Path) -> None:
    with living(tmp_path) as life, outbox_of(life) as outbox:
        forge(life, 2000)
        life.store._db.execute(
            "UPDATE open_interval SET explicit = 'x' WHERE end_ns = (SELECT max(end_ns) FROM open_interval)"
            " AND series IN (SELECT id FROM series WHERE instrument = 'duration')"
        )
        done = life.keep_up(Limits(max_bytes=used_bytes(life) // 2), ["fake"])
        assert done.repaired == Repaired(1)
        assert counts(deliver(outbox), "") == 2000 - open_counts(life).get("", 0)


def test_the_size_limit_ends_if_each_far_interval_is_of_another_series(tmp_path: Path) -> None:
    with living(tmp_path) as life, outbox_of(life) as outbox:
        for key in ("", "a", "b"):
            forge(life, 1, key=key)
        done = life.store.maintenance(Limits(max_bytes=1), ["fake"], Tuning(intervals=1)).run()
        assert life.count("open_interval") == life.count("interval") == 0
        (drop,) = done.dropped
        assert (drop.exporter, drop.stream) == ("fake", Stream.INTERVALS)
        points = deliver(outbox)
        assert [counts(points, key) for key in ("", "a", "b")] == [1] * 3


def test_counts_that_left_are_not_counted_again_with_the_next_line_of_their_time(tmp_path: Path) -> None:
    with living(tmp_path) as life:
        forge(life, 500)
        life.keep_up(Limits(max_bytes=1), ())
        assert life.count("open_interval") == 0
        Piece(life.store, live="/logs/fake-1.log").commit(line(PAST + NOW + YEAR, 0.001))
        assert rows(life.path, "SELECT DISTINCT count FROM open_interval") == [(1,)]


def test_a_new_exporter_begins_a_series_that_was_only_dated_ahead_no_later_than_now(tmp_path: Path) -> None:
    with living(tmp_path) as life:
        forge(life, 5, key="b")
        life.keep_up(Limits(max_bytes=1), ())
        life.say((NOW - 20, 0.001), seal=NOW, key="b")
        with outbox_of(life) as outbox:
            points = deliver(outbox)
        assert counts(points, "b") == 1
        assert max(point.time_ns for point in points) < time.time_ns()
