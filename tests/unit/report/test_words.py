"""Figures in words, and the distribution that they are about."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.counts import count
from otel_logtail.report.spectrum import bars, spectrum
from otel_logtail.report.words import column, digits, exact, length, measured, one_in, part_of, share


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "–"),
        (0.0, "0 ms"),
        (0.0239, "0.0239 ms"),
        (0.104, "0.104 ms"),
        (9.996, "10.0 ms"),
        (202.4, "202 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (9570.0, "9.57 s"),
        (59_949.0, "59.9 s"),
        (59_960.0, "1 min"),
        (78_000.0, "1 min 18 s"),
        (3_599_000.0, "1 h"),
        (11_520_000.0, "3 h 12 min"),
        (108_000_000.0, "30 h"),
    ],
)
def test_a_measured_duration_has_three_digits(ms: float | None, text: str) -> None:
    assert measured(ms).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("ms", "text"), [(500, "500 ms"), (2000, "2 s"), (60_000, "1 min"), (90_000, "90 s"), (7_200_000, "2 h")]
)
def test_a_threshold_is_shown_as_it_was_given(ms: float, text: str) -> None:
    assert exact(ms).replace("\u00a0", " ") == text


def test_a_share_is_never_rounded_to_all_or_nothing() -> None:
    assert [share(part).replace("\u00a0", " ") for part in (0, 0.0000666, 0.5, 0.99996, 0.9999999, 1)] == [
        "0 %",
        "0.00666 %",
        "50.0 %",
        "99.996 %",
        "99.99999 %",
        "100 %",
    ]


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_any_share_has_words(number: int, total: int) -> None:
    number, total = sorted((number, total))
    assert part_of(number, total).endswith("%") == (2 * number > total)
    assert (share(number / total).replace("\u00a0", " ") == "100 %") == (number == total)


@given(st.floats(1e-6, 1e12))
def test_digits_are_as_close_as_they_can_be(value: float) -> None:
    found = digits(value)
    assert float(found.replace(",", "")) == pytest.approx(value, rel=0.005001)
    assert "e" not in found


def test_other_figures() -> None:
    assert one_in(154, 739_158) == "1\u00a0in\u00a04,800"
    assert one_in(2, 3) == "1\u00a0in\u00a01.5"
    assert column([0.0239, 10.1, 202.0, None]) == ["0.024\u00a0ms", "10.1\u00a0ms", "202\u00a0ms", "–"]
    assert column([9570.0, 1000.2]) == ["9.57\u00a0s", "1.00\u00a0s"]
    assert [length(s).replace("\u00a0", " ") for s in (15, 11_520, 86_400, 28 * 86_400)] == [
        "15.0 s",
        "3 h 12 min",
        "24 h",
        "28 days",
    ]


@given(
    st.lists(st.integers(0, 10**13), min_size=1, max_size=50),
    st.sampled_from([(), (500.0, 2000.0), (10.0, 11.0), (0.5, 3_600_000.0)]),
)
def test_bars_hold_all_samples_and_thresholds_are_edges(values: list[int], thresholds_ms: Sequence[float]) -> None:
    found = bars(count(values, ()), thresholds_ms)
    assert sum(bar.count for bar in found) == len(values)
    assert set(thresholds_ms) <= {bar.from_ms for bar in found} | {bar.to_ms for bar in found}
    assert all(bar.from_ms < bar.to_ms for bar in found)


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=200))
def test_the_spectrum_rises_from_the_fastest_to_the_slowest(values: list[int]) -> None:
    found = list(spectrum(count(values, ()), 60))
    assert found[0][0] == 0 or len(values) == 1
    assert found[-1] == (math.log10(len(values)), max(values) / 1e6)
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    assert [ms for _, ms in found] == sorted(ms for _, ms in found)
