"""An exporter that is added later, and one that is restarted: where it begins, and what it gets first."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.delivery.rules import Rules
from otel_logtail.delivery.sender import Drain
from otel_logtail.events import Reporter
from otel_logtail.log import Style
from otel_logtail.model import Counts, ExportBatch, Instrument, Point, SeriesKey, Stream
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.points import MAX_EXEMPLARS
from otel_logtail.store.writer import Store
from otel_logtail.testing import FakeExporter
from tests.support import forked
from tests.support.command import USAGE
from tests.support.pieces import NOON, SECOND, Piece, line, opened, rows
from tests.support.places import CAPTURES

CAPTURE = CAPTURES / "0.42.0-stall.log"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store.db") as store:
        yield store


def outbox_of(store: Store, name: str = "fake", *, from_now: bool = False) -> Outbox:
    outbox = Outbox.open(store.path, name)
    outbox.register(Stream, NOON, from_now=from_now)
    return outbox


def deliver(outbox: Outbox, limit: int = 1000) -> list[Point]:
    delivered: list[Point] = []
    for stream in (Stream.INTERVALS, Stream.EPISODES, Stream.BREACHES):
        while (batch := outbox.read(stream, limit)) is not None:
            outbox.advance(batch, len(batch.items), NOON)
            delivered += [item for item in batch.items if isinstance(item, Point)]
    return delivered


def totals(points: Sequence[Point]) -> dict[SeriesKey, Counts]:
    return {point.series: point.total for point in points}


# --- resume -----------------------------------------------------------------------------------------------------------


def test_the_sent_points_are_the_last_of_every_series_without_pending_ones(store: Store) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.6, key="a") + line(2, 0.1, key="b") + line(11, 0.2, key="a"), seal_s=20)
    with closing(outbox_of(store)) as outbox:
        assert outbox.told() == ()
        delivered = deliver(outbox, limit=2)
        piece.commit(line(30, 0.3, key="a"), seal_s=60)
        told = outbox.told()
    assert totals(told) == totals(delivered)
    assert {point.series: point.time_ns for point in told} == {point.series: point.time_ns for point in delivered}
    assert {(point.id, point.delta.count) for point in told} == {(0, 0)}
    assert [point.time_ns for point in told] == sorted(point.time_ns for point in told)


class Resuming(FakeExporter):
    """Records what it gets, and when."""

    def __init__(self, raises: int = 0) -> None:
        super().__init__(wants=frozenset({Stream.INTERVALS}))
        self.told: list[tuple[int, tuple[Point, ...]]] = []
        self.raises = raises

    def resume(self, points: Sequence[Point]) -> None:
        self.told.append((len(self.asked), tuple(points)))
        if len(self.told) <= self.raises:
            raise ZeroDivisionError("a plug-in's bug")


def counted(exporter: FakeExporter) -> list[int]:
    """Return the ids of delivered items, without zero points and repeats."""
    return [item.id for item in exporter.delivered(Stream.INTERVALS) if item.id]


def run(store: Store, exporter: Resuming) -> None:
    drain = Drain(exporter, outbox_of(store), Reporter(style=Style(least="warning")), Rules(first_backoff_s=0.001))
    drain.start()
    drain.stop(10.0)
    drain.join()


def test_an_exporter_gets_the_receivers_totals_before_its_first_batch(store: Store) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1), seal_s=20)
    first, second = Resuming(), Resuming()
    run(store, first)
    piece.commit(line(30, 0.2), seal_s=60)
    run(store, second)
    assert first.told == [(0, ())]
    ((asked, told),) = second.told
    assert asked == 0
    assert totals(told) == totals([item for item in first.delivered(Stream.INTERVALS) if isinstance(item, Point)])
    assert (counted(first), counted(second)) == ([1, 2], [3, 4])


def test_an_exporter_that_fails_on_the_totals_gets_them_again_first(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    Piece(store).commit(line(1, 0.1), seal_s=20)
    exporter = Resuming(raises=2)
    run(store, exporter)
    assert [asked for asked, _ in exporter.told] == [0, 0, 0]
    assert counted(exporter) == [1, 2]
    assert "internal error: ZeroDivisionError: a plug-in's bug" in capsys.readouterr().err


# --- from start, from now ---------------------------------------------------------------------------------------------


def test_from_now_skips_stored_data_and_its_totals_count_it(store: Store) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.6) + line(12, 0.1) + line(20, 0.2), seal_s=30)
    with closing(outbox_of(store, "all")) as everything, closing(outbox_of(store, "new", from_now=True)) as new:
        before = deliver(everything)
        assert len(before) > 0
        assert new.pending() == 0
        assert totals(new.told()) == totals(everything.told())
        piece.commit(line(40, 0.7), seal_s=60)
        after = deliver(everything)
        assert deliver(new) == after
    durations = [point for point in after if point.series.instrument is Instrument.DURATION]
    assert [(point.delta.count, point.total.count) for point in durations] == [(1, 4)]


def test_from_now_does_not_touch_an_exporter_that_is_known(store: Store) -> None:
    piece = Piece(store)
    with closing(outbox_of(store)):
        pass
    piece.commit(line(1, 0.6), seal_s=30)
    with closing(outbox_of(store, from_now=True)) as outbox:
        assert outbox.pending() > 0
        assert outbox.told() == ()


# --- exemplars --------------------------------------------------------------------------------------------------------


def durations_of(batch: ExportBatch | None) -> list[Point]:
    assert batch is not None
    points = [item for item in batch.items if isinstance(item, Point)]
    return [point for point in points if point.id and point.series.instrument is Instrument.DURATION]


def test_the_worst_breaches_of_an_interval_are_its_exemplars_by_time(store: Store) -> None:
    slow = [0.6, 0.9, 3.0, 0.7, 0.8]
    Piece(store).commit(b"".join(line(n, duration) for n, duration in enumerate(slow)), seal_s=30)
    with closing(outbox_of(store)) as outbox:
        (point,) = durations_of(outbox.read(Stream.INTERVALS, 100))
        breaches = outbox.read(Stream.BREACHES, 100)
    assert breaches is not None
    assert MAX_EXEMPLARS == 3
    assert point.exemplars == (breaches.items[1], breaches.items[2], breaches.items[4])
    assert [one.duration_ns for one in point.exemplars] == [9 * SECOND // 10, 3 * SECOND, 8 * SECOND // 10]


def test_exemplars_are_those_of_their_own_series_and_interval_and_of_durations_only(store: Store) -> None:
    Piece(store).commit(
        line(1, 0.6, key="a") + line(2, 0.7, key="b") + line(3, 0.1) + line(11, 0.9, key="a") + line(21, 0.1, key="a"),
        seal_s=60,
    )
    with closing(outbox_of(store)) as outbox:
        batch = outbox.read(Stream.INTERVALS, 100)
    found = {
        (dict(point.series.attributes).get("fake.key", ""), (point.time_ns - NOON) // SECOND): [
            one.duration_ns * 10 // SECOND for one in point.exemplars
        ]
        for point in durations_of(batch)
    }
    assert found == {("a", 10): [6], ("b", 10): [7], ("", 10): [], ("a", 20): [9], ("a", 30): []}
    assert batch is not None
    assert all(
        not item.exemplars
        for item in batch.items
        if isinstance(item, Point) and item.series.instrument is not Instrument.DURATION
    )


# --- from the command line --------------------------------------------------------------------------------------------


def command(tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    start = ["--observer", "headroom", "--path", CAPTURE, "--once"]
    return forked.run(*start, "--db", tmp_path / "store.db", *more, home=tmp_path, check=False)


SAYS = {
    "start": "sending the N items in the store first (--exporter-from now leaves them out)",
    "now": "the N items in the store are left out (--exporter-from now)",
}


@pytest.mark.parametrize(("begin", "lines"), [("start", 10), ("now", 0)])
def test_a_destination_that_is_added_later_begins_as_requested(tmp_path: Path, begin: str, lines: int) -> None:
    assert command(tmp_path).returncode == 0
    done = command(tmp_path, "--exporter", "console", "--exporter-from", begin)
    assert (done.returncode, done.stdout.count(" breach: ")) == (0, lines)
    (held,) = rows(
        tmp_path / "store.db",
        "SELECT (SELECT count(*) FROM interval) + (SELECT count(*) FROM episode) + (SELECT count(*) FROM breach)",
    )[0]
    told = [text for text in done.stderr.splitlines() if "new to this store" in text]
    assert told == [f"otel-logtail: console: new to this store: {SAYS[begin].replace('N', str(held))}"]
    again = command(tmp_path, "--exporter", "console", "--exporter-from", begin)
    assert (again.stdout, "new to this store" in again.stderr) == ("", False)


def test_a_destination_of_a_new_store_gets_no_totals(tmp_path: Path) -> None:
    assert "new to this store" not in command(tmp_path, "--exporter", "console").stderr


def test_another_beginning_is_a_usage_error(tmp_path: Path) -> None:
    done = command(tmp_path, "--exporter", "console", "--exporter-from", "yesterday")
    assert done.returncode == 2
    assert done.stderr == (
        "otel-logtail: error: invalid --exporter-from 'yesterday': expected start or now\n\nhint: use start or now\n"
        + USAGE
    )
