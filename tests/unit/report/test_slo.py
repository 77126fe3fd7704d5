"""Targets as users write them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from otel_logtail.errors import UsageError
from otel_logtail.report.slo import Slo, parse_slo

METRICS = "p1 to p99.999, mean, max, stalls, episodes, breaches, stalled, time in stalls, time in episodes"


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
        (" stalled<=0.5 % ", ("time in stalls", Fraction(1, 2), True, "")),
        ("Time in  stalls<0.5%", ("time in stalls", Fraction(1, 2), False, "")),
        ("time in episodes < 1%", ("time in episodes", 1, False, "")),
    ],
)
def test_a_target_is_parsed(text: str, expected: tuple[str, int | Fraction, bool, str]) -> None:
    slo = parse_slo(text)
    assert slo == Slo(text.strip(), expected[0], Fraction(expected[1]), expected[2], expected[3])
    assert slo.percent == (Fraction(expected[0][1:]) if expected[0][0] == "p" else None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected METRIC<LIMIT or METRIC<=LIMIT"),
        ("p99", "expected METRIC<LIMIT or METRIC<=LIMIT"),
        ("p99>500ms", "expected METRIC<LIMIT or METRIC<=LIMIT"),
        ("p99=500ms", "expected METRIC<LIMIT or METRIC<=LIMIT"),
        ("p99<-5ms", "expected METRIC<LIMIT or METRIC<=LIMIT"),
        ("p99<500", "p99 is a duration: missing unit"),
        ("p99<500 moons", "p99 is a duration: unknown unit 'moons'"),
        ("p0<5ms", "percentiles range from p1 to p99.999"),
        (
            "p100<5ms",
            "unknown metric p100, expected one of METRICS",
        ),
        ("stalls<5/week", "stalls is a count: write 5, 5/day or 5/hour"),
        ("stalls<5ms", "stalls is a count: write 5, 5/day or 5/hour"),
        ("episodes<5day", "episodes is a count: write 5, 5/day or 5/hour"),
        ("breaches<5", "breaches is a share: write 5%"),
        ("stalled<5s", "stalled is a share: write 5%"),
        (
            "latency<5s",
            "unknown metric latency, expected one of METRICS",
        ),
    ],
)
def test_an_invalid_target_is_one_error_with_examples(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_slo(text)
    assert str(caught.value) == f"invalid --slo {text!r}: {why.replace('METRICS', METRICS)}"
    assert caught.value.hint.startswith("for example p99<500ms")
    assert caught.value.exit_code == 2


def test_the_examples_in_the_hint_are_valid() -> None:
    with pytest.raises(UsageError) as caught:
        parse_slo("?")
    for example in caught.value.hint.removeprefix("for example ").split(", "):
        parse_slo(example)


def test_a_value_equal_to_the_limit_meets_only_a_target_with_equals() -> None:
    assert not parse_slo("p99<500ms").is_met(500.0)
    assert parse_slo("p99<=500ms").is_met(500.0)
    assert Slo("x", "mean", Fraction(1, 3), False).is_met(1 / 3) == (Fraction(1, 3) > 1 / 3)
