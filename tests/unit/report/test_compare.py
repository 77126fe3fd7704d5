"""Two periods side by side: the words, the sentence, and what is not judged."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone

import pytest

from otel_logtail.errors import UsageError
from otel_logtail.query import Hour, Hours
from otel_logtail.report.blocks import cover, match
from otel_logtail.report.compare import Comparison, compare
from otel_logtail.report.figures import Figure, Word
from otel_logtail.report.periods import DAY_NS, WEEK_NS, Period, before, other, parse_range, previous
from otel_logtail.text import parse_when

UTC = timezone.utc
START = datetime(2026, 9, 7, tzinfo=UTC)  # a Monday
HOUR_NS = 3600 * 10**9
DECIDING = ["p50", "p99", "slow samples", "stalls", "time in episodes"]


def index_of(ms: float) -> int:
    return math.ceil(math.log2(ms / 1e3) * 64) - 1


def make_hours(
    seed: str,
    first_day: int,
    days: float,
    *,
    factor: float = 1.0,
    stalls: float = 2.0,
    samples: int = 40,
    thresholds: tuple[int, ...] = (),
) -> Hours:
    """Make hours of some days with ``samples`` each; ``stalls`` a day on average, which vary from day to day."""
    rng = random.Random(seed)  # noqa: S311 - data of a test
    found: dict[int, Hour] = {}
    for number in range(round(days * 24)):
        if number % 24 == 0:
            shift = rng.gauss(0, 0.06)
            left = min(20, int(rng.gammavariate(3, stalls / 3) + 0.5)) if stalls else 0
        at = START + timedelta(days=first_day, hours=number)
        start_ns = int(at.timestamp()) * 10**9
        hour = found[start_ns] = Hour(start_ns, first_ns=start_ns, last_ns=start_ns + HOUR_NS - 1)
        for _ in range(samples):
            ms = factor * math.exp(rng.gauss(math.log(120 if rng.random() < 0.03 else 4) + shift, 0.7))
            hour.histogram[index_of(ms)] += 1
            hour.sum_ns += round(ms * 1e6)
            hour.max_ns = max(hour.max_ns, round(ms * 1e6))
        if left and 8 <= number % 24 < 8 + 2 * left and number % 2 == 0:
            hour.stalls += 1
            hour.episodes += 1
            hour.slow += 3
            hour.causes["wait"] += 3
            hour.histogram[index_of(3000)] += 3
            hour.sum_ns += 9 * 10**9
            hour.episode_ns += 5 * 10**9
            hour.length_ns += 5 * 10**9
            hour.squares += (5 * 10**9) ** 2
    return Hours(found, frozenset({thresholds}))


def period(hours: Hours) -> Period:
    return Period(min(hours.hours), max(hours.hours) + HOUR_NS)


def compared(first: Hours, second: Hours, others: Hours | None = None) -> Comparison:
    return compare((first, second), (period(first), period(second)), others, threshold_ns=500 * 10**6, tz=UTC)


def figure(comparison: Comparison, name: str) -> Figure:
    return next(figure for figure in comparison.figures if figure.name == name)


def test_two_weeks_without_a_change_show_no_difference() -> None:
    comparison = compared(make_hours("a", 0, 7), make_hours("b", 7, 7))
    assert comparison.word is Word.UNKNOWN
    assert comparison.sentence.startswith(
        "No difference that this data can show; to be seen, a figure must grow: p50 by "
    )
    assert [figure.name for figure in comparison.figures if figure.decides] == DECIDING
    assert comparison.notes == ()


def test_sentences_are_rarely_wrong_without_a_change() -> None:
    words = Counter(
        compared(make_hours(f"a{seed}", 0, 7, samples=8), make_hours(f"b{seed}", 7, 7, samples=8)).word
        for seed in range(40)
    )
    assert words[Word.UNKNOWN] >= 37  # at most 5 % are wrong; the seeds are fixed


def test_all_latencies_doubled_is_worse_and_halved_is_better() -> None:
    slow = compared(make_hours("a", 0, 7), make_hours("b", 7, 7, factor=2))
    fast = compared(make_hours("a", 0, 7, factor=2), make_hours("b", 7, 7))
    assert slow.sentence.startswith("Worse: p50 +")
    assert fast.sentence.startswith("Better: p50 ×0.4")
    assert figure(slow, "p50").word is Word.WORSE
    assert figure(fast, "p90").word is Word.BETTER
    assert slow.sentence.endswith(" 7 days against 7 days, 99 % intervals.")


def test_stalls_that_become_many_are_found_against_four_weeks() -> None:
    comparison = compared(make_hours("a", 0, 28), make_hours("b", 28, 7, stalls=9))
    assert figure(comparison, "stalls").word is Word.WORSE
    assert figure(comparison, "time in episodes").word is Word.WORSE
    assert figure(comparison, "p50").word in (Word.UNKNOWN, Word.SAME)


def test_better_and_worse_are_mixed() -> None:
    comparison = compared(make_hours("a", 0, 28, factor=2), make_hours("b", 28, 7, stalls=9))
    assert comparison.sentence.startswith("Mixed: p50")
    assert "stalls" in comparison.sentence.partition("better, ")[2]


def test_a_stall_after_weeks_without_is_from_none() -> None:
    comparison = compared(make_hours("a", 0, 7, stalls=0), make_hours("b", 7, 7, stalls=3))
    assert figure(comparison, "stalls").before == 0
    assert "stalls from none" in comparison.sentence


@pytest.mark.parametrize(("days", "samples"), [(0.2, 40), (1, 2)], ids=["hours", "samples"])
def test_too_little_data_is_not_judged(days: float, samples: int) -> None:
    comparison = compared(make_hours("a", 0, 7), make_hours("b", 7, days, samples=samples, stalls=0))
    assert comparison.word is Word.UNJUDGED
    assert comparison.sentence.startswith(
        "Too little data to compare: each side needs 100 samples in 6 clock hours. Before: "
    )
    assert comparison.figures == ()


def test_periods_that_share_no_hour_have_their_own_numbers_of_samples() -> None:
    weekend, monday = make_hours("a", 12, 1, stalls=0), make_hours("b", 14, 1, stalls=0)
    comparison = compared(weekend, monday)
    assert comparison.samples == (24 * 40, 24 * 40)
    assert comparison.sentence == (
        "Too little data to compare: the periods share no hour of the day and kind of day (weekday or weekend)."
    )
    some = Hours(dict([*weekend.hours.items(), *list(monday.hours.items())[:2]]), monday.thresholds)
    partly = compared(some, make_hours("c", 15, 1, stalls=0))
    assert partly.samples == (26 * 40, 24 * 40)
    assert partly.sentence.endswith(
        "Before: 80 samples in 2 clock hours. After: 80 samples in 2 clock hours."
        " Only the hours that both sides have are compared."
    )


def test_an_empty_period_is_named() -> None:
    full, empty = make_hours("a", 0, 7, stalls=0), Hours({}, frozenset())
    at = (Period(0, 1), period(full))
    before_ = compare((empty, full), at, tz=UTC)
    assert before_.samples == (0, 7 * 24 * 40)
    assert before_.sentence == "Too little data to compare: the period before has no samples."
    assert compare((full, empty), at, tz=UTC).sentence.endswith("the period after has no samples.")
    assert compare((empty, empty), at, tz=UTC).sentence.endswith("both periods have no samples.")


def test_a_day_against_a_day_judges_the_median_only() -> None:
    comparison = compared(make_hours("a", 0, 1), make_hours("b", 1, 1, factor=3, stalls=8))
    assert figure(comparison, "p50").word is Word.WORSE
    assert {f.word for f in comparison.figures if f.name not in ("p50", "max")} == {Word.UNJUDGED}


def test_a_day_against_a_day_uses_the_variance_of_other_days() -> None:
    others = make_hours("c", -14, 14)
    comparison = compared(make_hours("a", 0, 1), make_hours("b", 1, 1, factor=3, stalls=18), others)
    assert figure(comparison, "stalls").word is not Word.UNJUDGED
    assert figure(comparison, "p50").word is Word.WORSE


def test_hours_that_only_one_side_has_are_left_out() -> None:
    weekend = make_hours("b", 12, 2)
    comparison = compared(make_hours("a", 0, 7), weekend)
    assert comparison.notes[0] == (
        "120 hours are left out: the other period has no such hour of the day and kind of day"
    )
    assert comparison.samples[0] < 48 * 50


def test_more_nights_than_days_do_not_look_like_a_change() -> None:
    """The later period has the quiet, fast nights twice as often: the earlier one is weighted alike."""
    first, second = make_hours("a", 0, 7, stalls=0), make_hours("b", 7, 7, stalls=0)
    for side in (first, second):
        for at, hour in side.hours.items():
            if 8 <= at // HOUR_NS % 24 < 20:
                hour.histogram = Counter({index + 64: count for index, count in hour.histogram.items()})
    evening = int((START + timedelta(days=7, hours=20)).timestamp()) * 10**9
    nights = Hours(
        {at: hour for at, hour in second.hours.items() if evening <= at < evening + 36 * HOUR_NS}, second.thresholds
    )
    comparison = compared(first, nights)
    assert "hours of the first period are weighted, so that both have the same hours of the week" in comparison.notes
    assert figure(comparison, "p50").word in (Word.UNKNOWN, Word.SAME)
    sides = [cover(side.hours.values(), UTC) for side in (first, nights)]
    kept, other, weights = match(*sides)
    mixes: list[dict[tuple[bool, int], float]] = [defaultdict(float), defaultdict(float)]
    for mix, matched, weight in ((mixes[0], kept, weights), (mixes[1], other, {})):
        for covered in matched:
            mix[covered.slot] += weight.get(covered.slot, 1.0) * covered.days
    shares = [{slot: time / sum(mix.values()) for slot, time in mix.items()} for mix in mixes]
    assert shares[0] == pytest.approx(shares[1])
    assert sum(mixes[0].values()) == pytest.approx(sum(hour.days for hour in kept))


def test_changed_thresholds_judge_no_stalls_but_slow_samples_by_the_new_one() -> None:
    first, second = make_hours("a", 0, 7, thresholds=(600 * 10**6,)), make_hours("b", 7, 7, thresholds=(700 * 10**6,))
    comparison = compared(first, second)
    assert "the thresholds changed" in comparison.notes[-1]
    words = {name: figure(comparison, name).word for name in ("stalls", "episodes", "time in episodes")}
    assert set(words.values()) == {Word.UNJUDGED}
    assert figure(comparison, "slow samples").word is not Word.UNJUDGED
    slow = sum(count for hour in first.hours.values() for at, count in hour.histogram.items() if at > index_of(500))
    total = sum(hour.count for hour in first.hours.values())
    assert figure(comparison, "slow samples").before == pytest.approx(100 * slow / total)


def test_another_load_is_named() -> None:
    comparison = compared(make_hours("a", 0, 7), make_hours("b", 7, 7, samples=80))
    assert any(note.startswith("the load differs: ") for note in comparison.notes)


def test_the_same_input_gives_the_same_output() -> None:
    assert compared(make_hours("a", 0, 7), make_hours("b", 7, 7)) == compared(
        make_hours("a", 0, 7), make_hours("b", 7, 7)
    )


# --- periods ------------------------------------------------------------------------------------------------------

NOW = 100 * WEEK_NS


@pytest.mark.parametrize(
    ("length_ns", "first_ns", "back_ns"),
    [
        (WEEK_NS, 0, WEEK_NS),
        (WEEK_NS + 10**9, 0, WEEK_NS),
        (2 * DAY_NS, 0, WEEK_NS),
        (9 * DAY_NS, 0, 2 * WEEK_NS),
        (2 * DAY_NS, NOW - 5 * DAY_NS, 2 * DAY_NS),
        (10**9, 0, 10**9),
    ],
)
def test_the_previous_period_has_the_same_days_of_the_week_if_it_can(
    length_ns: int, first_ns: int, back_ns: int
) -> None:
    after = Period(NOW - length_ns, NOW)
    earlier = previous(after, first_ns)
    assert (after.since_ns - earlier.since_ns, earlier.length_ns) == (back_ns, length_ns)


@pytest.mark.parametrize(("days", "weeks"), [(3, 1), (7, 1), (15, 2), (300, 4)])
def test_whole_weeks_before_a_time(days: int, weeks: int) -> None:
    assert before(NOW, NOW - days * DAY_NS) == Period(NOW - weeks * WEEK_NS, NOW)


def test_a_day_at_the_end_of_a_range_is_included() -> None:
    at = parse_range("2026-11-01T00:00Z..2026-11-07T00:00Z", NOW, "--compare")
    assert at.length_ns == 6 * DAY_NS
    assert parse_range("2026-06-01..2026-06-07", NOW, "--compare").length_ns == 7 * DAY_NS


@pytest.mark.parametrize(
    ("compare_with", "days"),
    [
        ("2026-11-08..2026-11-14", "2026-11-08 to 2026-11-14"),
        ("2026-11-01..2026-11-08", "2026-11-08"),
        ("2026-11-14..2026-11-20", "2026-11-14"),
    ],
    ids=["identical", "end day", "later"],
)
def test_periods_that_overlap_are_one_error(compare_with: str, days: str) -> None:
    later = parse_range("2026-11-08..2026-11-14", NOW, "--compare")
    with pytest.raises(UsageError, match=f": both periods include {days}$") as caught:
        other(compare_with, later, 0, NOW)
    assert caught.value.hint.endswith("a day at the end of a range is included")


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "expected 'previous' or a range"), ("2026-11-07T10:00..2026-11-07T10:00", "the range is empty")],
    ids=["empty", "empty range"],
)
def test_a_text_that_is_not_a_range_is_one_error(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        other(text, parse_range("2026-11-08..2026-11-14", NOW, "--compare"), 0, NOW)
    assert str(caught.value) == f"invalid --compare {text!r}: {why}"


def test_a_later_period_is_an_error_with_the_command_that_compares_the_two() -> None:
    reported = parse_range("2026-11-01..2026-11-07", NOW, "--compare")
    with pytest.raises(UsageError, match=r"this period is later than that of the report$") as caught:
        other("2026-11-08..2026-11-14", reported, 0, NOW)
    words = caught.value.hint.partition(": ")[2].split()
    assert words[::2] == ["--since", "--until", "--compare"]
    since_ns, until_ns = (parse_when(word, NOW) for word in words[1:4:2])
    assert (since_ns, until_ns) == (reported.until_ns, reported.until_ns + 7 * DAY_NS)
    assert other(words[5], Period(since_ns, until_ns), 0, NOW) == reported


def test_periods_that_touch_can_be_compared() -> None:
    later = parse_range("2026-11-08..2026-11-14", NOW, "--compare")
    assert other("2026-11-01..2026-11-07", later, 0, NOW).until_ns == later.since_ns
    assert other("previous", later, 0, NOW) == previous(later, 0)
