"""Targets that a range can carry are met or missed; the others are not judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec
import pytest

from otel_logtail.counts import count
from otel_logtail.query import Summary
from otel_logtail.report.answer import answer, answer_of_several
from otel_logtail.report.judge import Measured, Outcome, Periods, Verdict, judge, worst_of
from otel_logtail.report.slo import IN_EPISODES, IN_STALLS, parse_slo

MET, MISSED, UNJUDGED = Outcome.MET, Outcome.MISSED, Outcome.UNJUDGED
DAY_S = 86_400.0


def measure(
    durations_ms: Sequence[float] = (1.0,),
    *,
    covered_s: float = DAY_S,
    hours: int = 24,
    complete: bool = True,
    peaks_ms: Sequence[float] = (),
    lengths_s: Sequence[float] = (),
    days: Periods | None = None,
) -> Measured:
    """Make the figures of a range; each episode is a stall, and slow samples are those from 500 ms."""
    counts = count([round(ms * 1e6) for ms in durations_ms], ())
    slow = sum(ms >= 500 for ms in durations_ms)
    in_ms = 1e3 * sum(lengths_s)
    summary = Summary(
        count=len(durations_ms),
        mean_ms=0.0,
        p50_ms=0.0,
        p90_ms=0.0,
        p99_ms=0.0,
        max_ms=max(durations_ms),
        degraded=0,
        stall=slow,
        episodes=len(lengths_s),
        time_in_episodes_ms=in_ms,
        time_in_stalls_ms=in_ms,
        from_=None,
        to=None,
    )
    return Measured(
        summary=summary,
        counts=counts,
        covered_s=covered_s,
        hours=hours,
        is_complete=complete,
        peaks_ms=peaks_ms,
        lengths_s={IN_STALLS: lengths_s, IN_EPISODES: lengths_s},
        stalls=len(lengths_s),
        periods={"stalls/day": days or Periods()},
    )


def verdict(slo: str, measured: Measured) -> Verdict:
    return judge(parse_slo(slo), measured)


def samples(fast: int, slow: int = 0) -> list[float]:
    return [1.0] * fast + [900.0] * slow


@pytest.mark.parametrize(
    ("slo", "needed"),
    [
        ("p50<2ms", 20),
        ("p90<2ms", 100),
        ("p99<2ms", 1000),
        ("p99.9<2ms", 10_000),
        ("breaches<1%", 1000),
        ("max<2ms", 100),
    ],
)
def test_a_target_is_judged_from_this_number_of_samples_on(slo: str, needed: int) -> None:
    assert verdict(slo, measure(samples(needed))).outcome is MET
    early = verdict(slo, measure(samples(needed - 1)))
    assert early.outcome is UNJUDGED
    assert early.why.startswith(f"needs {needed:,} samples, has {needed - 1:,} (")


def test_a_target_is_missed_early_only_if_chance_is_out_of_the_question() -> None:
    two, one = (600.0, 900.0), (900.0,)
    assert verdict("p99<500ms", measure(samples(100, 12), peaks_ms=two)).outcome is MISSED
    assert verdict("p99<500ms", measure(samples(100, 12), peaks_ms=one)).outcome is UNJUDGED  # one event
    assert verdict("p99<500ms", measure(samples(197, 3), peaks_ms=two)).outcome is UNJUDGED  # chance: 32 %
    assert verdict("breaches<1%", measure(samples(100, 12), peaks_ms=two)).outcome is MISSED


def test_a_stricter_target_has_no_milder_verdict() -> None:
    over = measure(samples(100, 12), peaks_ms=(600.0, 900.0))
    assert verdict("p99<500ms", over).outcome is MISSED
    assert verdict("p99<10ms", over).outcome is MISSED  # below the threshold, too


def test_a_single_sample_over_the_maximum_misses_it() -> None:
    assert verdict("max<500ms", measure([900.0])).outcome is MISSED


def test_a_mean_needs_samples_of_six_hours() -> None:
    assert verdict("mean<2ms", measure(samples(1000))).outcome is MET
    assert verdict("mean<2ms", measure(samples(999))).outcome is UNJUDGED
    few = verdict("mean<2ms", measure(samples(1000), hours=5))
    assert (few.outcome, few.why) == (UNJUDGED, "needs samples in 6 hours, has them in 5")


def test_only_whole_days_can_meet_a_daily_target_and_any_day_can_miss_it() -> None:
    cut = ((1, "2026-11-20"),)
    whole = ((0, "2026-11-18"), (3, "2026-11-19"))
    seconds = verdict("stalls<5/day", measure(covered_s=15.0, days=Periods((), cut)))
    assert (seconds.outcome, seconds.why) == (UNJUDGED, "no whole day in 15 s of log")
    met = verdict("stalls<5/day", measure(days=Periods(whole, cut)))
    assert (met.outcome, met.why) == (MET, "met on 2 of 2 whole days; 1 cut day left out")
    assert verdict("stalls<1/day", measure(days=Periods(((0, "a"),), cut))).outcome is MISSED
    none = verdict("stalls<5/day", measure(days=Periods(((0, "a"), (0, "b"), (0, "c")))))
    assert none.why == "met on 3 of 3 whole days; up to 1 a day cannot be ruled out"


def test_a_number_in_all_needs_the_whole_range() -> None:
    assert verdict("stalls<5", measure(lengths_s=(6.0,))).outcome is MET
    assert verdict("stalls<5", measure(lengths_s=(6.0,), complete=False)).outcome is UNJUDGED
    assert verdict("stalls<1", measure(lengths_s=(6.0,), complete=False)).outcome is MISSED


def test_a_share_of_time_needs_ten_episodes_of_log() -> None:
    assert verdict("stalled<1%", measure(covered_s=10_000.0, lengths_s=(10.0,))).outcome is MET
    short = verdict("stalled<1%", measure(covered_s=9_000.0, lengths_s=(10.0,)))
    assert (short.outcome, short.why) == (UNJUDGED, "needs 3 h of log, has 2 h")
    assert verdict("stalled<1%", measure(covered_s=1_000.0, lengths_s=(60.0, 60.0))).outcome is MISSED
    assert verdict("stalled<1%", measure(covered_s=1_000.0, lengths_s=(60.0,))).outcome is UNJUDGED


def test_a_figure_between_half_and_twice_its_limit_is_narrow() -> None:
    assert verdict("p99<500ms", measure(samples(993, 7))).why == ""  # 1 ms
    assert verdict("p99<500ms", measure(samples(985, 15))).why == "narrowly"  # 900 ms
    assert verdict("p99<400ms", measure(samples(985, 15))).why == ""
    assert verdict("p99<1700ms", measure(samples(985, 15))).why == "narrowly"
    assert verdict("p99<1900ms", measure(samples(985, 15))).why == ""
    assert verdict("breaches<1%", measure(samples(993, 7))).why == "narrowly"
    assert verdict("breaches<1%", measure(samples(999, 1))).why == ""


def test_a_limit_of_zero_can_be_judged() -> None:
    assert verdict("max<0ms", measure(samples(100))).outcome is MISSED
    assert verdict("breaches<=0%", measure(samples(100))).outcome is MET
    assert verdict("stalled<=0%", measure()).outcome is MET
    assert verdict("stalled<=0%", measure(lengths_s=(6.0,))).outcome is MISSED
    assert verdict("stalls<0/day", measure(days=Periods(((0, "a"),)))).share == math.inf


# --- the sentence -------------------------------------------------------------------------------------------------


def say(
    *verdicts: Verdict, count: int = 5, newest_ns: int | None = None, are_default: bool = False
) -> tuple[Outcome, str]:
    found = answer(verdicts, count=count, newest_ns=newest_ns, are_default=are_default)
    return found.outcome, found.sentence


def test_the_worst_missed_target_is_named() -> None:
    missed = [
        Verdict("p99<500ms", MISSED, "600.000 ms", share=1.2),
        Verdict("stalls<3/day", MISSED, "6 in the worst day, 2026-11-10", share=2.0),
        Verdict("max<10s", MET, "5,000.000 ms", share=0.5),
    ]
    sentence = "Not tolerable: 6 stalls on 2026-11-10, the target is stalls<3/day; 1 more missed"
    assert say(*missed) == (MISSED, sentence)


def test_the_tightest_met_target_is_named() -> None:
    met = [Verdict("p99<500ms", MET, "300.000 ms", share=0.6), Verdict("stalled<1%", MET, "0.9 %", "narrowly", 0.9)]
    assert say(*met) == (MET, "Tolerable (narrowly): time in stalls 0.9 %, the target is stalled<1%")
    open_ = Verdict("stalls<5/day", UNJUDGED, "1 in the worst day", "no whole day in 15 s of log", 0.2)
    assert say(met[0], open_) == (
        UNJUDGED,
        "Tolerable so far: p99 300.000 ms, the target is p99<500ms; not judged: stalls<5/day",
    )
    assert say(open_, are_default=True) == (UNJUDGED, "Not judged: stalls<5/day no whole day in 15 s of log")


@pytest.mark.parametrize("several", [False, True], ids=["one source", "several sources"])
def test_a_figure_over_its_limit_is_not_tolerable_so_far(*, several: bool) -> None:
    over = Verdict("p99<100ms", UNJUDGED, "1.567 s", "needs 1,000 samples, has 111", 15.67)
    met = Verdict("max<100h", MET, "1.872 s", share=0.1)
    expected = "Not judged: p99{} is 1.567 s, over p99<100ms, but needs 1,000 samples, has 111"
    if several:
        sources = [("a", [over, met]), ("b", [msgspec.structs.replace(over, share=2.0), met])]
        assert answer_of_several(sources, worst_of(sources)).sentence == expected.format(" of a")
    else:
        assert say(over, met) == (UNJUDGED, expected.format(""))
        share = Verdict("breaches<1%", UNJUDGED, "3 %", "needs 1,000 samples, has 111", 3.0)
        assert say(met, share)[1].startswith("Not judged: breaches are 3 %, over breaches<1%, but needs")
        at_limit = Verdict("p99<=1s", UNJUDGED, "1.000 s", "needs 1,000 samples, has 111", 1.0)
        assert say(met, at_limit)[1].startswith("Tolerable so far: ")


def test_without_samples_the_newest_one_is_named() -> None:
    assert say(count=0) == (UNJUDGED, "Not judged: no samples in this range; the store has none yet")
    newest_ns = round(datetime(2026, 11, 25, 23, 30).timestamp()) * 10**9  # in the local zone, as --since is
    text = say(count=0, newest_ns=newest_ns)[1]
    assert text.endswith("; try --since 2026-11-25, the day of the newest sample")
