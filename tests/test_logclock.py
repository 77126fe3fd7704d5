from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.engine.clock import BACK_NS, SILENT_NS, LogClock

A, B = "a.log", "b.log"


def test_before_the_first_line_a_log_has_no_time() -> None:
    clock = LogClock(100)
    assert (clock.come_to_ns(A), clock.now_ns(A, 5000)) == (0, 0)


def test_time_in_a_log_goes_on_from_its_last_line() -> None:
    clock = LogClock(0)
    clock.saw(A, 1000, 50)
    assert (clock.come_to_ns(A), clock.now_ns(A, 50), clock.now_ns(A, 57)) == (1000, 1000, 1007)


def test_a_line_from_before_does_not_turn_a_logs_time_back() -> None:
    clock = LogClock(0)
    clock.saw(A, 1000, 50)
    clock.saw(A, 900, 60)
    assert (clock.come_to_ns(A), clock.now_ns(A, 61)) == (1000, 1001)


def test_a_line_from_long_before_says_that_the_clock_was_set_back() -> None:
    clock = LogClock(0)
    clock.saw(A, 10 * BACK_NS, 50)
    clock.saw(A, 9 * BACK_NS, 60)
    assert clock.come_to_ns(A) == 10 * BACK_NS
    assert [clock.is_set_back(A, 9 * BACK_NS - late_ns) for late_ns in (0, 1)] == [False, True]
    clock.saw(A, 9 * BACK_NS - 1, 70)
    assert (clock.come_to_ns(A), clock.now_ns(A, 71)) == (9 * BACK_NS - 1, 9 * BACK_NS)
    assert clock.latest_ns(71, 10**18) == 9 * BACK_NS


def test_a_clock_that_was_set_back_does_not_turn_back_the_other_logs() -> None:
    clock = LogClock(0)
    clock.saw(A, 10 * BACK_NS, 50)
    clock.saw(B, 7 * BACK_NS, 50)
    clock.saw(A, 2 * BACK_NS, 60)
    assert (clock.come_to_ns(A), clock.come_to_ns(B)) == (2 * BACK_NS, 7 * BACK_NS)
    assert clock.latest_ns(60, 10**18) == 7 * BACK_NS


def test_after_a_restart_time_goes_on_from_where_the_logs_had_come() -> None:
    clock = LogClock(100)
    clock.resume(1000, 100)
    assert clock.latest_ns(107, 10**18) == 1007
    assert (clock.come_to_ns(A), clock.now_ns(A, 107)) == (0, 0)
    clock.saw(A, 900, 110)
    assert clock.latest_ns(110, 10**18) == 1000


def test_each_log_has_its_own_time_and_the_latest_is_that_of_the_furthest() -> None:
    clock = LogClock(0)
    clock.saw(A, 1000, 50)
    clock.saw(B, 400, 60)
    assert (clock.now_ns(A, 60), clock.now_ns(B, 60), clock.latest_ns(60, 10**18)) == (1010, 400, 1000)


def test_while_lines_come_the_machines_clock_does_not_matter() -> None:
    clock = LogClock(0)
    clock.saw(A, 1000, 50)
    assert clock.latest_ns(50 + SILENT_NS - 1, 10**18) == 1000 + SILENT_NS - 1


def test_a_log_that_is_silent_for_long_has_the_machines_time_but_never_an_earlier_one() -> None:
    clock = LogClock(0)
    clock.saw(A, 1000, 50)
    assert clock.latest_ns(50 + SILENT_NS, 10**18) == 10**18
    assert clock.latest_ns(50 + SILENT_NS, 7) == 1000 + SILENT_NS


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.integers(1, 1000), st.integers(0, 100)), max_size=20))
def test_a_log_is_never_before_its_latest_line(lines: list[tuple[str, int, int]]) -> None:
    clock, elapsed_ns, latest = LogClock(0), 0, {A: 0, B: 0}
    for live, logged_ns, gap_ns in lines:
        elapsed_ns += gap_ns
        clock.saw(live, logged_ns, elapsed_ns)
        latest[live] = max(latest[live], logged_ns)
        assert clock.come_to_ns(live) == latest[live] <= clock.now_ns(live, elapsed_ns)
        assert clock.latest_ns(elapsed_ns, 0) >= max(latest.values())
