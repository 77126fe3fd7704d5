from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.counts import SCALE, add, bounds, count, merge_attributes, thresholds_among
from otel_logtail.engine.columns import columns_of
from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.intervals import aggregate, aggregate_episodes
from otel_logtail.model import (
    Attributes,
    Counts,
    Episode,
    Instrument,
    IntervalKey,
    Sample,
    SeriesKey,
    Severity,
    Shape,
)
from tests.support.hits import Hit, slow_of

INTERVAL = 100
THRESHOLDS = Thresholds(50, 200)
BOUNDS = (10, 20, 50, 200)
SHAPES = [Shape(("wait", "read"), (("path", path),)) for path in ("a", "b")]
SECONDS = bounds(500_000_000, 2_000_000_000)
EARLIER_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)

DURATIONS = st.one_of(st.integers(0, 10**12), st.sampled_from([0, 1, *SECONDS, *(b + 1 for b in SECONDS)]))


@st.composite
def hits(draw: st.DrawFn) -> Hit:
    duration_ns = draw(st.integers(0, 300) | st.sampled_from(BOUNDS))
    sample = Sample(
        time_ns=draw(st.integers(1000, 1400)),
        duration_ns=duration_ns,
        logged_ns=2000,
        cause=draw(st.sampled_from(["wait", "read"])),
        stage="wait",
        shape=draw(st.sampled_from([*SHAPES, Shape(("wait", "read"), (("path", "a"),))])),
        stage_ns=draw(st.tuples(st.none() | st.integers(0, 300), st.none() | st.integers(0, 300))),
    )
    return Hit(0, sample, THRESHOLDS.classify(duration_ns))


HITS = st.lists(hits(), max_size=30)


def counted(found: Sequence[Hit], attributes: Attributes = ()) -> dict[IntervalKey, Counts]:
    samples = columns_of((hit.offset, hit.sample) for hit in found)
    return aggregate(samples, slow_of(found), attributes=attributes, interval_ns=INTERVAL, bounds_ns=BOUNDS).counts


def of(counts: dict[IntervalKey, Counts], instrument: Instrument) -> list[Counts]:
    return [value for key, value in counts.items() if key.series.instrument is instrument]


@given(HITS)
def test_every_sample_is_counted_once_and_sums_are_exact(found: list[Hit]) -> None:
    counts = counted(found)
    durations = [hit.sample.duration_ns for hit in found]
    stages = [ns for hit in found for ns in hit.sample.stage_ns if ns is not None]
    breaches = [hit.sample.duration_ns for hit in found if hit.severity is not Severity.OK]
    for instrument, values in [
        (Instrument.DURATION, durations),
        (Instrument.STAGE, stages),
        (Instrument.BREACHES, breaches),
    ]:
        assert sum(c.count for c in of(counts, instrument)) == len(values)
        assert sum(c.sum_ns for c in of(counts, instrument)) == sum(values)
        assert sum(sum(c.explicit) for c in of(counts, instrument)) == len(values)
        assert sum(c.zeros + sum(c.exponential.values()) for c in of(counts, instrument)) == len(values)


@given(HITS)
def test_each_series_and_interval_holds_the_samples_that_belong_to_it(found: list[Hit]) -> None:
    for key, counts in counted(found).items():
        if key.series.instrument is Instrument.DURATION:
            own = [
                hit.sample.duration_ns
                for hit in found
                if key.start_ns <= hit.sample.time_ns < key.end_ns
                and hit.sample.shape.attributes == key.series.attributes
            ]
            assert counts == count(own, BOUNDS)
        elif key.series.instrument is Instrument.BREACHES:
            own = [
                hit.sample.duration_ns
                for hit in found
                if key.start_ns <= hit.sample.time_ns < key.end_ns
                and (("cause", hit.sample.cause), ("severity", hit.severity.label)) == key.series.attributes
            ]
            assert counts == count(own, ())
        assert key.end_ns - key.start_ns == INTERVAL
        assert key.start_ns % INTERVAL == 0


@pytest.mark.parametrize("shapes", [SHAPES[:1], SHAPES], ids=["one shape", "two shapes"])
@pytest.mark.parametrize("rising", [True, False])
def test_a_sample_exactly_between_two_intervals_belongs_to_the_later_one(shapes: list[Shape], rising: bool) -> None:
    found = [
        Hit(0, Sample(time_ns, 1, 2000, "wait", "wait", shape, (1, None)), Severity.OK)
        for time_ns in (1000, 1099, 1100, 1199, 1200)
        for shape in shapes
    ]
    numbers: dict[int, int] = {}
    for key, counts in counted(found if rising else found[::-1]).items():
        if key.series.instrument is Instrument.DURATION:
            numbers[key.start_ns] = numbers.get(key.start_ns, 0) + counts.count
    assert numbers == {1000: 2 * len(shapes), 1100: 2 * len(shapes), 1200: len(shapes)}


@given(st.lists(DURATIONS, min_size=1, max_size=50))
def test_explicit_bounds_are_upper_inclusive(values: list[int]) -> None:
    edges = [-1, *SECONDS, 10**20]
    expected = [sum(low < value <= high for value in values) for low, high in pairwise(edges)]
    assert count(values, SECONDS).explicit == expected


@given(st.lists(DURATIONS, min_size=1, max_size=50))
def test_counts_have_their_extremes_and_their_sum(values: list[int]) -> None:
    counts = count(values, SECONDS)
    assert (counts.count, counts.sum_ns, counts.min_ns, counts.max_ns, counts.zeros) == (
        len(values),
        sum(values),
        min(values),
        max(values),
        values.count(0),
    )


