"""Compare two periods of a store: which figures changed, and by how much at least and at most. Pure.

A day is one observation (:mod:`otel_logtail.report.ratios`). Five figures decide the sentence, each with a 99 %
interval, so that it is wrong in at most 5 % of all comparisons of periods without a change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import tzinfo

import msgspec

from otel_logtail.model import Counts
from otel_logtail.query import Hours
from otel_logtail.report.blocks import LEAST_DAYS, Bucket, Covered, Slot, blocks_of, cover, match
from otel_logtail.report.deciding import Deciding
from otel_logtail.report.figures import LEAST_SAMPLES, Figure, Sides, Word, causes_of, figures_of
from otel_logtail.report.news import News, news_of
from otel_logtail.report.periods import Period
from otel_logtail.report.ratios import Varies, factor
from otel_logtail.text import number

_LEAST_HOURS = 6
_OTHER_DAYS = 28
_DAY_LN = 0.12  # the standard deviation of a day's median, as a logarithm, if no other days show it
_POWER = 1.33  # the change that is found in 80 % of all comparisons, as a multiple of the interval's upper half
_LOAD = 1.5  # a load that differs by more than this factor is named
_NAMED = 0.2  # a weight that differs from 1 by more is named: the last hour is rarely whole


class Comparison(msgspec.Struct, frozen=True):
    """The comparison of two periods.

    ``days`` are their covered times in days, ``notes`` limit what it shows. ``news`` are the causes and stages that
    only the later one has. ``samples`` are those that are compared; all, if there is too little data. ``earlier`` are
    the deciding figures of the earlier period, and ``counts`` its durations; None: they were not read.
    """

    sentence: str
    before: Period
    after: Period
    days: tuple[float, float]
    samples: tuple[int, int]
    figures: tuple[Figure, ...]
    causes: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    news: News = News()
    earlier: Deciding | None = None
    counts: Counts | None = None

    @property
    def word(self) -> Word:
        """The verdict of the figures that decide."""
        words = {figure.word for figure in self.figures if figure.decides}
        if words <= {Word.UNJUDGED}:
            return Word.UNJUDGED
        changed = words & {Word.BETTER, Word.WORSE}
        return changed.pop() if len(changed) == 1 else Word.WORSE if changed else Word.UNKNOWN


def compare(
    sides: tuple[Hours, Hours],
    periods: tuple[Period, Period],
    others: Hours | None = None,
    *,
    threshold_ns: int | None = None,
    tz: tzinfo | None = None,
) -> Comparison:
    """Compare two periods.

    Args:
        sides: The hours of both periods, the earlier one first.
        periods: Their ranges.
        others: The hours of neither period, which show how much days vary if the periods are short.
        threshold_ns: The threshold of slow samples today; None: the sources have different ones.
        tz: The time zone of days and hours; None: the local one.
    """
    covered = cover(sides[0].hours.values(), tz), cover(sides[1].hours.values(), tz)
    before, after, weights = match(*covered)
    samples, total = _samples((before, after)), _samples(covered)
    hours = [sum(1 for hour in side if hour.hour) for side in (before, after)]
    days = (sum(hour.days for hour in covered[0]), sum(hour.days for hour in covered[1]))
    if min(hours) < _LEAST_HOURS or min(samples) < LEAST_SAMPLES:
        sentence = f"Too little data to compare: {_too_little(hours, samples, total)}."
        return Comparison(sentence, *periods, days, total, figures=(), causes=())
    table = _sides(sides, (before, after), weights, _other_days(others, after, tz), threshold_ns)
    figures, causes = figures_of(table), causes_of(table)
    return Comparison(
        _sentence(figures, days, is_known=table.is_known),
        *periods,
        days,
        samples,
        figures,
        causes,
        notes=(*_notes(table, weights, covered, (before, after)), *_load(table)),
        news=news_of((sides[0].hours.values(), sides[1].hours.values()), causes),
    )


def _samples(sides: tuple[Sequence[Covered], Sequence[Covered]]) -> tuple[int, int]:
    before, after = (sum(hour.hour.count for hour in side if hour.hour) for side in sides)
    return before, after


def _other_days(others: Hours | None, after: Sequence[Covered], tz: tzinfo | None) -> list[Bucket]:
    """Return the latest other days of the same kind, weekday or weekend, as blocks."""
    if others is None:
        return []
    kinds = {hour.slot[0] for hour in after}
    kept = [hour for hour in cover(others.hours.values(), tz) if hour.slot[0] in kinds]
    return blocks_of(kept, {}, by_day=True)[-_OTHER_DAYS:]


def _sides(
    sides: tuple[Hours, Hours],
    matched: tuple[list[Covered], list[Covered]],
    weights: dict[Slot, float],
    others: list[Bucket],
    threshold_ns: int | None,
) -> Sides:
    before, after = matched
    days = [len({hour.day for hour in side}) for side in (before, after)]
    varies = Varies(days[0] >= LEAST_DAYS, days[1] >= LEAST_DAYS)
    by_day = varies.before or varies.after or len(others) >= LEAST_DAYS
    all_hours = [hour.hour for hour in (*before, *after) if hour.hour]
    return Sides(
        before=blocks_of(before, weights, by_day=by_day),
        after=blocks_of(after, {}, by_day=by_day),
        varies=varies if by_day and (varies.before or varies.after) else Varies(not by_day, not by_day),
        others=others if len(others) >= LEAST_DAYS else [],
        is_known=by_day,
        same_thresholds=len(sides[0].thresholds | sides[1].thresholds) <= 1,
        floor_ln=0.0 if by_day else _DAY_LN * math.sqrt(1 / max(1, days[0]) + 1 / max(1, days[1])),
        lengths_s=(
            sum(hour.length_ns for hour in all_hours) / 1e9,
            sum(hour.squares for hour in all_hours) / 1e18,
        ),
        max_ns=(_longest(before), _longest(after)),
        threshold_ns=threshold_ns,
    )


def _longest(side: Sequence[Covered]) -> int:
    return max((hour.hour.max_ns for hour in side if hour.hour), default=0)


def _too_little(hours: Sequence[int], samples: Sequence[int], total: Sequence[int]) -> str:
    """Return why two periods cannot be compared: their hours and samples that both have, and all of their samples."""
    empty = [side for side, number in zip(("before", "after"), total, strict=True) if not number]
    if empty:
        return f"the period {empty[0]} has no samples" if len(empty) == 1 else "both periods have no samples"
    if not sum(samples):
        return "the periods share no hour of the day and kind of day (weekday or weekend)"
    have = " ".join(
        f"{side}: {number(count, 'sample')} in {number(clock, 'clock hour')}."
        for side, clock, count in zip(("Before", "After"), hours, samples, strict=True)
    )
    shared = "" if list(samples) == list(total) else " Only the hours that both sides have are compared."
    return f"each side needs {LEAST_SAMPLES} samples in {_LEAST_HOURS} clock hours. {have}{shared}".removesuffix(".")


def _sentence(figures: Sequence[Figure], days: tuple[float, float], *, is_known: bool) -> str:
    deciding = [figure for figure in figures if figure.decides]
    worse = [figure for figure in deciding if figure.word is Word.WORSE]
    better = [figure for figure in deciding if figure.word is Word.BETTER]
    span = f" {_days(days[0])} against {_days(days[1])}, 99 % intervals."
    if worse and better:
        return f"Mixed: {_names(better)} better, {_names(worse)} worse.{span}"
    if worse or better:
        found = ", ".join(f"{figure.name} {change_text(figure)}" for figure in worse or better)
        return f"{'Worse' if worse else 'Better'}: {found}.{span}"
    judged = [figure for figure in deciding if figure.word is not Word.UNJUDGED]
    if not judged:
        return "Too little data to compare: no figure can be judged."
    limit = ", ".join(f"{figure.name} by {text}" for figure in judged if (text := _detectable(figure)))
    only = (
        ""
        if is_known
        else f" Only typical latency (p50) is judged: the tail and stalls need {LEAST_DAYS} days on one side."
    )
    growth = f"; to be seen, a figure must grow: {limit}" if limit else ""
    return f"No difference that this data can show{growth}.{only}{span}"


def _names(figures: Sequence[Figure]) -> str:
    return ", ".join(figure.name for figure in figures)


def _days(days: float) -> str:
    if days < 1:
        return f"{days * 24:.0f} h"
    number = f"{days:.1f}".removesuffix(".0")
    return f"{number} day{'' if number == '1' else 's'}"


def _detectable(figure: Figure) -> str:
    """Return the growth that is found in 80 % of all comparisons."""
    if figure.ratio is None or math.isinf(figure.ratio.high) or math.isinf(figure.ratio.change):
        return ""
    return _factor_text(math.exp(_POWER * (figure.ratio.high - figure.ratio.change))).removeprefix("+")


def change_text(figure: Figure) -> str:
    """Return a change with its interval: ``+62 % (+18 to +120 %)``, ``×3.0 (1.3 to 7.4)`` or ``from none``."""
    ratio = figure.ratio
    if ratio is None:
        return "–"
    if math.isinf(ratio.change):
        return "from none" if ratio.change > 0 else "to none"
    change, low, high = map(factor, (ratio.change, ratio.low, ratio.high))
    if 0.5 < change < 2:
        return f"{_factor_text(change)} ({_percent(low)} to {_percent(high)})"
    return f"×{_short(change)} ({_short(low)} to {_short(high)})"


def _factor_text(times: float) -> str:
    return _percent(times) if 0.5 < times < 2 else f"×{_short(times)}"


def _percent(times: float) -> str:
    return f"{100 * (times - 1):+.0f} %" if math.isfinite(times) else "∞"


def _short(times: float) -> str:
    if math.isinf(times):
        return "∞"
    return f"{times:.0f}" if times >= 10 else f"{times:.2g}"


def _notes(
    sides: Sides,
    weights: dict[Slot, float],
    covered: Sequence[Sequence[Covered]],
    kept: Sequence[Sequence[Covered]],
) -> list[str]:
    notes = []
    dropped = sum(map(len, covered)) - sum(map(len, kept))
    if dropped:
        notes.append(f"{dropped} hours are left out: the other period has no such hour of the day and kind of day")
    if any(abs(weight - 1) > _NAMED for weight in weights.values()):
        notes.append("hours of the first period are weighted, so that both have the same hours of the week")
    if not sides.same_thresholds:
        notes.append("the thresholds changed: stalls, episodes and their time are not judged")
    return notes


def _load(sides: Sides) -> list[str]:
    """Name a load that differs, since it may explain a change of the other figures."""
    count, days, stalls = (
        [math.fsum(getattr(bucket, name) for bucket in side) for side in (sides.before, sides.after)]
        for name in ("count", "days", "stalls")
    )
    rates = [number / time for number, time in zip(count, days, strict=True)]
    if 1 / _LOAD <= rates[1] / rates[0] <= _LOAD:
        return []
    per = [f"{1000 * number / samples:.3g}" for number, samples in zip(stalls, count, strict=True)]
    return [
        f"the load differs: {rates[0]:,.0f} samples a day before, {rates[1]:,.0f} after;"
        f" stalls per 1,000 samples: {per[0]} before, {per[1]} after"
    ]
