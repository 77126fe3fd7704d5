from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_logtail.engine.episodes import Coalesced, Growth, close_over, coalesce
from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.parts import MOST_BREACHES, PART_NS, ids_of, part_of
from otel_logtail.model import Episode, OpenEpisodes, Part, Sample, Severity, Shape
from tests.support.hits import Hit, slow_of

LIVE = "/logs/fake.log"
QUIET = 30
SECOND = 10**9
SHAPE = Shape(("work",))
THRESHOLDS = Thresholds(10, 40)


def hit(logged_ns: int, duration_ns: int, *, waited_ns: int = 0, cause: str = "wait", number: int = 0) -> Hit:
    """A sample that ended ``waited_ns`` before its line was written."""
    sample = Sample(logged_ns - waited_ns, duration_ns, logged_ns, cause, f"stage of {cause}", SHAPE, (duration_ns,))
    severity = THRESHOLDS.classify(duration_ns)
    return Hit(number, sample, severity, b"" if severity is Severity.OK else b"%016d" % (logged_ns * 1000 + number))


NOTHING = OpenEpisodes()


class Breach(NamedTuple):
    """A breach, with the span of its episode and its part."""

    hit: Hit
    trace_id: bytes
    span_id: bytes
    part: int


def grouped(hits: Sequence[Hit], open_: OpenEpisodes, quiet_ns: int = QUIET) -> Coalesced:
    slow, logged_ns = slow_of(hits), [h.sample.logged_ns for h in hits]
    found = coalesce(open_, logged_ns, slow, slow.places, live=LIVE, attributes=(), quiet_ns=quiet_ns)
    ends = [0, *(run.end for run in found.breaches)]
    assert ([run.begin for run in found.breaches], len(slow)) == (ends[:-1], ends[-1]), "each breach is in one run"
    return found


def breaches_of(hits: Sequence[Hit], found: Coalesced) -> list[Breach]:
    slow = [h for h in hits if h.severity is not Severity.OK]
    return [
        Breach(one, run.trace_id, run.span_id, run.part) for run in found.breaches for one in slow[run.begin : run.end]
    ]


def run(
    hits: Sequence[Hit], open_: OpenEpisodes = NOTHING
) -> tuple[OpenEpisodes, tuple[Breach, ...], tuple[Episode, ...]]:
    found = grouped(hits, open_)
    return found.open, tuple(breaches_of(hits, found)), found.closed


def both(open_: OpenEpisodes) -> list[Episode]:
    return [episode for episode in (open_.current, open_.aside) if episode is not None]


def tick(open_: OpenEpisodes, time_ns: int) -> tuple[OpenEpisodes, tuple[Episode, ...]]:
    """The log has reached a time, and its end."""
    return close_over(open_, lambda episode: time_ns > episode.last_ns + QUIET)


def episodes_of(hits: Sequence[Hit]) -> list[tuple[int, ...]]:
    """The lines of each episode of a log that is read at once and to its end, the first episode first."""
    _, breaches, _ = run(hits)
    members: dict[bytes, list[int]] = {}
    for breach in breaches:
        members.setdefault(breach.span_id, []).append(breach.hit.sample.logged_ns)
    return [tuple(lines) for lines in members.values()]


@st.composite
def logs(draw: st.DrawFn) -> list[Hit]:
    """A log's samples: written one after the other, having ended in any order before."""
    gaps = draw(st.lists(st.integers(0, 2 * QUIET) | st.sampled_from([0, QUIET, QUIET + 1]), max_size=40))
    hits, logged_ns = [], 10_000
    for number, gap in enumerate(gaps):
        logged_ns += gap
        hits.append(
            hit(
                logged_ns,
                draw(st.sampled_from([1, 9, 10, 11, 39, 40, 500])),
                waited_ns=draw(st.integers(0, 500)),
                cause=draw(st.sampled_from(["wait", "read"])),
                number=number,
            )
        )
    return hits


