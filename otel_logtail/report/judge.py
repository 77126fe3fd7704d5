"""Judge targets: met, missed, or not judged because the range has too little data. Pure.

A verdict is about the measured range, and only a range with enough data has one. docs/decisions/0120-not-judged.md has
the rules, and how often they err.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from fractions import Fraction

import msgspec

from otel_logtail.counts import SCALE
from otel_logtail.model import Counts
from otel_logtail.query import Summary
from otel_logtail.query.intervals import percentiles_ns
from otel_logtail.report.distributions import binomial, poisson
from otel_logtail.report.ratios import number_above
from otel_logtail.report.slo import IN_STALLS, Slo
from otel_logtail.text import duration

_EXPECTED = 10  # slow samples (or episodes) that the limit allows: from so many on, the share is known well enough
_LEAST_MEAN = 1000
_LEAST_MEAN_HOURS = 6
_LEAST_MAX = 100
_SHORTEST_S = 10.0  # an episode counts as at least so long in the rule for shares of time
_CHANCE = 0.05  # a target is missed early only if chance alone would do it more rarely
_CLUSTERS = 2  # slow samples of one episode are one event


class Outcome(str, Enum):
    """The verdict on a target."""

    MET = "met"
    MISSED = "missed"
    UNJUDGED = "not judged"


class Verdict(msgspec.Struct, frozen=True):
    """The verdict on one target.

    ``actual`` is the measured figure as text, ``why`` what is missing for a verdict or limits it. ``share`` is the
    figure as a part of its limit: the larger, the worse. ``source`` is the source that it is about; empty: all of them.
    """

    slo: str
    outcome: Outcome
    actual: str
    why: str = ""
    share: float = 0.0
    source: str = ""

    @property
    def is_over(self) -> bool:
        """True if the figure is over its limit, also if the range has too little data for a verdict."""
        return self.share > 1 or (self.share == 1 and "<=" not in self.slo)


_WORST_FIRST = (Outcome.MISSED, Outcome.UNJUDGED, Outcome.MET)


def worst_of(sources: Sequence[tuple[str, Sequence[Verdict]]]) -> tuple[Verdict, ...]:
    """Return the worst verdict on each target.

    Args:
        sources: The name of each source, and its verdicts on the same targets in the same order.
    """
    named = ([msgspec.structs.replace(verdict, source=name) for verdict in verdicts] for name, verdicts in sources)
    return tuple(
        min(verdicts, key=lambda verdict: (_WORST_FIRST.index(verdict.outcome), -verdict.share))
        for verdicts in zip(*named, strict=True)
    )


class Periods(msgspec.Struct, frozen=True):
    """The days, or hours, of a range by number of events.

    ``whole`` are those that the log covers from start to end, ``cut`` the others. Each is (number, label).
    """

    whole: tuple[tuple[int, str], ...] = ()
    cut: tuple[tuple[int, str], ...] = ()


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a range that its targets need.

    ``covered_s`` is the time from its first to its last sample, and of episodes that began before or ended after those.
    ``hours`` is the number of hours with samples.
    ``is_complete``: the store covers the whole range. ``peaks_ms`` are the longest samples of all episodes, and
    ``lengths_s`` the durations of episodes and of stalls. ``periods`` are by subject and period (``stalls/day``).
    """

    summary: Summary
    counts: Counts
    covered_s: float
    hours: int
    is_complete: bool
    peaks_ms: Sequence[float]
    lengths_s: Mapping[str, Sequence[float]]
    stalls: int
    periods: dict[str, Periods]


def judge(slo: Slo, measured: Measured) -> Verdict:
    """Return the verdict on a target."""
    if not measured.summary.count:
        return Verdict(slo.text, Outcome.UNJUDGED, "–", "no samples in this range")
    if slo.percent is not None:
        return _judge_percentile(slo, slo.percent, measured)
    if slo.subject in ("mean", "max"):
        return _judge_duration(slo, measured)
    if slo.subject == "breaches":
        return _judge_breaches(slo, measured)
    if slo.subject in measured.lengths_s:
        return _judge_time(slo, measured)
    return _judge_periods(slo, measured) if slo.per else _judge_number(slo, measured)


