"""An older copy of a store is noticed by the files beside it, and its series start again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from otel_logtail.model import HealthRecord, Instrument, Point, SeriesKey, Stream
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.marker import Marker, Sent
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.rows import STEP_NS
from otel_logtail.store.totals import SKIP_NS
from tests.support.pieces import NOON, SECOND, Piece, line, opened, rows


class Life:
    """A store, an exporter, and a log that is kept: it can be read again after an older copy was restored."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        self.backup = folder / "backup" / "copy"
        self.backup.parent.mkdir()
        self.log: list[tuple[bytes, float]] = []
        self.sent: list[Point] = []
        self.ahead: list[int | None] = []

    @property
    def marker(self) -> Path:
        return self.path.with_name(".store.db.fake.sent")

    def write(self, second: float, seal_s: float, duration_s: float = 0.1, key: str = "") -> None:
        """A line of the log, read at once."""
        self.log.append((line(second, duration_s, logged=seal_s, key=key), seal_s))
        self.run(read=len(self.log) - 1)

    def run(self, read: int = 0) -> list[Point]:
        """Start, read the log from that line on, send everything and exit; return the sent points."""
        new: list[Point] = []
        with opened(self.path) as store, closing(Outbox.open(self.path, "fake")) as outbox:
            piece = Piece(store)
            self.ahead.append(outbox.register([Stream.INTERVALS], NOON).ahead_ns)
            for text, seal_s in self.log[read:]:
                piece.commit(text, seal_s=seal_s)
            while (batch := outbox.read(Stream.INTERVALS, 3)) is not None:
                new += [item for item in batch.items if isinstance(item, Point)]
                outbox.advance(batch, len(batch.items), NOON)
        self.sent += new
        return new

    def save(self) -> None:
        shutil.copy(self.path, self.backup)

    def restore(self) -> None:
        for path in self.path.parent.glob("store.db*"):
            path.unlink()
        shutil.copy(self.backup, self.path)

    def increases(self) -> dict[SeriesKey, int]:
        return increases(self.sent)


def increases(points: list[Point]) -> dict[SeriesKey, int]:
    """A receiver that checks the points: none out of order, and no total that falls under one start time."""
    last: dict[SeriesKey, Point] = {}
    grown: dict[SeriesKey, int] = {}
    for point in points:
        before = last.get(point.series)
        if before is None:
            assert point.total.count == 0, "a series begins with a 0"
        else:
            assert point.time_ns > before.time_ns
            assert point.start_ns == before.start_ns or (point.start_ns > before.time_ns and not point.total.count)
            if point.start_ns == before.start_ns:
                assert point.total.count >= before.total.count
            new = point.total.count - before.total.count if point.start_ns == before.start_ns else point.total.count
            grown[point.series] = grown.get(point.series, 0) + new
        last[point.series] = point
    return grown


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    life = Life(tmp_path)
    for second in (1, 11, 21):
        life.write(second, second + 9)
    life.save()
    for second in (31, 41, 51):
        life.write(second, second + 9)
    assert life.ahead == [None] * 6
    yield life


def counts(points: list[Point]) -> list[tuple[float, float, int]]:
    """Seconds of start and time past noon, and total, of the durations."""
    return [
        ((p.start_ns - NOON) / SECOND, (p.time_ns - NOON) / SECOND, p.total.count)
        for p in points
        if p.series.instrument is Instrument.DURATION
    ]


def test_after_an_older_copy_series_start_again_later_than_all_that_was_sent(life: Life) -> None:
    life.restore()
    life.log.clear()  # rotated away meanwhile
    assert life.run() == []
    assert life.ahead[-1] == NOON + 60 * SECOND
    life.write(61, 70)
    assert counts(life.sent)[-2:] == [(60.001, 60.001, 0), (60.001, 70, 1)]
    assert set(life.increases().values()) == {7}


def test_lines_that_are_read_again_are_not_sent_again(life: Life) -> None:
    life.restore()
    life.log.append((line(61, 0.1), 70))
    new = life.run(read=3)
    assert counts(new) == [(60.001, 60.001, 0), (60.001, 70, 1)]
    assert set(life.increases().values()) == {7}
    assert rows(life.path, "SELECT position FROM cursor") == rows(life.path, "SELECT max(id) FROM interval")


