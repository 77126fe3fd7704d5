"""Probabilities: Student's t, the beta distribution, and the numbers of events that chance gives. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

CONFIDENCE = 0.99
TAIL = (1 - CONFIDENCE) / 2
Z = 2.5758293035489  # the normal distribution's quantile at 1 - TAIL


def binomial(count: int, share: float, number: int) -> float:
    """Return the probability of at least ``number`` among ``count``, each with this chance."""
    return 1.0 if number <= 0 else beta_below(share, number, count - number + 1)


def poisson(expected: float, number: int) -> float:
    """Return the probability of at least ``number`` events where so many are expected."""
    below = (
        sum(math.exp(-expected + at * math.log(expected) - math.lgamma(at + 1)) for at in range(number))
        if expected
        else 1.0
    )
    return max(0.0, 1.0 - below)


def expit(log_odds: float) -> float:
    """Return the share with these log-odds."""
    return 1 / (1 + math.exp(-log_odds))


@lru_cache(maxsize=256)
def student_t(freedom: float) -> float:
    """Return the quantile of Student's t at the upper end of the interval."""
    if math.isinf(freedom):
        return Z
    return _border(0.0, 700.0, lambda t: beta_below(freedom / (freedom + t * t), freedom / 2, 0.5) / 2 > TAIL)


@lru_cache(maxsize=256)
def beta_log_odds(share: float, a: float, b: float) -> float:
    """Return the log-odds of the quantile of a beta distribution. A value near 0 or 1 would lose its digits."""
    return _border(-60.0, 60.0, lambda log_odds: beta_below(expit(log_odds), a, b) < share)


def _border(low: float, high: float, is_below: Callable[[float], bool]) -> float:
    """Return the place up to which a condition is true."""
    for _ in range(60):
        middle = (low + high) / 2
        if is_below(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_below(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function (Numerical Recipes, 6.4: Lentz's continued fraction)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    value = d
    for m in range(1, 10_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + step * d or tiny)
            c = 1 + step / c or tiny
            value *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return value
