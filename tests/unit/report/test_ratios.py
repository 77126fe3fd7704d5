"""Ratios with intervals: worked examples whose results are known from an implementation with numpy, to 0.001."""

from __future__ import annotations

import math

import pytest

from otel_logtail.report.distributions import student_t
from otel_logtail.report.ratios import (
    Block,
    Varies,
    merged,
    number_above,
    quantile_index,
    quantile_ratio,
    rate_ratio,
)

BOTH = Varies()
STALLS = [2, 3, 1, 4, 2, 0, 1]


def days(numbers: list[int]) -> list[Block]:
    return [Block(number, 1.0) for number in numbers]


def histogram(day: int, shift: int) -> dict[int, float]:
    """A day whose fast path is a bell of 500 buckets, with a slow path of some dozens of samples."""
    counts = {
        index: float(int(400 * math.exp(-(((index - shift - 2 * (day % 3) + 512) / 60) ** 2))))
        for index in range(-600, -100)
    }
    counts[-64 + shift + day % 2] = 30 + 5 * (day % 4)
    return {index: count for index, count in counts.items() if count}


def test_three_times_the_stalls_in_a_week_is_a_change() -> None:
    ratio = rate_ratio(days(STALLS), days([6, 9, 4, 11, 7, 3, 5]), BOTH)
    assert ratio is not None
    assert (ratio.spread, ratio.freedom) == pytest.approx((1.1782, 12), abs=1e-3)
    assert (ratio.change, ratio.low, ratio.high) == pytest.approx((1.2417, 0.2690, 2.3801), abs=1e-3)
    assert student_t(12) == pytest.approx(3.0545, abs=1e-4)


def test_one_day_is_compared_with_the_variance_of_four_weeks() -> None:
    ratio = rate_ratio(days(STALLS * 4), days([9]), Varies(after=False))
    assert ratio is not None
    assert (ratio.spread, ratio.freedom) == pytest.approx((1, 27))
    assert (ratio.change, ratio.low, ratio.high) == pytest.approx((1.5782, 0.4706, 2.4911), abs=1e-3)


@pytest.mark.parametrize(("after", "low"), [([1, 0, 2, 1, 0, 1, 3], 0.0648), ([1, 0, 0, 1, 0, 0, 0], -2.1648)])
def test_from_none_has_no_upper_bound(after: list[int], low: float) -> None:
    ratio = rate_ratio(days([0] * 7), days(after), BOTH)
    assert ratio is not None
    assert ratio.low == pytest.approx(low, abs=1e-3)
    assert math.isinf(ratio.high)
    assert math.isinf(ratio.change)
    back = rate_ratio(days(after), days([0] * 7), BOTH)
    assert back is not None
    assert (back.change, back.low) == (-math.inf, -math.inf)
    assert back.high == pytest.approx(-low, abs=1e-3)


def test_nothing_on_both_sides_is_nothing_to_compare() -> None:
    assert rate_ratio(days([0] * 7), days([0] * 7), BOTH) is None
    assert quantile_ratio([{}], [{1: 5.0}], 0.5, BOTH) is None


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, (0.1191, 0.0885, 0.1498)), (0.99, (0.1300, 0.0993, 0.1606))], ids=["p50", "p99"]
)
def test_a_quantile_that_moves_by_twelve_buckets_is_a_change(
    share: float, expected: tuple[float, float, float]
) -> None:
    before, after = ([histogram(day, shift) for day in range(7)] for shift in (0, 12))
    assert (sum(merged(before).values()), sum(merged(after).values())) == (292_102, 294_674)
    ratio = quantile_ratio(before, after, share, BOTH)
    assert ratio is not None
    assert (ratio.change, ratio.low, ratio.high) == pytest.approx(expected, abs=1e-3)


def test_more_samples_above_the_old_quantile_confirm_the_change() -> None:
    before, after = ([histogram(day, shift) for day in range(7)] for shift in (0, 12))
    index = quantile_index(merged(before), 0.99)
    first, second = ([Block(number_above(day, index), sum(day.values())) for day in side] for side in (before, after))
    assert (index, [sum(block.number for block in side) for side in (first, second)]) == (-411, [2789, 5720])
    ratio = rate_ratio(first, second, BOTH)
    assert ratio is not None
    assert ratio.low == pytest.approx(0.5200, abs=1e-3)


def test_the_same_period_twice_shows_no_change() -> None:
    side = [histogram(day, 0) for day in range(7)]
    ratio = quantile_ratio(side, side, 0.5, BOTH)
    assert ratio is not None
    assert (ratio.change, ratio.low, ratio.high) == pytest.approx((0, -0.0306, 0.0306), abs=1e-3)


def test_too_few_samples_leave_a_quantile_without_an_upper_bound() -> None:
    side = [{index: 1.0} for index in range(8)]
    ratio = quantile_ratio(side, side, 0.9, BOTH)
    assert ratio is not None
    assert math.isinf(ratio.high)
