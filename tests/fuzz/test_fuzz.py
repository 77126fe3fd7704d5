"""Each target accepts its seeds, and the limits on time and memory hold a fault that the parsers do not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fuzz.run import TARGETS, replay
from tests.fuzz.target import LARGE, SMALL, Target, TooMuch, check_cost, grown


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_accepts_its_seeds(name: str) -> None:
    assert replay(TARGETS[name]) > 0


class Work:
    """A parser with a clock of its own: it takes a second for each step of ``steps``."""

    def __init__(self, steps: Callable[[int], float], bytes_for_each: int = 0) -> None:
        self.now_s = 0.0
        self._steps = steps
        self._bytes_for_each = bytes_for_each

    def run(self, data: bytes) -> None:
        bytearray(self._bytes_for_each * len(data))
        self.now_s += self._steps(len(data))

    def check(self) -> None:
        check_cost(Target("work", self.run, _none), b"abc", lambda: self.now_s)


def _none() -> Iterator[bytes]:
    return iter(())


def test_a_time_that_is_linear_in_the_length_is_accepted() -> None:
    Work(lambda length: 5.0 + length).check()


def test_a_time_that_is_quadratic_in_the_length_is_a_finding() -> None:
    with pytest.raises(TooMuch, match="the time is not linear"):
        Work(lambda length: length * length).check()


def test_a_quadratic_time_that_is_short_is_accepted() -> None:
    Work(lambda length: length * length * 1e-13).check()


def test_much_memory_for_each_byte_is_a_finding() -> None:
    with pytest.raises(TooMuch, match="bytes of memory"):
        Work(float, bytes_for_each=200).check()


def test_an_input_is_grown_by_one_of_its_pieces() -> None:
    data = b"0123456789 abcdefghijklmnopqrstuvwxyz"
    small, large = grown(data, SMALL), grown(data, LARGE)
    for found, length in ((small, SMALL), (large, LARGE)):
        assert abs(len(found) - length) <= len(data)
        assert set(found) == set(data)
