"""Lines with wrong dates and machines with wrong clocks: each line counts once, and decides nothing for the others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otel_logtail.engine.engine import Now
from otel_logtail.model import Instrument, Point, Stream
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from tests.support.memory import place
from tests.support.pieces import INTERVAL, NOON, SECOND, Piece, line, rows

HOUR, DAY = 3600, 86_400


class Life:
    """One log on one machine; all times are seconds past noon, by the clock that lines are honest in."""

    def __init__(self, store: Store, *, clock_s: float = 0) -> None:
        self.store = store
        self.piece = Piece(store)
        self.second = 0.0
        self.clock_s = clock_s
        """How far this machine's clock is ahead of the one that is right."""

    @property
    def now(self) -> Now:
        return Now(NOON + round((self.second + self.clock_s) * SECOND), round(self.second * SECOND))

    def until(self, second: float) -> None:
        """Advance the time, and do due work as the daemon does."""
        while (due_s := self.second + self.piece.engine.due_s(self.now)) < second:
            self.second = max(due_s, self.second)
            self.tick()
        self.second = max(second, self.second)
        self.tick()

    def tick(self) -> None:
        while (batch := self.piece.engine.tick(self.now)) is not None:
            self.piece.take(batch, self.now)

    def read(self, data: bytes) -> None:
        """A piece of log that is there now."""
        self.piece.take(self.piece.engine.feed(self.piece.chunk(data), self.now), self.now)

    def follow(self, *seconds: float, slow: float = 0.1) -> None:
        """True lines, each read when it is written."""
        for second in seconds:
            self.until(second)
            self.read(line(second, slow))

    def points(self) -> list[Point]:
        """The points of durations that receivers have by now: those with counts of their own, and repeats."""
        outbox = Outbox.open(self.store.path, "fake")
        try:
            outbox.register([Stream.INTERVALS], 0)
            found: list[Point] = []
            while (batch := outbox.read(Stream.INTERVALS, 1000) or outbox.silent(120 * SECOND, 1000)) is not None:
                found += [item for item in batch.items if isinstance(item, Point)]
                outbox.advance(batch, len(batch.items), 0)
        finally:
            outbox.close()
        return [point for point in found if point.series.instrument is Instrument.DURATION]

    def counted(self, table: str) -> int:
        sql = (
            f"SELECT ifnull(sum(count), 0) FROM {table} JOIN series ON series.id = series WHERE instrument = 'duration'"
        )
        return int(str(rows(self.store.path, sql)[0][0]))


@contextmanager
def living(*, clock_s: float = 0) -> Iterator[Life]:
    with tempfile.TemporaryDirectory(dir=place()) as folder:
        store = Store.open(Path(folder) / "store.db")
        try:
            yield Life(store, clock_s=clock_s)
        finally:
            store.close()


