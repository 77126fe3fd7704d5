"""The engine at the very edges of its times, and what it leaves out of a chunk whose lines may be stored already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest

from otel_logtail.counts import SampleKey, sample_key
from otel_logtail.engine.engine import LATE_NS, SETTLE_NS, Engine, Now
from otel_logtail.engine.scan import Scanned, without
from otel_logtail.exporter import REPEAT_NS
from otel_logtail.model import Batch, Chunk, FileState, Instrument, SourceInfo, Unfinished
from otel_logtail.store.writer import Store
from otel_logtail.testing import FakeObserver
from tests.support.hits import each
from tests.support.pieces import INTERVAL, LIVE, NOON, QUIET, SECOND, Piece, line, opened, rows, scanned

OTHER = "/logs/fake-8788.log"


class Log:
    """An engine without a store: its batches are accepted at once."""

    def __init__(self) -> None:
        info = SourceInfo(1, "fake-source", "fake", "log.overhead", "box", SECOND // 2, 2 * SECOND, QUIET)
        self.engine = Engine(info, FakeObserver(), interval_ns=INTERVAL, unfinished=Unfinished(), now=Now(NOON, 0))

    def read(
        self, data: bytes, *, at: int = 0, wall_ns: int = NOON, live: str = LIVE, waiting: Collection[str] = ()
    ) -> Batch:
        """Lines are read ``at`` so many nanoseconds after the start."""
        file = FileState(1, live, live, 1, 2, len(data))
        now = Now(wall_ns, at)
        batch = self.engine.feed(Chunk(bytearray(data), 0, len(data), 0, file, len(data)), now, waiting)
        ends = [key.end_ns for key in batch.counts]
        self.engine.committed(batch, now, min(ends, default=None))
        return batch

    def tick(self, after: int) -> Batch | None:
        """The time: so many nanoseconds after the start, which is noon by the machine's clock."""
        return self.engine.tick(Now(NOON + after, after))

    def take(self, batch: Batch | None, after: int, first_end_ns: int | None) -> None:
        assert batch is not None
        self.engine.committed(batch, Now(NOON + after, after), first_end_ns)


@pytest.fixture
def log() -> Log:
    return Log()


# --- the clock --------------------------------------------------------------------------------------------------------

SEALED = INTERVAL + SETTLE_NS


def test_an_interval_closes_at_the_very_moment_at_which_its_lines_are_all_visible(log: Log) -> None:
    log.read(line(0, 0.1))
    log.take(log.tick(SECOND), SECOND, NOON + INTERVAL)
    assert log.tick(SEALED - 1) is None
    sealed = log.tick(SEALED)
    assert sealed is not None
    assert sealed.seal_until_ns == NOON + INTERVAL


def test_while_nothing_is_due_the_time_is_noted_now_and_then(log: Log) -> None:
    log.read(line(0, 0.1))
    log.take(log.tick(SECOND), SECOND, None)
    assert log.tick(SECOND + REPEAT_NS - 1) is None
    assert log.tick(SECOND + REPEAT_NS) is not None


OVER = QUIET + SETTLE_NS


def test_an_episode_is_over_a_quiet_window_after_its_last_breach_was_read(log: Log) -> None:
    log.read(line(0, 3.0))
    log.take(log.tick(1), 1, NOON + INTERVAL)
    assert log.engine.due_s(Now(NOON + 1, 1)) == pytest.approx((OVER - 1) / SECOND + 0.001)
    assert log.tick(OVER - 1) is None
    over = log.tick(OVER)
    assert over is not None
    assert len(over.closed) == 1


def test_each_further_breach_lets_an_episode_last_longer_by_the_clock(log: Log) -> None:
    log.read(line(0, 3.0))
    log.read(line(2, 3.0), at=2 * SECOND)
    log.take(log.tick(2 * SECOND), 2 * SECOND, NOON + INTERVAL)
    assert log.tick(2 * SECOND + OVER - 1) is None
    over = log.tick(2 * SECOND + OVER)
    assert over is not None
    assert [episode.count for episode in over.closed] == [2]


def test_nothing_is_remembered_of_episodes_that_are_over(log: Log) -> None:
    for number in range(5):
        log.read(line(100 * number, 3.0), at=number)
    log.read(line(1000, 0.1) + line(1001, 0.1), at=9)
    pending = log.engine._pending
    assert (pending._read_ns, pending._open) == ({}, {})