@given(logs(), st.data())
def test_a_backlog_read_at_once_gives_the_episodes_that_living_through_it_gave(
    hits: list[Hit], data: st.DataObject
) -> None:
    open_ = NOTHING
    breaches: list[Breach] = []
    closed: list[Episode] = []
    cuts = data.draw(st.lists(st.integers(0, len(hits)), max_size=20))
    for start, end in pairwise([0, *sorted(cuts), len(hits)]):
        piece = hits[start:end]
        open_, more, over = run(piece, open_)
        breaches += more
        closed += over
        latest_ns = hits[end].sample.logged_ns if end < len(hits) else 10_000_000
        earliest_ns = piece[-1].sample.logged_ns if piece else 0
        for time_ns in sorted(data.draw(st.lists(st.integers(min(earliest_ns, latest_ns), latest_ns), max_size=3))):
            open_, ended = tick(open_, time_ns)
            closed += ended
    at_once_open, at_once_breaches, at_once_closed = run(hits)
    live = [*closed, *both(open_)]  # whether the clock has closed the last ones is all the difference
    at_once = [*at_once_closed, *both(at_once_open)]
    assert live == at_once
    assert tuple(breaches) == at_once_breaches


@given(logs())
def test_every_breach_is_in_one_episode_and_no_ok_sample_is(hits: list[Hit]) -> None:
    open_, breaches, closed = run(hits)
    episodes = [*closed, *both(open_)]
    assert [breach.hit for breach in breaches] == [h for h in hits if h.severity is not Severity.OK]
    assert sum(episode.count for episode in episodes) == len(breaches)
    for episode in episodes:
        own = [b.hit.sample for b in breaches if (b.trace_id, b.span_id) == (episode.trace_id, episode.span_id)]
        peak = max(own, key=lambda sample: sample.duration_ns)  # the first of equals
        assert episode.count == len(own)
        assert episode.start_ns == min(sample.time_ns - sample.duration_ns for sample in own)
        assert episode.end_ns == max(sample.time_ns for sample in own)
        assert episode.last_ns == own[-1].logged_ns
        assert (episode.peak_ns, episode.cause, episode.stage) == (peak.duration_ns, peak.cause, peak.stage)
        assert episode.severity is THRESHOLDS.classify(episode.peak_ns)
        gaps = [b.logged_ns - a.logged_ns for a, b in pairwise(own)]
        assert all(gap <= QUIET for gap in gaps)
    for before, after in pairwise(episodes):
        first = next(b.hit.sample for b in breaches if b.span_id == after.span_id)
        assert first.logged_ns - before.last_ns > QUIET


@pytest.mark.parametrize(("gap_ns", "episodes"), [(QUIET, 1), (QUIET + 1, 2)])
def test_exactly_the_quiet_window_is_still_the_same_episode(gap_ns: int, episodes: int) -> None:
    assert len(episodes_of([hit(1000, 10), hit(1000 + gap_ns, 10)])) == episodes


@pytest.mark.parametrize(("back_ns", "episodes"), [(1, 1), (QUIET, 1), (QUIET + 1, 2), (900, 2)])
@pytest.mark.parametrize("duration_ns", [1, 10])
def test_a_clock_that_is_set_back_by_more_than_the_quiet_window_ends_an_episode(
    back_ns: int, episodes: int, duration_ns: int
) -> None:
    lines = [hit(1000, 10), hit(1000 - back_ns, duration_ns), hit(1000 - back_ns, 10, number=1)]
    open_, breaches, closed = run(lines)
    assert open_.current is not None
    assert (len(closed) + 1, open_.aside) == (episodes, None)
    assert sum(episode.count for episode in [*closed, open_.current]) == len(breaches) == 2 + (duration_ns == 10)
    assert open_.current.last_ns == (1000 if episodes == 1 else 1000 - back_ns)


@pytest.mark.parametrize("edge_ns", [QUIET, -QUIET])
def test_a_line_exactly_at_the_quiet_window_still_counts_for_the_episode(edge_ns: int) -> None:
    away = hit(1000 + 100 * QUIET, 1)
    open_, _, closed = run([hit(1000, 10), away, hit(1000 + edge_ns, 1), away])
    assert (closed, open_.is_away) == ((), True)  # never two in a row that count against the episode
    assert open_.current is not None


AWAY = [2 * QUIET, 23 * 10**9, 10**12, -2 * QUIET, -900]


