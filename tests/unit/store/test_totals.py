from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from otel_logtail.counts import count
from otel_logtail.model import Attributes, Counts, Instrument, Point, SeriesKey, SourceInfo
from otel_logtail.store.gaps import FILL_NS
from otel_logtail.store.rows import STEP_NS
from otel_logtail.store.totals import LATE_NS, Reach, Row, Totals

SOURCE = SourceInfo(1, "proxy", "fake", "log.overhead", "instance", 1, 2, 3)
SECOND = 10**9
START = 1_795_608_000 * SECOND
TEN = 10 * SECOND


def row(id_: int, begin_s: float, *, of: int = 1, bounds_ns: tuple[int, ...] = (5,), name: str = "") -> Row:
    attributes: Attributes = (("n", name),) if name else ()
    key = SeriesKey(Instrument.DURATION, attributes, bounds_ns)
    return Row(id_, of, key, START + round(begin_s * SECOND), count([3, 7], bounds_ns))


def sent(points: Iterable[Point]) -> list[tuple[object, ...]]:
    """Bounds, name, seconds of start and time past START, total."""
    return [
        (
            p.series.bounds_ns[0],
            dict(p.series.attributes).get("n", ""),
            (p.start_ns - START) / SECOND,
            (p.time_ns - START) / SECOND,
            p.total.count,
        )
        for p in points
    ]


def new(reach: Reach | None = None) -> Totals:
    return Totals(SOURCE, reach or Reach())


def test_a_series_begins_with_a_0_at_its_start() -> None:
    zero, point = new().interval(START + TEN, [row(7, 0)])
    assert (zero.id, zero.start_ns, zero.previous_ns, zero.time_ns) == (0, START, START, START)
    assert (zero.delta, zero.total) == (Counts(), Counts(explicit=[0, 0]))
    assert (point.id, point.start_ns, point.previous_ns, point.time_ns) == (7, START, START, START + TEN)
    assert point.total == point.delta


def test_other_bounds_restart_a_series_after_its_last_point_also_when_going_back() -> None:
    totals = new()
    assert sent(totals.interval(START + TEN, [row(1, 0)])) == [(5, "", 0, 0, 0), (5, "", 0, 10, 2)]
    # the interval in which the daemon was restarted has counts with both bounds
    both = [row(2, 10), row(3, 10, of=2, bounds_ns=(6,))]
    assert sent(totals.interval(START + 2 * TEN, both)) == [
        (5, "", 0, 20, 4),
        (6, "", 20.001, 20.001, 0),
        (6, "", 20.001, 20.002, 2),
    ]
    assert sent(totals.interval(START + 3 * TEN, [row(4, 20, of=2, bounds_ns=(6,))])) == [(6, "", 20.001, 30, 4)]
    assert sent(totals.interval(START + 4 * TEN, [row(5, 30)])) == [(5, "", 30.001, 30.001, 0), (5, "", 30.001, 40, 2)]


def test_late_counts_never_make_a_new_series_begin_in_the_past_of_the_old_one() -> None:
    totals = new()
    list(totals.interval(START + 5 * TEN, [row(1, 40)]))
    late = totals.interval(START + TEN, [row(2, 0, of=2, bounds_ns=(6,))])
    assert sent(late) == [(6, "", 50.001, 50.001, 0), (6, "", 50.001, 50.002, 2)]


def test_the_points_of_a_source_never_go_back_in_time() -> None:
    totals = new()
    list(totals.interval(START + 5 * TEN, [row(1, 40, name="a")]))
    late = totals.interval(START + 3 * TEN, [row(2, 20, of=2, name="b"), row(3, 20, name="a")])
    assert sent(late) == [(5, "b", 20, 50, 0), (5, "b", 20, 50.001, 2), (5, "a", 40, 50.001, 4)]


def test_what_is_later_than_lines_are_late_keeps_its_own_time() -> None:
    totals = new(Reach(time_ns=START + TEN + LATE_NS + 1))
    assert sent(totals.interval(START + TEN, [row(1, 0)])) == [(5, "", 0, 0, 0), (5, "", 0, 10, 2)]
    totals = new(Reach(time_ns=START + LATE_NS))
    assert sent(totals.interval(START + TEN, [row(1, 0)])) == [(5, "", 0, 600, 0), (5, "", 0, 600.001, 2)]


def test_restarted_series_start_later_than_all_sent_points() -> None:
    reach = Reach(time_ns=START + 9 * TEN, after_ns=START + 9 * TEN)
    assert sent(new(reach).interval(START + 5 * TEN, [row(1, 40)])) == [
        (5, "", 90.001, 90.001, 0),
        (5, "", 90.001, 90.002, 2),
    ]
    much_later = START + 90 * LATE_NS
    reach = Reach(time_ns=much_later, after_ns=much_later)
    zero, point = new(reach).interval(START + 5 * TEN, [row(1, 40)])
    assert (zero.start_ns, zero.time_ns) == (much_later + STEP_NS,) * 2
    assert point.time_ns == much_later + 2 * STEP_NS


def test_the_0s_of_what_is_owed_come_first_and_in_order_of_time() -> None:
    totals = new(Reach(time_ns=START + 2 * SECOND))
    rows = [row(0, 5, name="a"), row(0, 0, of=2, name="b"), row(0, 7, of=3, name="b", bounds_ns=(6,))]
    assert sent(totals.beginnings(rows)) == [(5, "b", 0, 2, 0), (5, "a", 5, 5, 0)]
    assert sent(totals.beginnings(rows)) == []
    assert sent(totals.owed(START + 6 * TEN, rows[0])) == [(5, "a", 5, 60, 2)]
    assert sent(totals.owed(START + 6 * TEN, rows[2])) == [(6, "b", 7, 60, 0), (6, "b", 7, 60.001, 2)]


def test_a_first_count_is_the_count_since_the_start_wherever_the_0_is() -> None:
    zero, point = new(Reach(time_ns=START + SECOND)).interval(START + TEN, [row(1, 0)])
    assert (zero.time_ns, point.previous_ns) == (START + SECOND, START)


def test_only_the_series_that_was_sent_last_is_repeated() -> None:
    totals = new()
    list(totals.interval(START + TEN, [row(1, 0), row(2, 0, of=2, bounds_ns=(6,)), row(3, 0, of=3, name="b")]))
    assert sent(totals.silent(START + 9 * TEN, 7 * TEN)) == [(6, "", 10.001, 90, 2), (5, "b", 0, 90, 2)]
    assert sent(totals.silent(START + 9 * TEN, 7 * TEN)) == []
    assert sent(totals.silent(START + 17 * TEN, 8 * TEN)) == [(6, "", 10.001, 170, 2), (5, "b", 0, 170, 2)]


def test_a_series_that_is_silent_is_repeated_while_another_one_has_counts_all_the_time() -> None:
    totals = new()
    points = list(totals.interval(START + TEN, [row(1, 0, name="busy"), row(2, 0, of=2, name="rare")]))
    for number in range(2, 100):
        points += totals.interval(START + number * TEN, [row(number + 1, 10 * number - 10, name="busy")])
    times = [point.time_ns for point in points if point.series.attributes == (("n", "rare"),)]
    assert max(after - before for before, after in pairwise(times)) <= FILL_NS
    assert START + 99 * TEN - times[-1] <= FILL_NS