def _judge_percentile(slo: Slo, percent: Fraction, measured: Measured) -> Verdict:
    ms = percentiles_ns(measured.counts, [percent])[0] / 1e6
    bound_ms = float(slo.bound)
    over = _number_over(measured.counts, bound_ms)
    # a lower bound: if it is below the threshold, there can be more events, which no episode records
    clusters = sum(peak > bound_ms for peak in measured.peaks_ms)
    return _judge_share(slo, _Figure(duration(ms), ms, over, clusters, (100 - percent) / 100), measured)


def _judge_breaches(slo: Slo, measured: Measured) -> Verdict:
    summary = measured.summary
    slow = summary.degraded + summary.stall
    percent = 100 * slow / summary.count
    limit = Fraction(slo.bound, 100)
    return _judge_share(slo, _Figure(f"{percent:.3g} %", percent, slow, len(measured.peaks_ms), limit), measured)


class _Figure(msgspec.Struct, frozen=True):
    """The figure of a target that allows a share of all samples to be over a limit.

    ``over`` is their number, ``clusters`` the number of episodes that they are in, ``allowed`` the share.
    """

    text: str
    value: float
    over: int
    clusters: int
    allowed: Fraction


def _judge_share(slo: Slo, figure: _Figure, measured: Measured) -> Verdict:
    count = measured.summary.count
    allowed, relative = figure.allowed, _relative(slo, figure.value)
    needed = math.ceil(_EXPECTED / allowed) if allowed else 1
    is_met = slo.is_met(figure.value)
    if count >= needed:
        outcome = Outcome.MET if is_met else Outcome.MISSED
        return Verdict(slo.text, outcome, figure.text, _narrowly(relative), relative)
    is_clear = figure.clusters >= _CLUSTERS and binomial(count, float(allowed), figure.over) <= _CHANCE
    if not is_met and is_clear:
        return Verdict(slo.text, Outcome.MISSED, figure.text, "", relative)
    return Verdict(slo.text, Outcome.UNJUDGED, figure.text, _needs_samples(needed, measured), relative)


def _relative(slo: Slo, value: float) -> float:
    if slo.bound:
        return value / float(slo.bound)
    return 0.0 if slo.is_met(value) else math.inf


def _narrowly(relative: float) -> str:
    return "narrowly" if 0.5 <= relative <= 2 else ""


def _needs_samples(needed: int, measured: Measured) -> str:
    count = measured.summary.count
    rate = count / measured.covered_s if measured.covered_s > 0 else 0.0
    text = f"needs {needed:,} samples, has {count:,}"
    return f"{text} ({_time((needed - count) / rate)} more at this rate)" if rate else text


def _judge_duration(slo: Slo, measured: Measured) -> Verdict:
    summary, counts = measured.summary, measured.counts
    ms = (counts.sum_ns / counts.count if slo.subject == "mean" else counts.max_ns) / 1e6
    relative = _relative(slo, ms)
    outcome = Outcome.MET if slo.is_met(ms) else Outcome.MISSED
    if slo.subject == "max":
        if outcome is Outcome.MET and summary.count < _LEAST_MAX:
            return Verdict(slo.text, Outcome.UNJUDGED, duration(ms), _needs_samples(_LEAST_MAX, measured), relative)
    elif summary.count < _LEAST_MEAN:
        return Verdict(slo.text, Outcome.UNJUDGED, duration(ms), _needs_samples(_LEAST_MEAN, measured), relative)
    elif measured.hours < _LEAST_MEAN_HOURS:
        why = f"needs samples in {_LEAST_MEAN_HOURS} hours, has them in {measured.hours}"
        return Verdict(slo.text, Outcome.UNJUDGED, duration(ms), why, relative)
    return Verdict(slo.text, outcome, duration(ms), "", relative)


