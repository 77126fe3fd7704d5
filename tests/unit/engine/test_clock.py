"""The time of a log: by its lines, two of which must agree, and never later than by the machine's clock."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.engine.clock import BACK_NS, SETTLED_NS, SILENT_NS, LogClock

A, B = "a.log", "b.log"
NOON = 1_795_608_000 * 10**9
SECOND, HOUR = 10**9, 3600 * 10**9
FAR = NOON + 1000 * HOUR
"""A machine's clock that no line of these tests reaches."""


def seen(*lines: tuple[int, int], live: str = A) -> LogClock:
    """A clock that saw lines one by one: (seconds past noon, seconds elapsed) each."""
    clock = LogClock(0)
    for logged_s, elapsed_s in lines:
        clock.saw(live, [NOON + logged_s * SECOND], elapsed_s * SECOND)
    return clock


def now_s(clock: LogClock, elapsed_s: int, wall_ns: int = FAR) -> float:
    return (clock.latest_ns(elapsed_s * SECOND, wall_ns) - NOON) / SECOND


def test_before_the_first_line_a_log_has_no_time() -> None:
    clock = LogClock(100 * SECOND)
    assert (clock.of(A).reached_ns, clock.latest_ns(101 * SECOND, FAR)) == (0, SECOND)


def test_a_logs_time_is_that_of_its_first_line_at_once_and_advances() -> None:
    clock = seen((10, 50))
    assert [now_s(clock, at_s) for at_s in (50, 57)] == [10, 17]


def test_time_advances_from_when_a_line_was_read_and_not_from_when_the_next_one_agreed() -> None:
    clock = seen((0, 50), (3, 53), (6, 56))
    assert [now_s(clock, at_s) for at_s in (56, 58)] == [6, 8]


@pytest.mark.parametrize("away_s", [7200, 23 * 3600, 400 * 86_400])
@pytest.mark.parametrize("cut", [1, 2, 9])
def test_one_line_from_the_future_turns_no_log_forward(away_s: int, cut: int) -> None:
    clock = LogClock(0)
    lines = [NOON + (away_s if n == 4 else n) * SECOND for n in range(9)]
    for at in range(0, 9, cut):
        clock.saw(A, lines[at : at + cut], 50 * SECOND)
        assert clock.latest_ns(50 * SECOND, FAR) <= NOON + 8 * SECOND
        assert clock.of(A).reached_ns <= NOON + 8 * SECOND


def test_one_line_from_the_past_turns_no_log_back() -> None:
    clock = seen((0, 50), (1, 51), (-7200, 51))
    assert (clock.of(A).reached_ns, now_s(clock, 52)) == (NOON, 2)
    clock.saw(A, [NOON + 2 * SECOND], 52 * SECOND)
    assert now_s(clock, 52) == 2


def test_a_line_from_before_does_not_turn_a_logs_time_back() -> None:
    clock = LogClock(0)
    clock.saw(A, [NOON, NOON], 50)
    clock.saw(A, [NOON - BACK_NS, NOON - BACK_NS], 60)
    assert clock.of(A).reached_ns == NOON


def test_two_successive_lines_from_long_before_mean_that_the_clock_was_set_back() -> None:
    clock = seen((100, 50), (101, 51), (1, 52), (2, 53))
    assert (clock.of(A).reached_ns, now_s(clock, 54)) == (NOON + SECOND, 3)
    clock.saw(A, [NOON - 9 * SECOND, NOON - 8 * SECOND], 60 * SECOND)  # both in one piece of log
    assert now_s(clock, 60) == -9


def test_a_clock_that_was_set_back_does_not_turn_back_the_other_logs() -> None:
    clock = LogClock(0)
    clock.saw(A, [NOON + 10 * HOUR] * 2, 50)
    clock.saw(B, [NOON + 7 * HOUR] * 2, 50)
    clock.saw(A, [NOON + 2 * HOUR] * 2, 60)
    assert (clock.of(A).reached_ns, clock.of(B).reached_ns) == (NOON + 2 * HOUR, NOON + 7 * HOUR)
    assert clock.latest_ns(60, FAR) == NOON + 7 * HOUR + 10


