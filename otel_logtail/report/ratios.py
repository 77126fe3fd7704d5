"""Compare two periods: ratios of rates and of quantiles, each with a 99 % interval. Pure.

Samples, minutes and hours of one log depend on each other, so a block (usually a day) is one observation. Both formulas
are closed: the same input always gives the same output. docs/decisions/0119 has the measured error rates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from otel_logtail.counts import SCALE, add_to
from otel_logtail.report.distributions import TAIL, Z, beta_log_odds, expit, student_t

Histogram = Mapping[int, float]
"""Counts by the index of an exponential bucket."""

BUCKET_LN = math.log(2) / 2**SCALE
"""The width of a bucket, as a logarithm."""

_LARGEST_LN = 700.0  # its exponential is still a number


class Ratio(msgspec.Struct, frozen=True):
    """The natural logarithm of a ratio, after to before, with the bounds of its interval.

    ``spread`` is the dispersion that a rate was widened by, ``freedom`` the degrees of freedom.
    """

    change: float
    low: float
    high: float
    spread: float = 1.0
    freedom: float = math.inf


def factor(change: float) -> float:
    """Return the factor of a logarithm; infinity if it is too large."""
    return math.exp(change) if change < _LARGEST_LN else math.inf


class Block(msgspec.Struct, frozen=True):
    """One observation of a rate: ``number`` events in ``exposure`` (days, or samples)."""

    number: float
    exposure: float


class Varies(msgspec.Struct, frozen=True):
    """The sides of a comparison that are long enough to show how much their blocks vary."""

    before: bool = True
    after: bool = True


def rate_ratio(
    before: Sequence[Block],
    after: Sequence[Block],
    varies: Varies,
    least: float = 1.0,
    others: Sequence[Block] = (),
) -> Ratio | None:
    """Compare two rates: a quasi-Poisson interval, which bursts widen.

    Args:
        before: The blocks of the first period.
        after: The blocks of the second period.
        varies: The sides whose blocks give the variance.
        least: The smallest dispersion: 1 for counts, the sum of squares over the sum for times.
        others: Blocks of neither period, which give the variance if no side does.

    Returns:
        The ratio, or None if neither period has an event. If one of them has none, one bound is infinite.
    """
    sums = [(math.fsum(b.number for b in side), math.fsum(b.exposure for b in side)) for side in (before, after)]
    (first, first_exposure), (second, second_exposure) = sums
    if not first + second or not first_exposure or not second_exposure:
        return None
    sides = [side for side, gives in ((before, varies.before), (after, varies.after)) if gives] or [others]
    numbers = sum(math.fsum(block.number for block in side) for side in sides)
    squares = sum(map(_squares, sides))
    spread = max(least, squares / numbers if numbers else 0.0)
    freedom = sum(_freedom([block.exposure for block in side]) for side in sides)
    effective = spread * (student_t(freedom) / Z) ** 2
    a, b = second / effective, first / effective
    longer = math.log(first_exposure / second_exposure)
    return Ratio(
        change=math.log(second / first) + longer if first and second else math.copysign(math.inf, second - first),
        low=beta_log_odds(TAIL, a + 0.5, b + 0.5) + longer if second else -math.inf,
        high=beta_log_odds(1 - TAIL, a + 0.5, b + 0.5) + longer if first else math.inf,
        spread=spread,
        freedom=freedom,
    )


def _squares(side: Sequence[Block]) -> float:
    """Return the squared distance of a side's blocks from its rate."""
    used = [block for block in side if block.exposure > 0]
    if len(used) < 2:
        return 0.0
    rate = math.fsum(b.number for b in used) / math.fsum(b.exposure for b in used)
    total = math.fsum((block.number - rate * block.exposure) ** 2 for block in used)
    return total * len(used) / (len(used) - 1)


def _effective(exposures: Sequence[float]) -> float:
    """Return the number of equal blocks that vary as much as these."""
    squares = math.fsum(exposure * exposure for exposure in exposures)
    return math.fsum(exposures) ** 2 / squares if squares else 0.0


def _freedom(exposures: Sequence[float]) -> float:
    used = [exposure for exposure in exposures if exposure > 0]
    return max(1.0, min(len(used) - 1, _effective(used) - 1))


class _Quantile(msgspec.Struct, frozen=True):
    """A quantile of one side: the index of its bucket, and the variance of the share above it."""

    index: int
    number: float
    variance: float
    freedom: float
    effective: float


