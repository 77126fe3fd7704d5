from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.counts import add, count
from otel_logtail.model import Attributes, Counts, Instrument, Point, SeriesKey, SourceInfo
from otel_logtail.store.gaps import FILL_NS, LONGEST_NS, Known, repeats

SOURCE = SourceInfo(1, "proxy", "fake", "log.overhead", "instance", 1, 2, 3)
SECOND = 10**9
MINUTE = 60 * SECOND
START = 1_795_608_000 * SECOND


def known(id_: int, time_ns: int, *, attributes: Attributes = ()) -> Known:
    total = Counts()
    add(total, count([3], (5,)))
    return Known(id_, SOURCE, SeriesKey(Instrument.DURATION, attributes, (5,)), START, time_ns, total)


def told(points: list[Point]) -> list[tuple[object, ...]]:
    return [(dict(p.series.attributes).get("n", ""), p.time_ns, p.previous_ns, p.total.count, p.id) for p in points]


def test_in_a_gap_all_series_are_repeated_in_step() -> None:
    a, b = known(1, START, attributes=(("n", "a"),)), known(2, START - SECOND, attributes=(("n", "b"),))
    points = list(repeats([a, b], START + 2 * FILL_NS + MINUTE, {1}))
    first, second = START - SECOND + FILL_NS, START - SECOND + 2 * FILL_NS
    assert told(points) == [
        ("a", first, START, 1, 0),
        ("b", first, START - SECOND, 1, 0),
        ("a", second, first, 1, 0),
        ("b", second, first, 1, 0),
    ]
    assert all(point.total.explicit == [1, 0] for point in points)


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 60)), min_size=1, max_size=40))
def test_no_series_is_ever_silent_for_longer_while_others_of_its_source_go_on(steps_s: list[tuple[int, int]]) -> None:
    rare = known(1, START, attributes=(("n", "rare"),))
    busy = known(2, START, attributes=(("n", "busy"),))
    seen: list[Point] = []
    end_ns = START
    for pause_s, length_s in steps_s:
        end_ns += (pause_s + length_s) * SECOND
        for point in repeats([rare, busy], end_ns, {2}):
            assert point.previous_ns < point.time_ns < end_ns
            assert point.time_ns - point.previous_ns <= FILL_NS
            seen.append(point)
        for one in (rare, busy):
            assert end_ns - one.time_ns <= FILL_NS
        busy.time_ns = end_ns
    assert [point.time_ns for point in seen] == sorted(point.time_ns for point in seen)
    own = [point for point in seen if point.series == rare.series]
    assert len(own) <= (end_ns - START) / (FILL_NS // 2)


def test_a_source_that_was_away_for_longer_than_a_day_leaves_a_gap() -> None:
    back, other = known(1, START, attributes=(("n", "back"),)), known(2, START, attributes=(("n", "other"),))
    end_ns = START + LONGEST_NS + SECOND
    assert told(list(repeats([back, other], end_ns, {1}))) == [("other", end_ns, START, 1, 0)]


def test_a_late_interval_calls_for_nothing() -> None:
    assert list(repeats([known(1, START)], START - MINUTE, {1})) == []
