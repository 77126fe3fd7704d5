"""Comparisons of the contract suite: without a test framework, and with messages that show the first difference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otel_logtail.testing.receiver import Told


def firsts(received: Iterable[Told]) -> list[Told]:
    """Drop repetitions. An item that came again with another value stays, so that a comparison fails."""
    seen: list[Told] = []
    for told in received:
        if told not in seen:
            seen.append(told)
    return seen


def check(holds: bool, otherwise: str) -> None:
    """Raise an ``AssertionError`` with this message unless the condition holds."""
    if not holds:
        raise AssertionError(otherwise)


def check_same(actual: Sequence[Told], expected: Sequence[Told], what: str) -> None:
    """Raise an ``AssertionError`` that shows the first difference of two lists, if they differ."""
    if actual == expected:
        return
    place = 0
    while actual[place : place + 1] == expected[place : place + 1]:
        place += 1
    raise AssertionError(
        f"{what}, {len(actual)} for {len(expected)}, differs first at {place}:\n"
        f"  is        {list(actual[place : place + 1])!r}\n  should be {list(expected[place : place + 1])!r}"
    )


def check_equal(actual: object, expected: object, what: str) -> None:
    """Raise an ``AssertionError`` that shows both values, if they differ."""
    if actual != expected:
        raise AssertionError(f"{what}:\n  is        {actual!r}\n  should be {expected!r}")
