"""The answer in one sentence: is the latency tolerable, and which figure decides. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from otel_logtail.report.judge import Outcome, Verdict
from otel_logtail.text import local

MARKS = {Outcome.MET: "✓", Outcome.MISSED: "✗", Outcome.UNJUDGED: "–"}
"""A sign for each verdict, beside its word and color."""


class Answer(msgspec.Struct, frozen=True):
    """The sentence, and the verdict of all targets together."""

    outcome: Outcome
    sentence: str


def answer(verdicts: Sequence[Verdict], *, count: int, newest_ns: int | None, are_default: bool) -> Answer:
    """Return the answer.

    Args:
        verdicts: The verdicts on all targets, at least one.
        count: The number of samples.
        newest_ns: The time of the newest sample in the store, for a range without samples.
        are_default: The user gave no targets.
    """
    of = "default target" if are_default else "target"
    if not count:
        return Answer(Outcome.UNJUDGED, f"Not judged: no samples in this range{_newest(newest_ns)}")
    missed = sorted((v for v in verdicts if v.outcome is Outcome.MISSED), key=lambda v: -v.share)
    met = sorted((v for v in verdicts if v.outcome is Outcome.MET), key=lambda v: -v.share)
    unjudged = [v for v in verdicts if v.outcome is Outcome.UNJUDGED]
    if missed:
        worst = missed[0]
        more = f"; {len(missed) - 1} more missed" if len(missed) > 1 else ""
        return Answer(Outcome.MISSED, f"Not tolerable: {_figure(worst)}, the {of} is {worst.slo}{more}")
    if not met or any(v.is_over for v in unjudged):
        return Answer(Outcome.UNJUDGED, _not_judged(unjudged))
    tightest = f"{_figure(met[0])}, the {of} is {met[0].slo}"
    if unjudged:
        names = ", ".join(v.slo for v in unjudged)
        return Answer(Outcome.UNJUDGED, f"Tolerable so far: {tightest}; not judged: {names}")
    narrowly = " (narrowly)" if any("narrowly" in v.why for v in met) else ""
    return Answer(Outcome.MET, f"Tolerable{narrowly}: {tightest}")


def answer_of_several(sources: Sequence[tuple[str, Sequence[Verdict]]], worst: Sequence[Verdict]) -> Answer:
    """Return the answer of several sources.

    Args:
        sources: The name of each source, and its verdicts.
        worst: The worst verdict on each target, with its source.
    """
    total, targets = len(sources), len(worst)
    clean = sum(all(verdict.outcome is Outcome.MET for verdict in verdicts) for _, verdicts in sources)
    missed = [verdict for verdict in worst if verdict.outcome is Outcome.MISSED]
    if missed:
        first = max(missed, key=lambda verdict: verdict.share)
        name = first.source
        number = sum(verdict.outcome is Outcome.MISSED for verdict in dict(sources)[name])
        rest = f"{clean} of {total} sources meet all" if clean else "no source meets all"
        figure = f"{_figure(first)}, the target is {first.slo}"
        return Answer(Outcome.MISSED, f"Not tolerable: {name} misses {number} of {targets} targets ({figure}); {rest}")
    unjudged = [verdict for verdict in worst if verdict.outcome is Outcome.UNJUDGED]
    if unjudged:
        is_open = all(verdict.outcome is not Outcome.MET for _, verdicts in sources for verdict in verdicts)
        if is_open or any(verdict.is_over for verdict in unjudged):
            return Answer(Outcome.UNJUDGED, _not_judged(unjudged))
        names = ", ".join(f"{verdict.slo} of {verdict.source}" for verdict in unjudged)
        return Answer(Outcome.UNJUDGED, f"Tolerable so far; not judged: {names}")
    tightest = max(worst, key=lambda verdict: verdict.share)
    return Answer(
        Outcome.MET,
        f"Tolerable: all {total} sources meet all targets; the tightest is {tightest.slo} of {tightest.source},"
        f" {_figure(tightest)}",
    )


def _not_judged(unjudged: Sequence[Verdict]) -> str:
    """Return why there is no verdict: on the target whose figure is farthest over its limit, or else on the first."""
    over = [verdict for verdict in unjudged if verdict.is_over]
    first = max(over, key=lambda verdict: verdict.share) if over else unjudged[0]
    of = f" of {first.source}" if first.source else ""
    if not over:
        return f"Not judged: {first.slo}{of} {first.why}"
    name = _name(first)
    verb = "are" if name.lower() == "breaches" else "is"
    return f"Not judged: {name}{of} {verb} {first.actual}, over {first.slo}, but {first.why}"


def _name(verdict: Verdict) -> str:
    name = verdict.slo.partition("<")[0].strip()
    return "time in stalls" if name.lower() == "stalled" else name


def _figure(verdict: Verdict) -> str:
    """Return the measured figure and its name: ``p99 1.567 s``, ``6 stalls on 2026-11-10``, ``no stall on any day``."""
    name = _name(verdict)
    if name.lower() in ("stalls", "episodes"):
        number, _, rest = verdict.actual.partition(" ")
        one = name.lower().removesuffix("s")
        noun = one if number == "1" else name.lower()
        found = re.fullmatch(r"in the worst (day|hour)(?:, (.+))?", rest)
        if found is None:
            return f"{number} {noun}{' ' + rest if rest else ''}"
        per, when = found.groups()
        if when is None:
            return f"no {one} {'on' if per == 'day' else 'in'} any {per}"
        return f"{number} {noun} {'on' if per == 'day' else 'in the hour from'} {when}"
    return f"{name} {verdict.actual}"


def _newest(newest_ns: int | None) -> str:
    if newest_ns is None:
        return "; the store has none yet"
    return f"; try --since {local(newest_ns)[:10]}, the day of the newest sample"