def test_where_all_that_waits_was_sent_before_the_cursor_passes_it(life: Life) -> None:
    life.restore()
    assert life.run(read=3) == []
    assert rows(life.path, "SELECT position FROM cursor") == rows(life.path, "SELECT max(id) FROM interval")


def test_the_same_copy_can_be_restored_again(life: Life) -> None:
    for second in (61, 71, 81):
        life.restore()
        life.log.append((line(second, 0.1), second + 9))
        life.run(read=3)
        assert life.ahead[-1] is not None
    assert set(life.increases().values()) == {9}


def test_it_is_logged_once(life: Life) -> None:
    life.restore()
    life.run(read=3)
    life.run(read=6)
    assert [ns is not None for ns in life.ahead[-2:]] == [True, False]


def test_late_lines_of_sent_intervals_count_again_once_the_log_is_past_them(life: Life) -> None:
    life.restore()
    life.run(read=3)
    past_s = 60 + SKIP_NS / SECOND
    life.write(past_s + 11, past_s + 20)
    life.write(55, past_s + 20)
    assert set(life.increases().values()) == {8}


def test_data_that_was_sent_before_is_not_owed_when_it_is_deleted(life: Life) -> None:
    life.restore()
    with opened(life.path) as store, closing(Outbox.open(life.path, "fake")) as outbox:
        outbox.register([Stream.INTERVALS], NOON)
        for text, seal_s in [*life.log[3:], (line(61, 0.1), 70)]:
            Piece(store).commit(text, seal_s=seal_s)
        store.maintenance(Limits(max_bytes=1), ["fake"]).run()
    life.run(read=len(life.log))
    assert set(life.increases().values()) == {7}


def test_data_owed_by_the_older_copy_was_sent_by_the_newer_one(tmp_path: Path) -> None:
    life = Life(tmp_path)
    with opened(life.path) as store, closing(Outbox.open(life.path, "fake")) as outbox:
        outbox.register([Stream.INTERVALS], NOON)
        Piece(store).commit(line(1, 0.1), seal_s=10)
        store.maintenance(Limits(max_bytes=1), ["fake"]).run()
    life.save()
    life.write(11, 20)
    life.restore()
    life.run()
    assert set(life.increases().values()) == {2}


def test_counts_of_deleted_intervals_that_the_newer_copy_sent_are_not_sent_again(life: Life) -> None:
    with opened(life.path) as store, closing(Outbox.open(life.path, "fake")) as outbox:
        outbox.register([Stream.INTERVALS], NOON)
        life.log.append((line(61, 0.1), 70))
        Piece(store).commit(*life.log[-1])
        store.maintenance(Limits(max_bytes=1), ["fake"]).run()
    assert counts(life.run(read=len(life.log)))[-1][-1] == 7
    life.restore()
    assert life.run(read=3) == []
    life.write(71, 80)
    assert set(life.increases().values()) == {8}


def test_a_kill_between_the_commit_and_the_marker_is_no_older_copy(life: Life) -> None:
    before = life.marker.read_bytes()
    life.write(61, 70)
    life.marker.write_bytes(before)
    life.write(71, 80)
    assert life.ahead[-1] is None
    assert set(life.increases().values()) == {8}


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"instance":1}', b"\xff"])
def test_a_marker_that_is_lost_or_damaged_alone_is_written_again_at_the_next_start(
    life: Life, content: bytes | None
) -> None:
    good = life.marker.read_bytes()
    life.marker.unlink()
    if content is not None:
        life.marker.write_bytes(content)
    assert life.run(read=6) == []
    assert life.ahead[-1] is None
    assert life.marker.read_bytes().rstrip() == good.rstrip()
    assert life.marker.stat().st_mode & 0o777 == 0o600


