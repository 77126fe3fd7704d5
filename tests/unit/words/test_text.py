"""One grammar each for durations, sizes and points in time, and the errors of wrong values."""

from __future__ import annotations

import time

import pytest

from otel_logtail.errors import UsageError
from otel_logtail.text import parse_duration, parse_size, parse_when, short, size, span

MS, S = 10**6, 10**9
NOW = 1_795_600_000 * S


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("500ms", 500 * MS),
        ("250us", MS // 4),
        ("90s", 90 * S),
        ("1.5s", 1500 * MS),
        ("1m", 60 * S),
        ("30min", 1800 * S),
        ("1d12h", 129_600 * S),
        ("1d 12 h", 129_600 * S),
        (" 2W ", 1_209_600 * S),
        ("1h30m15s250ms", 5_415_250 * MS),
        ("0s", 0),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, ns: int) -> None:
    assert parse_duration(text) == ns
    assert parse_when(text, NOW) == NOW - ns


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("30", "missing unit"),
        ("1d12", "missing unit"),
        ("30 moons", "unknown unit 'moons'"),
        ("", "expected a number and a unit, e.g. 30s"),
        ("soon", "expected a number and a unit, e.g. 30s"),
        ("-5m", "expected a number and a unit, e.g. 30s"),
        ("1e3s", "unknown unit 'e'"),
        ("1.2.3s", "expected a number and a unit, e.g. 30s"),
        ("\u0663h", "expected a number and a unit, e.g. 30s"),
    ],
)
def test_the_error_for_an_invalid_duration_has_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        parse_duration(text)


def test_a_long_wrong_text_is_refused_at_once() -> None:
    began = time.monotonic()
    for text in ("1" * 5000 + "!", "1 " * 5000 + "!", "1s" * 5000):
        with pytest.raises(ValueError, match="expected a number"):
            parse_duration(text)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4096", 4096),
        ("12b", 12),
        ("2k", 2000),
        ("2KB", 2000),
        ("2ki", 2048),
        ("2 KiB", 2048),
        ("500MB", 500_000_000),
        ("1.5GiB", 3 << 29),
        ("1t", 10**12),
    ],
)
def test_a_size_is_a_number_with_or_without_a_unit(text: str, number: int) -> None:
    assert parse_size(text) == number


@pytest.mark.parametrize("text", ["", "big", "-1", "1 barrel", "1GiB5", "1GiB 5MiB", "0x10"])
def test_a_text_that_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a number|unknown unit"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon", "expected a time"),
        ("18:30", "expected a time"),
        ("24", "missing unit"),
        ("5y", "unknown unit 'y'"),
        ("2026-13-01", "month must be in 1..12"),
    ],
)
def test_a_text_that_is_not_a_time_names_its_flag(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=r"^invalid --since '") as caught:
        parse_when(text, NOW, where="--since")
    assert why in str(caught.value)


def test_values_are_shown_in_the_unit_that_fits() -> None:
    assert [span(s) for s in (0.4, 119, 120, 7200, 172_800)] == ["0 s", "119 s", "2 min", "2 h", "2 d"]
    assert [short(ms) for ms in (15.625, 500, 2000, 90_000, 150_000)] == ["15.6 ms", "500 ms", "2 s", "90 s", "2.5 min"]
    assert [size(n) for n in (12, 1023, 1024, 3 << 20, 5 << 30)] == ["12 B", "1023 B", "1.0 KiB", "3.0 MiB", "5.0 GiB"]