def _judge_time(slo: Slo, measured: Measured) -> Verdict:
    """Judge a share of time: it takes some episodes until it is known."""
    lengths = measured.lengths_s[slo.subject]
    summary = measured.summary
    in_s = (summary.time_in_stalls_ms if slo.subject == IN_STALLS else summary.time_in_episodes_ms) / 1e3
    share = min(1.0, in_s / measured.covered_s) if measured.covered_s > 0 else 0.0
    allowed = float(slo.bound) / 100
    actual, relative = f"{100 * share:.3g} %", _relative(slo, 100 * share)
    mean_s = max(sum(lengths) / len(lengths) if lengths else 0.0, _SHORTEST_S)
    is_met = slo.is_met(100 * share)
    if not allowed or measured.covered_s * allowed >= _EXPECTED * mean_s:
        outcome = Outcome.MET if is_met else Outcome.MISSED
        return Verdict(slo.text, outcome, actual, _narrowly(relative), relative)
    expected = measured.covered_s * allowed / mean_s
    if not is_met and len(lengths) >= _CLUSTERS and poisson(expected, len(lengths)) <= _CHANCE:
        return Verdict(slo.text, Outcome.MISSED, actual, "", relative)
    why = f"needs {_time(_EXPECTED * mean_s / allowed)} of log, has {_time(measured.covered_s)}"
    return Verdict(slo.text, Outcome.UNJUDGED, actual, why, relative)


def _judge_periods(slo: Slo, measured: Measured) -> Verdict:
    """Judge a number for each day (hour): any can be too many, and only whole ones can be few enough."""
    periods = measured.periods.get(f"{slo.subject}/{slo.per}", Periods())
    number, label = max((*periods.whole, *periods.cut), key=lambda period: period[0], default=(0, ""))
    actual = f"{number:,} in the worst {slo.per}" + (f", {label}" if number else "")
    relative = _relative(slo, number)
    if not slo.is_met(number):
        return Verdict(slo.text, Outcome.MISSED, actual, "", relative)
    if not periods.whole:
        why = f"no whole {slo.per} in {_time(measured.covered_s)} of log"
        return Verdict(slo.text, Outcome.UNJUDGED, actual, why, relative)
    whole = len(periods.whole)
    why = f"met on {whole:,} of {whole:,} whole {slo.per}s" if whole > 1 else f"one whole {slo.per}"
    if periods.cut:
        why += f"; {len(periods.cut):,} cut {slo.per}{'' if len(periods.cut) == 1 else 's'} left out"
    if not any(count for count, _ in periods.whole):
        why += f"; up to {3 / whole:.2g} a {slo.per} cannot be ruled out"
    return Verdict(slo.text, Outcome.MET, actual, why, relative)


def _judge_number(slo: Slo, measured: Measured) -> Verdict:
    number = measured.stalls if slo.subject == "stalls" else measured.summary.episodes
    relative = _relative(slo, number)
    if not slo.is_met(number):
        return Verdict(slo.text, Outcome.MISSED, f"{number:,}", "", relative)
    if not measured.is_complete:
        return Verdict(slo.text, Outcome.UNJUDGED, f"{number:,}", "the store does not cover the whole range", relative)
    return Verdict(slo.text, Outcome.MET, f"{number:,}", "", relative)


def _number_over(counts: Counts, ms: float) -> int:
    """Return the number of samples in the buckets above a limit."""
    if ms <= 0:
        return counts.count - counts.zeros
    return int(number_above(counts.exponential, math.ceil(math.log2(ms / 1e3) * 2**SCALE) - 1))


def _time(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit != "day" and seconds >= length):
            number = round(seconds / length)
            return f"{number:,} {unit}{'s' if unit == 'day' and number > 1 else ''}"
    return f"{seconds:.0f} s"