@pytest.mark.parametrize("away_ns", AWAY)
@pytest.mark.parametrize("duration_ns", [1, 10, 500], ids=["ok", "degraded", "stall"])
def test_one_line_from_another_time_splits_no_episode_and_is_one_of_its_own(away_ns: int, duration_ns: int) -> None:
    honest = [hit(1000 + n, 10, number=n) for n in range(6)]
    alone = hit(1002 + away_ns, duration_ns, number=99)
    for at in range(1, 6):
        lines = [*honest[:at], alone, *honest[at:]]
        expected = [tuple(h.sample.logged_ns for h in honest), (alone.sample.logged_ns,)]
        assert episodes_of(lines) == expected[: 1 + (duration_ns > 1)]


@pytest.mark.parametrize("away_ns", AWAY)
@pytest.mark.parametrize("number", [1, 2, 5])
def test_lines_from_another_time_between_true_ones_are_episodes_of_their_own(away_ns: int, number: int) -> None:
    honest = [hit(1000 + n, 10, number=n) for n in range(2 * number)]
    alone = [hit(1002 + away_ns + n, 10, number=90 + n) for n in range(number)]
    lines = [h for n in range(number) for h in (honest[2 * n], alone[n], honest[2 * n + 1])]
    found = episodes_of(lines)
    assert found[0] == tuple(h.sample.logged_ns for h in honest)
    assert found[1:] == [(h.sample.logged_ns,) for h in alone]


@pytest.mark.parametrize("away_ns", AWAY)
@pytest.mark.parametrize("durations", [(1, 1), (1, 10), (10, 1), (10, 10)])
def test_two_lines_in_a_row_are_believed(away_ns: int, durations: tuple[int, int]) -> None:
    second, third = (hit(1000 + away_ns + n, ns, number=n) for n, ns in enumerate(durations))
    open_, _, closed = run([hit(1000, 10), second, third])
    assert [episode.last_ns for episode in closed] == [1000]
    slow = [h.sample.logged_ns for h in (second, third) if h.sample.duration_ns > 1]
    assert [(episode.count, episode.last_ns) for episode in both(open_)] == ([(len(slow), max(slow))] if slow else [])
    assert not open_.is_away


def test_a_line_that_is_ok_keeps_no_episode_open() -> None:
    lines = [hit(1000, 10), *(hit(1000 + n, 1) for n in range(1, QUIET + 3))]
    open_, _, closed = run(lines)
    assert (open_, len(closed)) == (NOTHING, 1)


@pytest.mark.parametrize(("gap_ns", "is_over"), [(QUIET, False), (QUIET + 1, True)])
def test_the_clock_closes_an_episode(gap_ns: int, is_over: bool) -> None:
    open_, _, _ = run([hit(1000, 10)])
    assert open_.current is not None
    assert tick(open_, 1000 + gap_ns) == ((NOTHING, (open_.current,)) if is_over else (open_, ()))


def test_the_clock_closes_what_is_aside_or_lets_it_go_on() -> None:
    open_, _, _ = run([hit(1000, 10), hit(5000, 10)])
    current, aside = open_.current, open_.aside
    assert current is not None
    assert aside is not None
    assert tick(open_, 1000 + QUIET + 1) == (OpenEpisodes(aside), (current,))
    assert tick(open_, 5000 + QUIET + 1) == (NOTHING, (current, aside))
    only_aside = close_over(open_, lambda episode: episode is aside)
    assert only_aside == (OpenEpisodes(current, is_away=True), (aside,))


def test_the_clock_has_nothing_to_close_where_nothing_is_open() -> None:
    assert tick(NOTHING, 10**18) == (NOTHING, ())


def test_lines_decide_when_an_episode_is_over_and_not_when_their_samples_ended() -> None:
    open_, _, closed = run([hit(1000, 10), hit(1001, 10, waited_ns=900), hit(1002, 10, waited_ns=10)])
    (episode,) = both(open_)
    assert (closed, episode.count, episode.start_ns, episode.end_ns) == ((), 3, 91, 1000)


def test_an_episode_is_as_bad_as_its_worst_breach_and_named_after_its_longest() -> None:
    open_, _, _ = run([hit(1000, 10), hit(1001, 40, cause="read"), hit(1002, 40), hit(1003, 11)])
    (episode,) = both(open_)
    assert (episode.severity, episode.peak_ns, episode.cause, episode.stage) == (
        Severity.STALL,
        40,
        "read",
        "stage of read",
    )