def test_after_a_restart_seen_lines_count_once_the_log_is_read_to_its_end() -> None:
    clock = LogClock(0)
    clock.resume(NOON + 100 * SECOND)
    clock.saw(A, [NOON, NOON], 0)
    settled_s = SETTLED_NS // SECOND
    assert [now_s(clock, at_s) for at_s in (settled_s - 1, settled_s)] == [settled_s - 1, 100 + settled_s]


def test_each_log_has_its_own_time_and_the_latest_is_that_of_the_furthest() -> None:
    clock = LogClock(0)
    clock.saw(A, [NOON + 1000], 50)
    clock.saw(B, [NOON + 400], 60)
    assert (clock.of(A).reached_ns, clock.of(B).reached_ns) == (NOON + 1000, NOON + 400)
    assert clock.latest_ns(60, FAR) == NOON + 1010


def test_while_lines_come_a_clock_that_is_ahead_does_not_matter() -> None:
    clock = seen((0, 50), (1, 51))
    assert now_s(clock, 51 + SILENT_NS // SECOND - 1) == SILENT_NS // SECOND


def test_a_log_that_is_silent_for_long_has_the_machines_time() -> None:
    clock = seen((0, 50), (1, 51))
    assert clock.latest_ns(51 * SECOND + SILENT_NS, FAR) == FAR


@pytest.mark.parametrize("silent_ns", [0, SETTLED_NS, SILENT_NS])
@pytest.mark.parametrize("behind_ns", [SECOND, 86_400 * SECOND, NOON - 5 * SECOND])
def test_it_is_never_later_than_by_the_machines_clock(silent_ns: int, behind_ns: int) -> None:
    clock = seen((0, 50), (1, 51))
    assert clock.latest_ns(51 * SECOND + silent_ns, NOON - behind_ns) == NOON - behind_ns


@pytest.mark.parametrize("lines", [[(0, 50)], [(0, 50), (1, 51)], [(0, 50), (1, 51), (900, 52)]])
@pytest.mark.parametrize("time_s", [0, 2, 600, 10_000])
@pytest.mark.parametrize("wall_s", [-900, 30, 100_000])
def test_it_returns_when_it_may_be_so_late(lines: Sequence[tuple[int, int]], time_s: int, wall_s: int) -> None:
    clock = seen(*lines)
    elapsed_ns, wall_ns = lines[-1][1] * SECOND, NOON + wall_s * SECOND
    for _ in range(9):  # asked again at each announced time
        wait_ns = clock.due_ns(NOON + time_s * SECOND, elapsed_ns, wall_ns)
        if wait_ns <= 0:
            break
        # not a moment before
        assert clock.latest_ns(elapsed_ns + wait_ns - 1, wall_ns + wait_ns - 1) < NOON + time_s * SECOND
        elapsed_ns, wall_ns = elapsed_ns + wait_ns, wall_ns + wait_ns
    assert clock.latest_ns(elapsed_ns, wall_ns) >= NOON + time_s * SECOND


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.integers(1, 1000), st.integers(0, 100)), min_size=1, max_size=20))
def test_a_log_that_is_slightly_out_of_order_is_never_turned_back(
    lines: list[tuple[str, int, int]],
) -> None:
    clock, elapsed_ns, before_ns = LogClock(0), 0, 0
    for live, logged_ns, gap_ns in lines:
        elapsed_ns += gap_ns
        reached_ns = clock.of(live).reached_ns
        clock.saw(live, [NOON + logged_ns], elapsed_ns)
        now_ns = clock.latest_ns(elapsed_ns, FAR)
        assert clock.of(live).reached_ns >= reached_ns
        assert now_ns >= before_ns
        assert now_ns >= max(clock.of(A).reached_ns, clock.of(B).reached_ns)
        before_ns = now_ns