@given(DURATIONS.filter(bool) | st.integers(-20, 10).map(lambda power: round(2.0**power * 10**9)))
def test_exponential_buckets_are_those_of_the_data_model(value_ns: int) -> None:
    ((index, number),) = count([value_ns], ()).exponential.items()
    base = 2 ** (1 / (1 << SCALE))
    lower, upper = base**index, base ** (index + 1)
    seconds = value_ns / 1e9
    assert number == 1
    assert lower < seconds or isclose(lower, seconds, rel_tol=1e-12)
    assert seconds <= upper or isclose(upper, seconds, rel_tol=1e-12)


@pytest.mark.parametrize(("seconds", "index"), [(1, -1), (2, 63), (4, 127), (0.5, -65)])
def test_powers_of_two_belong_to_the_bucket_that_ends_with_them(seconds: float, index: int) -> None:
    assert count([round(seconds * 10**9)], ()).exponential == {index: 1}


VALUES = st.lists(DURATIONS, max_size=10)


def counts_of(values: list[int]) -> Counts:
    return count(values, SECONDS) if values else Counts()


def added(*parts: Counts) -> Counts:
    total = Counts()
    for part in parts:
        add(total, part)
    return total


@given(VALUES, VALUES, VALUES)
def test_adding_up_is_commutative_associative_and_the_same_as_counting_at_once(
    a: list[int], b: list[int], c: list[int]
) -> None:
    x, y, z = counts_of(a), counts_of(b), counts_of(c)
    whole = counts_of(a + b + c)
    assert added(x, y, z) == added(z, y, x) == added(added(x, y), z) == added(x, added(y, z)) == whole


@given(VALUES, VALUES)
def test_adding_up_leaves_what_is_added_as_it_was(a: list[int], b: list[int]) -> None:
    x, y = counts_of(a), counts_of(b)
    before = copy.deepcopy((x, y))
    total = added(x, y)
    add(total, y)
    assert (x, y) == before


@given(HITS, st.data())
def test_the_counts_of_parts_add_up_to_those_of_the_whole(found: list[Hit], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(found)))
    total = counted(found[:cut])
    for key, more in counted(found[cut:]).items():
        add(total.setdefault(key, Counts()), more)
    assert total == counted(found)


def test_a_part_of_the_file_name_is_an_attribute_of_durations_and_stages_only() -> None:
    sample = Sample(1000, 200, 1000, "read", "read", SHAPES[0], (10, None))
    counts = counted([Hit(0, sample, Severity.STALL)], (("server.port", 8787),))
    own = (("path", "a"), ("server.port", 8787))
    assert set(counts) == {
        IntervalKey(SeriesKey(Instrument.DURATION, own, BOUNDS), 1000, 1100),
        IntervalKey(SeriesKey(Instrument.STAGE, (*own, ("stage", "wait")), BOUNDS), 1000, 1100),
        IntervalKey(SeriesKey(Instrument.BREACHES, (("cause", "read"), ("severity", "stall"))), 1000, 1100),
    }


def test_merged_attributes_are_sorted_and_the_later_one_holds() -> None:
    assert merge_attributes((("b", 1), ("c", 1)), (("a", 2), ("c", 2))) == (("a", 2), ("b", 1), ("c", 2))
    assert merge_attributes((("a", 1),)) == (("a", 1),)
    assert merge_attributes() == ()


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_bounds_rise_and_hold_both_thresholds_exactly(degraded_ns: int, stall_ns: int) -> None:
    ladder = bounds(degraded_ns, stall_ns)
    assert {degraded_ns, stall_ns} <= set(ladder)
    assert all(low < high for low, high in pairwise(ladder))


def test_bounds_above_a_second_are_at_most_double_and_include_those_of_earlier_versions() -> None:
    ladder = bounds(500_000_000, 2_000_000_000)
    above = [bound for bound in ladder if bound >= 10**9]
    assert above[-1] == 60 * 10**9
    assert all(high / low <= 5 / 3 for low, high in pairwise(above))
    assert {ms * 1_000_000 for ms in EARLIER_MS} <= set(ladder)


def test_thresholds_are_found_among_the_bounds_of_any_version() -> None:
    degraded, stall = 700_000_000, 2_500_000_000
    earlier = {ms * 1_000_000 for ms in EARLIER_MS}
    assert thresholds_among(bounds(degraded, stall)) == (degraded, stall)
    assert thresholds_among(earlier | {degraded, stall}) == (degraded, stall)
    assert thresholds_among(earlier) == thresholds_among(bounds(500_000_000, 2_000_000_000)) == ()


def episode(start_ns: int, end_ns: int, severity: Severity = Severity.STALL, cause: str = "wait") -> Episode:
    return Episode("live", (), b"t", b"s", start_ns, end_ns, end_ns, 1, 1, severity, cause, "stage")


def test_episodes_are_counted_in_the_interval_of_their_end() -> None:
    counts = aggregate_episodes(
        [episode(50, 99), episode(50, 100), episode(130, 180), episode(180, 199, Severity.DEGRADED)],
        interval_ns=INTERVAL,
        bounds_ns=BOUNDS,
    )
    stall = SeriesKey(Instrument.EPISODES, (("cause", "wait"), ("severity", "stall")), BOUNDS)
    degraded = SeriesKey(Instrument.EPISODES, (("cause", "wait"), ("severity", "degraded")), BOUNDS)
    assert counts == {
        IntervalKey(stall, 0, 100): count([49], BOUNDS),
        IntervalKey(stall, 100, 200): count([50, 50], BOUNDS),
        IntervalKey(degraded, 100, 200): count([19], BOUNDS),
    }