def quantile_ratio(
    before: Sequence[Histogram],
    after: Sequence[Histogram],
    share: float,
    varies: Varies,
    others: Sequence[Histogram] = (),
    least_ln: float = 0.0,
) -> Ratio | None:
    """Compare one quantile of two periods.

    Args:
        before: The histograms of the blocks of the first period.
        after: The histograms of the blocks of the second period.
        share: The share of samples at or below the quantile, such as 0.99.
        varies: The sides whose blocks give the variance.
        others: Blocks of neither period, which give the variance if no side does.
        least_ln: The standard deviation of a day's quantile, as a logarithm, that is added if nothing else is known.

    Returns:
        The ratio, or None if a period has no samples.
    """
    sides = [_quantile(blocks, share) for blocks in (before, after)]
    first, second = sides
    if first is None or second is None:
        return None
    pair = _share_variances(first, second, share, varies, _quantile(others, share) if others else None)
    freedom = pair[2]
    (first_low, first_high), (second_low, second_high) = (
        _bounds(blocks, share, variance, freedom) for blocks, variance in ((before, pair[0]), (after, pair[1]))
    )
    first_at, second_at = first.index * BUCKET_LN, second.index * BUCKET_LN
    change = second_at - first_at
    down = math.hypot(second_at - second_low, first_high - first_at, Z * least_ln)
    up = math.hypot(second_high - second_at, first_at - first_low, Z * least_ln)
    return Ratio(change, change - down, change + up, freedom=freedom)


def _share_variances(
    first: _Quantile, second: _Quantile, share: float, varies: Varies, others: _Quantile | None
) -> tuple[float, float, float]:
    """Return the variance of the share above the quantile for each side, and the degrees of freedom."""
    binomial = share * (1 - share)
    if varies.before and varies.after:
        summed = (first.variance + second.variance) ** 2
        parts = first.variance**2 / first.freedom + second.variance**2 / second.freedom
        return first.variance, second.variance, summed / parts
    known = first if varies.before else second if varies.after else others
    if known is None:
        return binomial / first.number, binomial / second.number, math.inf
    per_block = known.variance * known.effective
    return (
        first.variance if varies.before else max(per_block / first.effective, binomial / first.number),
        second.variance if varies.after else max(per_block / second.effective, binomial / second.number),
        known.freedom,
    )


def merged(blocks: Sequence[Histogram]) -> dict[int, float]:
    """Add up the histograms of blocks."""
    total: dict[int, float] = {}
    for block in blocks:
        add_to(total, dict(block) if not isinstance(block, dict) else block)
    return total


def quantile_index(histogram: Histogram, share: float) -> int:
    """Return the index of the first bucket that, with all below it, holds this share of the samples."""
    left = share * math.fsum(histogram.values())
    for index in sorted(histogram):
        left -= histogram[index]
        if left <= 1e-9:
            return index
    return max(histogram)


def number_above(histogram: Histogram, index: int) -> float:
    """Return the number of samples in the buckets above one."""
    return math.fsum(count for at, count in histogram.items() if at > index)


def _quantile(blocks: Sequence[Histogram], share: float) -> _Quantile | None:
    total = merged(blocks)
    number = math.fsum(total.values())
    if not number:
        return None
    index = quantile_index(total, share)
    used = [(math.fsum(block.values()), block) for block in blocks]
    used = [(count, block) for count, block in used if count]
    overall = number_above(total, index) / number
    squares = math.fsum((number_above(block, index) - overall * count) ** 2 for count, block in used)
    spread = squares * len(used) / (len(used) - 1) if len(used) > 1 else 0.0
    counts = [count for count, _ in used]
    return _Quantile(
        index=index,
        number=number,
        variance=max(spread, number * share * (1 - share)) / number**2,
        freedom=_freedom(counts),
        effective=_effective(counts),
    )


def _bounds(blocks: Sequence[Histogram], share: float, variance: float, freedom: float) -> tuple[float, float]:
    """Return the bounds of one side's quantile, in logarithms."""
    total = merged(blocks)
    number = math.fsum(total.values())
    half = student_t(freedom) * math.sqrt(variance) / (share * (1 - share))
    middle = math.log((1 - share) / share)
    low = quantile_index(total, 1 - expit(middle + half)) * BUCKET_LN
    above = expit(middle - half)
    high = math.inf if above * number < 0.5 else quantile_index(total, 1 - above) * BUCKET_LN
    return low, high