def ends(seconds: list[float]) -> list[int]:
    """The ends of the intervals that these lie in, past noon."""
    return sorted({round(second * SECOND) // INTERVAL * INTERVAL + INTERVAL for second in seconds})


TRUE = [float(second) for second in range(60)]
AHEAD = [30, 2 * 60, 23 * HOUR, 400 * DAY]


@pytest.mark.parametrize("number", [1, 2, 5], ids=["one", "two in a row", "five in a row"])
@pytest.mark.parametrize("away_s", [*AHEAD, -HOUR, -400 * DAY])
@pytest.mark.parametrize("slow", [0.1, 2.5], ids=["ok", "stall"])
def test_points_of_true_lines_keep_their_own_times(away_s: float, number: int, slow: float) -> None:
    with living() as life:
        life.follow(*TRUE[:25])
        for n in range(number):
            life.read(line(24.5 + away_s + n / 100, slow))
        life.follow(*TRUE[25:])
        life.until(80)
        points = life.points()
        assert max(point.time_ns for point in points) <= life.now.wall_ns
        # the point of a line from the past is just after the last one
        found = [point.time_ns - NOON for point in points if point.delta.count and point.time_ns % SECOND == 0]
        assert found == ends(TRUE), "each interval once, at its end"
        assert life.counted("closed") + life.counted("open_interval") == len(TRUE) + number
        assert (life.counted("open_interval") > 0) == (away_s > 80)


@pytest.mark.parametrize("away_s", AHEAD)
@pytest.mark.parametrize("cut", [1, 7, 60], ids=["by the line", "in pieces", "at once"])
def test_in_a_backlog_one_line_ahead_makes_no_other_late(away_s: float, cut: int) -> None:
    with living() as life:
        life.second = 500 * DAY  # all of it is long past
        lines = [line(second * 30, 0.1) for second in TRUE]
        lines[20] = line(20 * 30 + away_s, 0.1)
        for at in range(0, len(lines), cut):
            life.read(b"".join(lines[at : at + cut]))
        life.until(life.second + 70)
        twice = "SELECT series, start_ns FROM closed GROUP BY 1, 2 HAVING count(*) > 1"
        assert rows(life.store.path, twice) == []
        assert (life.counted("closed"), life.counted("open_interval")) == (60, 0)
        points = [point for point in life.points() if point.id]
        assert [point.time_ns % INTERVAL for point in points] == [0] * len(points), "all at the ends of their intervals"


@pytest.mark.parametrize("away_s", AHEAD)
def test_a_line_from_the_future_counts_once_its_time_has_come(away_s: float) -> None:
    with living() as life:
        life.follow(1)
        life.read(line(1 + away_s, 0.1))
        life.follow(2, 3)
        life.until(1 + away_s - INTERVAL // SECOND)
        assert (life.counted("closed"), life.counted("open_interval")) == (3, 1)
        life.until(1 + away_s + 70)
        assert (life.counted("closed"), life.counted("open_interval")) == (4, 0)
        counted = [point.time_ns - NOON for point in life.points() if point.delta.count]
        assert counted == ends([1, 1 + away_s])


@pytest.mark.parametrize("behind_s", [300, 3 * DAY, NOON // SECOND])
@pytest.mark.parametrize("at_once", [True, False], ids=["backlog", "live"])
def test_a_clock_that_is_behind_rejects_nothing_and_delivers_once_it_is_right(behind_s: int, at_once: bool) -> None:
    with living(clock_s=-behind_s) as life:
        if at_once:
            life.second = TRUE[-1]
            life.read(b"".join(line(second, 0.1) for second in TRUE))
        else:
            life.follow(*TRUE)
        life.until(200)
        assert life.piece.engine.ahead_ns(life.now) > 0
        assert rows(life.store.path, "SELECT samples FROM source") == [(60,)]
        assert rows(life.store.path, "SELECT * FROM rejected") == []
        assert (life.counted("closed"), life.counted("open_interval")) == (0, 60)
        life.clock_s = 0  # NTP has come
        life.until(201)
        assert (life.counted("closed"), life.counted("open_interval")) == (60, 0)
        counted = [point for point in life.points() if point.delta.count]
        assert [point.time_ns - NOON for point in counted] == ends(TRUE)
        assert counted[-1].total.count == 60


@pytest.mark.parametrize("ahead_s", [300, 3 * DAY, 400 * DAY])
def test_a_clock_that_was_ahead_over_a_silent_log_moves_no_later_point(ahead_s: int) -> None:
    with living(clock_s=ahead_s) as life:
        life.until(200)  # longer than a log is silent before its time is the machine's
        life.clock_s = 0
        life.follow(*(200 + second for second in TRUE))
        life.until(400)
        points = life.points()
        assert max(point.time_ns for point in points) <= life.now.wall_ns
        counted = [point for point in points if point.delta.count]
        assert [point.time_ns - NOON for point in counted] == ends([200 + second for second in TRUE])


@pytest.mark.parametrize("ahead_s", [45, HOUR])
def test_a_log_whose_whole_clock_is_ahead_is_delivered_late_by_as_much_and_whole(ahead_s: int) -> None:
    with living() as life:
        for second in TRUE:
            life.until(second)
            life.read(line(second + ahead_s, 0.1))
        life.until(ahead_s + 200)
        counted = [point for point in life.points() if point.delta.count]
        assert [point.time_ns - NOON for point in counted] == ends([second + ahead_s for second in TRUE])
        assert counted[-1].total.count == 60


def test_a_run_that_does_not_stay_delivers_all_but_what_is_from_the_future() -> None:
    with living() as life:
        life.second = 61
        life.read(b"".join(line(second, 0.1) for second in [*TRUE, 61, 61 + HOUR]))
        while (batch := life.piece.engine.finish(life.now)) is not None:
            life.piece.take(batch, life.now)
        assert (life.counted("closed"), life.counted("open_interval")) == (61, 1)
        assert rows(life.store.path, "SELECT sealed_ns FROM source") == [(NOON + 7 * INTERVAL,)]


def test_many_intervals_become_final_a_bounded_number_at_a_time() -> None:
    with living(clock_s=-3 * DAY) as life:
        life.second = 30_000
        life.read(b"".join(line(second, 0.1) for second in range(0, 30_000, 10)))
        life.clock_s, life.second = 0, life.second + 70
        batches = 0
        while (batch := life.piece.engine.tick(life.now)) is not None:
            life.piece.take(batch, life.now)
            batches += 1
        assert batches > 1
        assert (life.counted("closed"), life.counted("open_interval")) == (3000, 0)
        times = [point.time_ns for point in life.points() if point.id]
        assert times == sorted(times)


def test_the_clock_leaves_a_line_a_moment_to_become_visible() -> None:
    with living() as life:
        life.follow(9.5, slow=0.6)
        life.until(10.2)
        assert (life.counted("closed"), life.counted("open_interval")) == (0, 1)
        life.until(10.3)
        assert (life.counted("closed"), life.counted("open_interval")) == (1, 0)
        life.until(12.7)
        assert rows(life.store.path, "SELECT count(*) FROM episode") == [(0,)]
        life.until(12.8)
        assert rows(life.store.path, "SELECT count(*) FROM episode") == [(1,)]


def test_a_backlog_of_several_files_is_final_behind_the_slowest_of_them() -> None:
    with living() as life:
        life.second = 10_000
        batch = life.piece.engine.feed(
            life.piece.chunk(line(0, 0.1) + line(1000, 0.1) * 2), life.now, ["/logs/other.log"]
        )
        assert batch.seal_until_ns is None
        life.piece.take(batch, life.now)
        assert life.piece.engine.feed(life.piece.chunk(line(1001, 0.1)), life.now).seal_until_ns == NOON + 700 * SECOND


def test_after_a_restart_open_intervals_wait_for_no_line() -> None:
    with living() as life:
        life.follow(1, 2)
        life.piece = Piece(life.store)
        life.until(12)
        assert (life.counted("closed"), life.counted("open_interval")) == (2, 0)


@pytest.mark.parametrize("slow", [0.1, 0.6], ids=["ok", "breach"])
@pytest.mark.parametrize("then", [2, 3601], ids=["the next line speaks against it", "the next line agrees"])
def test_a_restart_behind_a_line_from_another_time_changes_nothing(slow: float, then: float) -> None:
    found = []
    for restarts in (False, True):
        with living() as life:
            life.read(line(1, 2.5) + line(3600, slow))
            if restarts:
                before = life.piece.open
                life.piece = Piece(life.store)
                assert life.piece.open == before
                assert before.is_away
            life.read(line(then, 0.6))
            found.append((life.piece.open, rows(life.store.path, EPISODES)))
    assert found[0] == found[1]


Episodes = list[tuple[object, ...]]
EPISODES = "SELECT hex(trace_id), start_ns, end_ns, count, peak_ns FROM episode ORDER BY 1"


def episodes_of(lines: list[tuple[float, bytes]], *, live: bool) -> Episodes:
    """All episodes of a log: (second at which it is written, line) each."""
    with living() as life:
        for second, data in lines:
            if live:
                life.until(second)
                life.read(data)
        if not live:
            life.second = lines[-1][0]
            life.read(b"".join(data for _, data in lines))
        life.until(lines[-1][0] + 100)
        return rows(life.store.path, EPISODES)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.5, 1, 2.9, 3, 3.1, 3.5, 20, HOUR]),  # the quiet window is 3 s
            st.sampled_from([0.1, 0.6, 2.5]),
            # (dated into an episode that the clock has ended, a line begins another one only while it is followed;
            # so no breach is dated ahead to a time that the log reaches)
            st.sampled_from([0, 0, 0, 600, 23 * HOUR, -DAY]),
        ),
        min_size=1,
        max_size=14,
    )
)
@example([(2.9, 0.6, 0)] * 4)  # longer than the quiet window in all
@example([(1, 2.5, 0), (1, 2.5, 23 * HOUR), (1, 2.5, 0), (2.9, 0.6, -DAY), (20, 0.1, 0)])
@example([(1, 2.5, 0), (HOUR, 2.5, 0), (1, 0.1, 10), (2.9, 0.6, 0)])
def test_a_log_gives_the_same_episodes_live_and_later_despite_single_lines(
    drawn: list[tuple[float, float, float]],
) -> None:
    lines, second, is_true = [], 0.0, False
    for gap_s, slow, away_s in drawn:
        second += gap_s
        # no two wrong ones in a row: those are believed
        is_true = away_s == 0 or not is_true
        lines.append((second, line(second + (0 if is_true else away_s), slow)))
    found = episodes_of(lines, live=False)
    assert sum(int(str(count)) for _, _, _, count, _ in found) == sum(slow > 0.1 for _, slow, _ in drawn)
    assert episodes_of(lines, live=True) == found