@given(logs())
@example([hit(1000, 10), hit(1001, 10)])
def test_ids_come_from_the_first_breach_and_stay(hits: list[Hit]) -> None:
    _, breaches, _ = run(hits)
    seen = set()
    for breach in breaches:
        if breach.span_id not in seen:
            assert (breach.trace_id, breach.span_id) == ids_of(breach.hit.uid)
            seen.add(breach.span_id)


def test_ids_are_what_they_were_in_the_last_release() -> None:
    trace_id, span_id = ids_of(bytes(range(16)))
    assert (trace_id.hex(), span_id.hex()) == ("cf4da8c17761ce10de3ca3134c023c27", "8baf617e7aa3f0a7")


@given(st.lists(st.tuples(st.integers(-2, 40), st.booleans()), min_size=1, max_size=60), st.data())
def test_parts_hold_each_breach_once_and_times_add_up_however_the_log_is_cut(
    lines: list[tuple[int, bool]], data: st.DataObject
) -> None:
    times = accumulate(gap_s for gap_s, _ in lines)
    hits = [
        hit(s * SECOND, (20 if n % 7 else 50) if slow else 1, number=n)
        for n, (s, (_, slow)) in enumerate(zip(times, lines, strict=True))
    ]
    whole = parts_of([hits])
    at = data.draw(st.integers(0, len(hits)))
    assert parts_of([hits[:at], hits[at:]]) == whole
    for (_, number), members in whole.items():
        assert number >= 1
        assert len(members) <= MOST_BREACHES
        assert all(abs(one - members[0]) <= PART_NS for one in members)


def parts_of(pieces: Sequence[Sequence[Hit]]) -> dict[tuple[bytes, int], list[int]]:
    """The ends of the breaches of each part, by episode and number. The records of the parts are compared with them."""
    open_ = NOTHING
    members: dict[tuple[bytes, int], list[int]] = {}
    complete: dict[tuple[bytes, int], Part] = {}
    last: dict[bytes, Part] = {}
    closed: list[Episode] = []
    growth: list[Growth] = []
    for hits in pieces:
        found = grouped(hits, open_, 30 * SECOND)
        open_ = found.open
        for breach in breaches_of(hits, found):
            members.setdefault((breach.span_id, breach.part), []).append(breach.hit.sample.time_ns)
        for episode, part in found.parts:
            assert complete.setdefault((episode.span_id, part.number), part) is part, "complete once"
        last |= {one.span_id: part_of(one) for one in (*found.closed, *both(open_))}
        closed += found.closed
        growth += found.growth
    all_ = [*closed, *both(open_)]
    for severity in (Severity.DEGRADED, Severity.STALL):
        grown_ns = sum(sum(one.more_ns) for one in growth if one.severity is severity)
        assert grown_ns == sum(one.end_ns - one.start_ns for one in all_ if one.severity >= severity)
    for (span_id, number), ends in members.items():
        part = complete.get((span_id, number), last[span_id])
        assert (part.number, part.count, part.end_ns, part.begun_ns) == (number, len(ends), max(ends), ends[0])
    return members


def test_a_part_is_complete_after_128_breaches_or_45_seconds() -> None:
    often = [hit(n, 20) for n in range(300)]
    assert [len(ends) for ends in parts_of([often]).values()] == [128, 128, 44]
    seldom = [hit(n * 3 * SECOND, 20) for n in range(40)]
    assert [len(ends) for ends in parts_of([seldom]).values()] == [16, 16, 8]


def test_the_time_of_an_episode_that_an_older_version_left_open_is_counted_once_it_continues() -> None:
    open_, _, _ = run([hit(100, 20)])
    assert open_.current is not None
    old = OpenEpisodes(msgspec.structs.replace(open_.current, part=None))
    found = grouped([hit(101, 50, number=1), hit(102, 20, number=2)], old)
    assert found.open.current is not None
    length_ns = found.open.current.end_ns - found.open.current.start_ns
    for severity in (Severity.DEGRADED, Severity.STALL):
        assert sum(sum(one.more_ns) for one in found.growth if one.severity is severity) == length_ns
    assert {run.part for run in found.breaches} == {1}
