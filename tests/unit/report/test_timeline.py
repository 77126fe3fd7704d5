"""The range over time: buckets of a round width, whose counts add up to all samples."""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail import query
from otel_logtail.model import Mark
from otel_logtail.report.axis import coarser, edges, labels, span, to_ns, weekends
from otel_logtail.report.data import Report, gather
from otel_logtail.report.findings import stalls_around_mark, stalls_in_time, stalls_in_week
from otel_logtail.report.page.scales import spread
from otel_logtail.report.timeline import Bucket, Timeline, steps
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file

HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
VIENNA = ZoneInfo("Europe/Vienna")


def report_of(
    path: Path, tz: tzinfo = timezone.utc, *, since_ns: int | None = None, until_ns: int | None = None
) -> Report:
    with query.Reader.open(path, since_ns=since_ns, until_ns=until_ns) as reader:
        return gather(reader, tz=tz)


@pytest.mark.parametrize(("since_s", "until_s"), [(None, None), (95, None), (None, 1234), (95, 6000)])
def test_all_parts_add_up_to_the_samples_of_any_range(since_s: int | None, until_s: int | None, tmp_path: Path) -> None:
    since_ns, until_ns = (None if at_s is None else NOON + at_s * SECOND for at_s in (since_s, until_s))
    samples = [Written(NOON + n * 7 * SECOND, n % 900 * 10**6, source=f"s{n % 2}") for n in range(1000)]
    report = report_of(
        make_file(tmp_path / "s.db", samples, [Stall(NOON, NOON + SECOND)]), since_ns=since_ns, until_ns=until_ns
    )
    line = report.timeline
    assert sum(bucket.count for bucket in line.buckets) == report.summary.count
    assert sum(bucket.count for bucket in line.lines) == report.summary.count
    assert [sum(cells) for cells in line.cells] == [bucket.count for bucket in line.buckets]
    assert max(bucket.max_ms or 0 for bucket in line.buckets) == report.summary.max_ms
    assert len(line.dots) in (0, report.summary.count)
    assert {500.0, 2000.0} >= {ms for ms in line.rows_ms if ms not in steps()}


def test_few_samples_are_dots_and_a_percentile_needs_samples(tmp_path: Path) -> None:
    samples = [Written(NOON + n * SECOND, (n + 1) * 10**6) for n in range(120)]
    line = report_of(make_file(tmp_path / "s.db", samples)).timeline
    assert [(dot.time_ns, dot.ms) for dot in line.dots] == [(NOON + n * SECOND, n + 1.0) for n in range(120)]
    assert all((bucket.p50_ms is None) == (bucket.count < 10) for bucket in line.buckets)
    assert all(bucket.p99_ms is None for bucket in line.buckets)
    assert report_of(make_file(tmp_path / "empty.db")).timeline == Timeline()


def test_an_episode_counts_where_it_began(tmp_path: Path) -> None:
    samples = [Written(NOON + n * 60 * SECOND, 10**7) for n in range(600)]
    stalls = [Stall(NOON + HOUR, NOON + 2 * HOUR, peak_ns=3 * SECOND), Stall(NOON + HOUR, NOON + HOUR, severity=1)]
    line = report_of(make_file(tmp_path / "s.db", samples, stalls)).timeline
    (found,) = [bucket for bucket in line.buckets if bucket.stalls or bucket.degraded]
    assert found.start_ns <= NOON + HOUR < found.end_ns
    assert (found.stalls, found.degraded, found.peak_ms) == (1, 1, 3000.0)


@pytest.mark.parametrize(
    ("length", "samples", "least", "width_s", "parts"),
    [
        (28 * DAY - SECOND, 739_158, 0, 3 * 3600, 224),
        (DAY - SECOND, 10_000, 0, 1800, 48),
        (DAY - SECOND, 10_000, HOUR, 3600, 24),
        (15 * SECOND, 111, 0, 1, 16),
        (0, 1, 0, 1, 1),
        (540 * DAY, 10**7, 0, 7 * 86_400, 78),
        (540 * DAY, 2000, 0, 14 * 86_400, 39),
        (20_000 * DAY, 10**7, 0, 112 * 86_400, 179),
    ],
)
def test_a_bucket_has_a_round_width(length: int, samples: int, least: int, width_s: int, parts: int) -> None:
    midnight = NOON - 12 * HOUR
    found_s, found = edges(midnight, midnight + length, samples, least, timezone.utc)
    assert found_s == width_s
    assert len(found) - 1 in (parts, parts + 1)
    assert found[0] <= midnight
    assert midnight + length < found[-1]
    assert coarser(found, found_s, 10**6, timezone.utc) == found
    assert len(coarser(found, found_s, 31, timezone.utc)) <= 32


