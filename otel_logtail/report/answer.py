"""The answer in one sentence: is the latency tolerable, and which figure decides. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from otel_logtail.report.judge import Outcome, Verdict
from otel_logtail.text import iso

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
    if not met:
        first = unjudged[0]
        return Answer(Outcome.UNJUDGED, f"Not judged: {first.slo} {first.why}")
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
        name = max(missed, key=lambda verdict: verdict.share).source
        number = sum(verdict.outcome is Outcome.MISSED for verdict in dict(sources)[name])
        rest = f"{clean} of {total} sources meet all" if clean else "no source meets all"
        return Answer(Outcome.MISSED, f"Not tolerable: {name} misses {number} of {targets} targets; {rest}")
    unjudged = [verdict for verdict in worst if verdict.outcome is Outcome.UNJUDGED]
    if unjudged:
        names = ", ".join(f"{verdict.slo} of {verdict.source}" for verdict in unjudged)
        is_open = all(verdict.outcome is not Outcome.MET for _, verdicts in sources for verdict in verdicts)
        return Answer(Outcome.UNJUDGED, f"{'Not judged' if is_open else 'Tolerable so far; not judged'}: {names}")
    tightest = max(worst, key=lambda verdict: verdict.share)
    return Answer(
        Outcome.MET,
        f"Tolerable: all {total} sources meet all targets; the tightest is {tightest.slo} of {tightest.source},"
        f" {_figure(tightest)}",
    )


def _figure(verdict: Verdict) -> str:
    """Return the measured figure and its name: ``p99 1.567 s``, ``6 stalls on 2026-11-10``, ``no stall on any day``."""
    name = verdict.slo.partition("<")[0].strip()
    name = "time in stalls" if name.lower() == "stalled" else name
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
    day = iso(newest_ns)[:10]
    return f"; newest sample: {iso(newest_ns)[:19]}Z; try --since {day}"