def test_when_a_run_ends_what_is_over_by_the_clock_is_closed_and_nothing_younger(log: Log) -> None:
    log.read(line(0, 3.0))
    closed = []
    for wall_ns in (NOON + OVER, NOON + OVER + 1):
        batch = log.engine.finish(Now(wall_ns, 0))
        closed.append(len(batch.closed) if batch is not None else 0)
    assert closed == [0, 1]


# --- a backlog --------------------------------------------------------------------------------------------------------


def test_a_backlog_closes_no_further_than_the_slowest_of_its_logs(log: Log) -> None:
    log.read(line(0, 0.1) + line(1, 0.1), live=OTHER)
    data = line(5000, 0.1) + line(5001, 0.1)
    wall_ns = NOON + 10_000 * SECOND
    assert log.read(data, wall_ns=wall_ns, waiting=[OTHER, LIVE]).seal_until_ns == NOON - LATE_NS
    assert log.read(data, wall_ns=wall_ns).seal_until_ns == NOON + 5000 * SECOND - LATE_NS


def test_a_backlog_closes_no_further_than_the_machines_clock(log: Log) -> None:
    data = line(5000, 0.1) + line(5001, 0.1)
    assert log.read(data, wall_ns=NOON + SECOND).seal_until_ns == NOON + SECOND


def test_breaches_are_counted_by_the_second_and_all_samples_by_the_interval(log: Log) -> None:
    counts = log.read(line(1, 0.6) + line(1.9, 0.6) + line(2, 0.6)).counts
    spans: dict[Instrument, list[tuple[int, int]]] = {}
    for key, value in sorted(counts.items(), key=lambda item: item[0].start_ns):
        spans.setdefault(key.series.instrument, []).append((key.start_ns - NOON, value.count))
    assert spans[Instrument.BREACHES] == [(SECOND, 2), (2 * SECOND, 1)]
    assert spans[Instrument.DURATION] == [(0, 3)]


# --- lines that may be stored already ---------------------------------------------------------------------------------

DATA = [line(1, 0.1), line(2, 0.6), line(2, 0.6), line(3, 0.1), line(4, 2.5)]
STARTS = [sum(map(len, DATA[:n])) for n in range(len(DATA) + 1)]


def keys(found: Scanned) -> list[SampleKey]:
    samples = found.samples
    return [sample_key(*row) for row in zip(samples.time_ns, samples.duration_ns, samples.stage_ns, strict=True)]


@pytest.fixture
def found() -> Scanned:
    return scanned(b"".join(DATA))


def test_the_remaining_samples_have_their_new_places(found: Scanned) -> None:
    left = without(found, Counter(keys(found)[:1]), STARTS[-1])
    assert left.samples.offsets == STARTS[1:5]
    assert [(hit.index, hit.offset) for hit in each(left.hits)] == [(0, STARTS[1]), (1, STARTS[2]), (3, STARTS[4])]
    assert left.tally.samples == 4


def test_of_equal_samples_as_many_are_left_out_as_are_stored(found: Scanned) -> None:
    stored = {keys(found)[1]: 1}
    assert without(found, stored, STARTS[-1]).samples.offsets == [STARTS[0], *STARTS[2:5]]
    assert stored == {keys(found)[1]: 1}  # it is not changed


def test_only_lines_before_the_doubt_are_left_out(found: Scanned) -> None:
    assert without(found, Counter(keys(found)), STARTS[3]).samples.offsets == STARTS[3:5]
    assert without(found, Counter(keys(found)), STARTS[3] + 1).samples.offsets == STARTS[4:5]


def test_breaches_behind_an_omitted_sample_are_stored_unchanged(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store:
        batch = read_again(store, b"".join(DATA), Counter(keys(scanned(b"".join(DATA)))[:2]))
        store.commit(batch)
        severities = rows(store.path, "SELECT k.severity, duration_ns FROM breach JOIN kind AS k ON k.id = kind")
    assert severities == [(1, 600_000_000), (2, 2_500_000_000)]


def read_again(store: Store, data: bytes, stored: Counter[SampleKey]) -> Batch:
    piece = Piece(store)
    chunk = piece.chunk(data)
    after = msgspec.structs.replace(chunk.after, doubt=len(data))
    return piece.engine.feed(msgspec.structs.replace(chunk, after=after), Now(NOON, 0), (), stored)
