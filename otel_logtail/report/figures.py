"""The figures of two periods, and whether each of them changed. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum

import msgspec

from otel_logtail.report.blocks import Bucket
from otel_logtail.report.ratios import (
    BUCKET_LN,
    Block,
    Ratio,
    Varies,
    merged,
    number_above,
    quantile_index,
    quantile_ratio,
    rate_ratio,
)

LEAST_SAMPLES = 100
_IN_TAIL = 10  # samples above a quantile from which it is judged


class Word(str, Enum):
    """The verdict on one figure."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "about the same"
    UNKNOWN = "no difference shown"
    UNJUDGED = "not judged"
    MORE = "larger share"
    LESS = "smaller share"
    NONE = ""


class Figure(msgspec.Struct, frozen=True):
    """One figure of both periods.

    ``before`` and ``after`` are None if a period has no value. ``unit`` is ``ms``, ``%``, ``/day`` or empty. ``ratio``
    is None if the figure is not judged. ``decides``: the sentence depends on it.
    """

    name: str
    unit: str
    before: float | None
    after: float | None
    word: Word
    ratio: Ratio | None = None
    decides: bool = False


class Sides(msgspec.Struct, frozen=True):
    """The blocks of both periods, and where their variance is known from.

    ``others`` are days of neither period, which give the variance if both are short. ``is_known``: a variance is known
    at all. ``max_ns`` are the longest samples of both periods. ``same_thresholds``: the thresholds did not change.
    ``threshold_ns`` is today's (None: several sources). ``floor_ln`` widens the interval of a quantile if no variance
    of days is known. ``lengths_s`` are the sum of the durations of all episodes, and the sum of their squares.
    """

    before: list[Bucket]
    after: list[Bucket]
    varies: Varies
    others: list[Bucket]
    is_known: bool
    same_thresholds: bool
    floor_ln: float
    lengths_s: tuple[float, float]
    max_ns: tuple[int, int]
    threshold_ns: int | None


def figures_of(sides: Sides) -> tuple[Figure, ...]:
    """Return the rows of the comparison. Five of them decide its sentence."""
    length, squares = sides.lengths_s
    is_tail_known = sides.is_known
    are_episodes_known = sides.is_known and sides.same_thresholds
    least_time = squares / length if length else 1.0
    return (
        _quantile(sides, "p50", 0.5, decides=True),
        _quantile(sides, "p90", 0.9),
        _quantile(sides, "p99", 0.99, decides=True),
        _quantile(sides, "p99.9", 0.999),
        Figure("max", "ms", sides.max_ns[0] / 1e6, sides.max_ns[1] / 1e6, Word.NONE),
        _rate(
            sides, "mean", "ms", lambda b: Block(b.sum_s, b.count), 1e3, least=_least_mean(sides), judge=is_tail_known
        ),
        _slow(sides),
        _rate(sides, "stalls", "/day", lambda b: Block(b.stalls, b.days), judge=are_episodes_known, decides=True),
        _rate(sides, "episodes", "/day", lambda b: Block(b.episodes, b.days), judge=are_episodes_known),
        _rate(
            sides,
            "time in episodes",
            "%",
            lambda b: Block(b.time_s, b.days),
            100 / 86_400,
            least=least_time,
            judge=are_episodes_known,
            decides=True,
        ),
    )


def _slow(sides: Sides) -> Figure:
    """Return the share of slow samples; if the thresholds changed, of those above today's in both periods."""
    threshold_ns = sides.threshold_ns

    def block(bucket: Bucket) -> Block:
        if sides.same_thresholds or threshold_ns is None:
            return Block(bucket.slow, bucket.count)
        return Block(number_above(bucket.histogram, round(math.log(threshold_ns / 1e9) / BUCKET_LN) - 1), bucket.count)

    judge = sides.is_known and (sides.same_thresholds or threshold_ns is not None)
    return _rate(sides, "slow samples", "%", block, 100.0, judge=judge, decides=True)


def _least_mean(sides: Sides) -> float:
    histogram = merged([block.histogram for block in (*sides.before, *sides.after)])
    values = [(math.exp((index + 0.5) * BUCKET_LN), number) for index, number in histogram.items()]
    total = math.fsum(value * number for value, number in values)
    return math.fsum(value * value * number for value, number in values) / total if total else 1.0


