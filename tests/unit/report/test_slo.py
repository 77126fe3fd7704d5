"""What can be tolerated, as people write it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from otel_logtail.errors import UsageError
from otel_logtail.report.slo import Slo, parse_slo


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p99<500ms", ("p99", 500, False, "")),
        ("p99.9 <= 1.5s", ("p99.9", 1500, True, "")),
        ("P50 < 2 min", ("p50", 120_000, False, "")),
        ("mean<20ms", ("mean", 20, False, "")),
        ("max<=10s", ("max", 10_000, True, "")),
        ("stalls<5/day", ("stalls", 5, False, "day")),
        ("stalls <= 1 / hour", ("stalls", 1, True, "hour")),
        ("episodes<20", ("episodes", 20, False, "")),
        ("breaches<1%", ("breaches", 1, False, "")),
        (" stalled<=0.5 % ", ("stalled", Fraction(1, 2), True, "")),
    ],
)
def test_what_is_written_is_what_is_meant(text: str, expected: tuple[str, int | Fraction, bool, str]) -> None:
    slo = parse_slo(text)
    assert slo == Slo(text.strip(), expected[0], Fraction(expected[1]), expected[2], expected[3])
    assert slo.percent == (Fraction(expected[0][1:]) if expected[0][0] == "p" else None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not: what, < or <=, how much"),
        ("p99", "it is not: what, < or <=, how much"),
        ("p99>500ms", "it is not: what, < or <=, how much"),
        ("p99=500ms", "it is not: what, < or <=, how much"),
        ("p99<-5ms", "it is not: what, < or <=, how much"),
        ("p99<500", "p99 is a duration: missing unit"),
        ("p99<500 moons", "p99 is a duration: unknown unit 'moons'"),
        ("p0<5ms", "a percentile is from p1 to p99.999"),
        ("p100<5ms", "there is no p100; there are p1 to p99.999, mean, max, stalls, episodes, breaches, stalled"),
        ("stalls<5/week", "stalls are counted: a number, or a number with /day or /hour"),
        ("stalls<5ms", "stalls are counted: a number, or a number with /day or /hour"),
        ("episodes<5day", "episodes are counted: a number, or a number with /day or /hour"),
        ("breaches<5", "breaches is a share: 5 needs % behind it"),
        ("stalled<5s", "stalled is a share: 5 needs % behind it"),
        ("latency<5s", "there is no latency; there are p1 to p99.999, mean, max, stalls, episodes, breaches, stalled"),
    ],
)
def test_what_can_not_be_meant_is_one_error(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_slo(text)
    assert str(caught.value) == f"--slo {text!r}: {why}"
    assert caught.value.hint.startswith("such as p99<500ms")
    assert caught.value.exit_code == 2


def test_the_examples_of_the_hint_are_ones() -> None:
    with pytest.raises(UsageError) as caught:
        parse_slo("?")
    for example in caught.value.hint.removeprefix("such as ").split(", "):
        parse_slo(example)


def test_at_the_bound_the_sign_decides() -> None:
    assert not parse_slo("p99<500ms").holds(500.0)
    assert parse_slo("p99<=500ms").holds(500.0)
    assert Slo("x", "mean", Fraction(1, 3), False).holds(1 / 3) == (Fraction(1, 3) > 1 / 3)