def test_days_are_those_of_the_zone_even_when_clocks_change() -> None:
    start = to_ns(datetime(2026, 10, 1), VIENNA)
    width_s, found = edges(start, start + 150 * DAY, 10**6, 0, VIENNA)
    assert width_s == 86_400
    assert {datetime.fromtimestamp(at / 1e9, VIENNA).hour for at in found} == {0}
    (first, *_) = weekends(start, start + 14 * DAY, VIENNA)
    assert datetime.fromtimestamp(first[0] / 1e9, VIENNA).isoformat() == "2026-10-03T00:00:00+02:00"


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (15 * SECOND, ["12:00:00", "12:00:02", "12:00:04"]),
        (DAY, ["12:00", "15:00", "18:00", "21:00", "Thu\u00a026\u00a0Nov"]),
        (28 * DAY, ["Mon\u00a030\u00a0Nov", "Mon\u00a07\u00a0Dec"]),
        (540 * DAY, ["Jan\u00a02027", "Apr", "Jul"]),
        (4000 * DAY, ["Jan\u00a02028", "Jan\u00a02030"]),
    ],
)
def test_an_axis_has_at_most_eight_labels(length: int, expected: list[str]) -> None:
    found = labels(NOON, NOON + length, timezone.utc)
    assert [text for _, text in found][: len(expected)] == expected
    assert len(found) <= 9
    assert all(NOON <= at < NOON + length for at, _ in found)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (NOON - 12 * HOUR, NOON + 12 * HOUR, "Wed 25 Nov"),
        (NOON - 12 * HOUR, NOON + 36 * HOUR, "25 Nov to 26 Nov"),
        (NOON, NOON + 3 * HOUR, "Wed 25 Nov 12:00 to 15:00"),
        (NOON + 9 * HOUR, NOON + 12 * HOUR, "Wed 25 Nov 21:00 to 24:00"),
        (NOON, NOON + SECOND, "Wed 25 Nov 12:00:00 to 12:00:01"),
        (NOON, NOON + 24 * HOUR, "Wed 25 Nov 12:00 to Thu 26 Nov 12:00"),
    ],
)
def test_a_range_is_worded_as_short_as_it_can_be(start: int, end: int, expected: str) -> None:
    assert span(start, end, timezone.utc).replace("\u00a0", " ") == expected


@given(st.lists(st.floats(0, 300, allow_nan=False), max_size=6))
def test_labels_keep_their_distance_and_their_order(places: list[float]) -> None:
    found = spread(places, 14)
    ordered = [found[at] for at in sorted(range(len(places)), key=lambda at: places[at])]
    assert all(below - above >= 14 - 1e-6 for above, below in pairwise(ordered))
    if all(abs(one - other) >= 14 for at, one in enumerate(places) for other in places[:at]):
        assert found == pytest.approx(places)


# --- findings -----------------------------------------------------------------------------------------------------


def line_of(*stalls: int) -> Timeline:
    start = NOON - 12 * HOUR
    buckets = [
        Bucket(start + at * DAY, start + (at + 1) * DAY, 1, None, None, None, None, 1.0, number, 0)
        for at, number in enumerate(stalls)
    ]
    return Timeline(86_400, tuple(buckets))


@pytest.mark.parametrize(
    ("stalls", "expected"),
    [
        ((0,) * 10, "no stall"),
        ((1,) * 10, ""),
        ((0, 0, 4, 0, 0, 0, 0, 0, 0, 0), ""),
        ((0, 1, 9, 0, 0, 0, 0, 0, 0, 1), "9 of 11 stalls on Fri 27 Nov"),
        ((0, 0, 0, 5, 6, 0, 0, 0, 0, 0), "all 11 stalls from 28 Nov to 29 Nov"),
        ((3, 0, 3, 0, 3, 0, 3, 0, 3, 0), ""),
    ],
)
def test_most_stalls_in_a_short_time_are_a_finding(stalls: tuple[int, ...], expected: str) -> None:
    assert stalls_in_time(line_of(*stalls), timezone.utc).replace("\u00a0", " ") == expected


@pytest.mark.parametrize(
    ("stalls", "day", "expected"),
    [
        ((6, 4, 6, 4, 6, 4, 0, 1, 0, 0), 6, "30 of 31 stalls came before upgrade 0.42"),
        ((0, 0, 0, 0, 2, 3, 2, 3, 2, 3), 4, "all 15 stalls came after upgrade 0.42"),
        ((6, 4, 6, 4, 6, 4, 0, 1, 0, 0), 9, ""),  # nearly all of the time is before it
        ((6, 4, 6, 4, 6, 4, 5, 2, 6, 4), 6, ""),
        ((1, 1, 1, 1, 1, 1, 0, 0, 0, 0), 6, ""),  # too few
        ((6, 4, 6, 4, 6, 4, 0, 1, 0, 0), 30, ""),
        ((), 6, ""),
    ],
)
def test_most_stalls_on_one_side_of_the_newest_mark_are_a_finding(
    stalls: tuple[int, ...], day: int, expected: str
) -> None:
    start = NOON - 12 * HOUR
    marks = [Mark(start, "first"), Mark(start + day * DAY, "upgrade 0.42")]
    assert stalls_around_mark(line_of(*stalls), marks) == expected
    assert stalls_around_mark(line_of(*stalls), []) == ""


def test_the_stalls_of_the_bucket_that_holds_the_mark_have_no_side() -> None:
    line, start = line_of(6, 4, 6, 4, 6, 4, 0, 1, 0, 0), NOON - 12 * HOUR
    assert stalls_around_mark(line, [Mark(start + 5 * DAY + HOUR, "x")]) == ""
    found = stalls_around_mark(line, [Mark(start + 6 * DAY + HOUR, "a name that a heading has no room for")])
    assert found == "30 of 31 stalls came before a name that a heading h…"


def test_most_stalls_in_some_hours_are_a_finding() -> None:
    week = [[0] * 24 for _ in range(7)]
    assert stalls_in_week(week) == ""
    week[1][3] = 4
    assert stalls_in_week(week) == ""
    for day, hour, number in ((0, 9, 3), (1, 10, 4), (2, 11, 4), (3, 9, 4), (4, 10, 3), (5, 20, 1), (6, 2, 2)):
        week[day][hour] = number
    assert stalls_in_week(week) == "18 of 25 on weekdays from 09:00 to 12:00"
    assert stalls_in_week([[1] * 24 for _ in range(7)]) == ""
    assert stalls_in_week([[0] * 23 + [3] for _ in range(7)]) == "21 of 21 from 23:00 to 24:00"