def test_a_marker_that_is_removed_while_in_use_is_recreated_and_a_link_is_not_followed(life: Life) -> None:
    marker, sent = Marker(life.path, "fake"), Sent("id", {"source": (1, 2)})
    marker.write(sent)
    life.marker.unlink()
    marker.write(sent)
    assert marker.read() == sent
    marker.write(Sent())
    assert marker.read() == Sent()
    marker.close()
    target = life.path.with_name("target")
    target.write_text("whatever")
    life.marker.unlink()
    life.marker.symlink_to(target)
    marker.write(sent)
    assert target.read_text() == "whatever"
    marker.close()


def test_a_new_store_in_the_place_of_a_deleted_one_is_another_instance_and_no_older_copy(life: Life) -> None:
    (old,) = rows(life.path, "SELECT value FROM meta WHERE key = 'instance'")
    for path in life.path.parent.glob("store.db*"):
        path.unlink()
    life.run()
    (new,) = rows(life.path, "SELECT value FROM meta WHERE key = 'instance'")
    assert (life.ahead[-1], old != new) == (None, True)
    assert msgspec.json.decode(life.marker.read_bytes())["instance"] == new[0]


def test_each_exporter_has_a_marker_of_its_own(life: Life) -> None:
    with closing(Outbox.open(life.path, "other/one")) as other:
        other.register([Stream.INTERVALS], NOON)
        batch = other.read(Stream.INTERVALS, 100)
        assert batch is not None
        other.advance(batch, len(batch.items), NOON)
    assert Marker(life.path, "other/one").read() == Marker(life.path, "fake").read() != Sent()
    assert {path.name for path in life.path.parent.glob(".*")} == {
        ".store.db.fake.sent",
        ".store.db.other%2Fone.sent",
    }


def test_the_daemons_own_counters_start_again_too(life: Life) -> None:
    def start_ns(now_ns: int) -> int:
        with opened(life.path), closing(Outbox.open(life.path, "fake")) as outbox:
            outbox.register([Stream.INTERVALS], now_ns)
            (record,) = outbox.health(now_ns).items
            assert isinstance(record, HealthRecord)
            return record.start_ns

    made_ns = start_ns(NOON)
    life.restore()
    assert start_ns(made_ns + 7) == made_ns + 7
    assert start_ns(made_ns + 9) == made_ns + 7


def test_an_exporter_that_stops_sending_counts_restarts_later_and_nothing_counts_twice(life: Life) -> None:
    def metrics_off_and_on(second: float) -> list[Point]:
        with closing(Outbox.open(life.path, "fake")) as outbox:
            outbox.register([Stream.BREACHES], NOON)
        life.log.append((line(second, 0.1, logged=second + 9), second + 9))
        return life.run(read=len(life.log) - 1)

    assert counts(metrics_off_and_on(61)) == [(60.001, 60.001, 0), (60.001, 70, 1)]
    assert life.ahead[-1] is None
    with opened(life.path) as store:  # delivered data is deleted
        store._db.execute("DELETE FROM interval")
    assert counts(metrics_off_and_on(71)) == [(70.001, 70.001, 0), (70.001, 80, 1)]
    assert set(life.increases().values()) == {8}


def test_another_form_of_points_restarts_all_series_and_the_same_does_not(life: Life) -> None:
    def deliver(form: str, second: float) -> list[Point]:
        with opened(life.path) as store, closing(Outbox.open(life.path, "fake")) as outbox:
            assert outbox.register([Stream.INTERVALS], NOON, form=form).ahead_ns is None
            Piece(store).commit(line(second, 0.1), seal_s=second + 9)
            batch = outbox.read(Stream.INTERVALS, 100)
            assert batch is not None
            outbox.advance(batch, len(batch.items), NOON)
            life.sent += [item for item in batch.items if isinstance(item, Point)]
        return life.sent

    assert counts(deliver("exponential", 61))[-2:] == [(60.001, 60.001, 0), (60.001, 70, 1)]
    assert counts(deliver("exponential", 71))[-1] == (60.001, 80, 2)
    # the newer copy again, and the lines are late: never before the last sent point
    assert counts(deliver("", 2))[-2:] == [
        ((80 * SECOND + STEP_NS) / SECOND, 80.001, 0),
        (80.001, 80.002, 1),
    ]
    assert set(life.increases().values()) == {9}