def _rate(
    sides: Sides,
    name: str,
    unit: str,
    block: Callable[[Bucket], Block],
    scale: float = 1.0,
    *,
    least: float = 1.0,
    judge: bool,
    decides: bool = False,
) -> Figure:
    before, after, others = ([block(bucket) for bucket in side] for side in (sides.before, sides.after, sides.others))
    values = (_value(before, scale), _value(after, scale))
    judge = judge and None not in values
    ratio = rate_ratio(before, after, sides.varies, least, others) if judge else None
    return Figure(
        name=name,
        unit=unit,
        before=values[0],
        after=values[1],
        word=_word(ratio, 0.10) if judge else Word.UNJUDGED,
        ratio=ratio,
        decides=decides,
    )


def _value(blocks: Sequence[Block], scale: float) -> float | None:
    exposure = math.fsum(block.exposure for block in blocks)
    return scale * math.fsum(block.number for block in blocks) / exposure if exposure else None


def _quantile(sides: Sides, name: str, share: float, *, decides: bool = False) -> Figure:
    before, after, others = (
        [bucket.histogram for bucket in side] for side in (sides.before, sides.after, sides.others)
    )
    totals = [merged(side) for side in (before, after)]
    values = [_ms(quantile_index(total, share)) if total else None for total in totals]
    is_median = share == 0.5
    needed = LEAST_SAMPLES if is_median else math.ceil(_IN_TAIL / (1 - share) - 1e-9)
    judge = min(map(_number, totals)) >= needed and (sides.is_known or is_median)
    ratio = None
    word = Word.UNJUDGED
    if judge:
        ratio = quantile_ratio(before, after, share, sides.varies, others, sides.floor_ln)
        word = _word(ratio, 0.05 if is_median else 0.10)
        if not is_median and word in (Word.BETTER, Word.WORSE) and not _is_confirmed(sides, totals[0], share, word):
            word = Word.UNKNOWN
    return Figure(name, "ms", values[0], values[1], word, ratio, decides)


def _is_confirmed(sides: Sides, total: dict[int, float], share: float, word: Word) -> bool:
    """Return whether the share of samples above the first period's quantile changed, too, in the same direction."""
    index = quantile_index(total, share)
    before, after, others = (
        [Block(number_above(bucket.histogram, index), bucket.count) for bucket in side]
        for side in (sides.before, sides.after, sides.others)
    )
    ratio = rate_ratio(before, after, sides.varies, 1.0, others)
    return ratio is not None and (ratio.low > 0 if word is Word.WORSE else ratio.high < 0)


def _number(histogram: dict[int, float]) -> float:
    return math.fsum(histogram.values())


def _ms(index: int) -> float:
    return math.exp((index + 0.5) * BUCKET_LN) * 1e3


def _word(ratio: Ratio | None, least: float) -> Word:
    """Return the word for a change that matters from ``least`` (0.05: 5 %) on."""
    if ratio is None:
        return Word.SAME
    most = math.log1p(least)
    if ratio.low > 0 and ratio.change >= most:
        return Word.WORSE
    if ratio.high < 0 and ratio.change <= math.log1p(-least):
        return Word.BETTER
    is_small = -most <= ratio.low and ratio.high <= most
    return Word.SAME if is_small or ratio.low > 0 or ratio.high < 0 else Word.UNKNOWN


def causes_of(sides: Sides) -> tuple[Figure, ...]:
    """Return the share of each cause in all slow samples. It never decides, and a larger share is not worse."""
    names = {cause for bucket in (*sides.before, *sides.after) for cause in bucket.causes}
    found = (
        _rate(
            sides,
            cause,
            "%",
            lambda b, cause=cause: Block(b.causes[cause], b.slow),  # type: ignore[misc]
            100.0,
            judge=sides.is_known,
        )
        for cause in sorted(names)
    )
    return tuple(msgspec.structs.replace(figure, word=_SHARES.get(figure.word, figure.word)) for figure in found)


_SHARES = {Word.WORSE: Word.MORE, Word.BETTER: Word.LESS}
