"""Edges of maintenance: intervals that end with a slot, files whose only block begins at 0, when a file was deleted."""

from __future__ import annotations

import time
from pathlib import Path

from otel_logtail.model import Stream
from otel_logtail.store.maintenance import FORGOTTEN_NS, Limits
from tests.support.lives import HOUR, Life, deliver, living, ns, outbox_of
from tests.support.pieces import rows

DURATIONS = (
    "SELECT i.start_ns, i.end_ns, count, i.id, first_breach, last_breach FROM interval AS i"
    " JOIN series AS s ON s.id = i.series WHERE s.instrument = 'duration' ORDER BY i.end_ns"
)


def lived(life: Life, *samples: tuple[float, float]) -> None:
    """Samples of a first minute, each closed at once, and one hours later."""
    for second, duration_s in samples:
        life.say((second, duration_s), seal=second // 10 * 10 + 10)
    life.say((4 * HOUR, 0.1), seal=4 * HOUR + 10)


def test_intervals_up_to_the_very_end_of_a_slot_are_merged_under_the_highest_id(tmp_path: Path) -> None:
    with living(tmp_path) as life:
        lived(life, (1, 0.6), (41, 0.7), (51, 0.8), (61, 0.1))
        before = rows(life.path, DURATIONS)
        with outbox_of(life) as outbox:
            deliver(outbox)
            life.keep_up(exporters=["fake"])
            found = rows(life.path, DURATIONS)
            assert [row[:3] for row in found[:2]] == [(ns(0), ns(60), 3), (ns(60), ns(70), 1)]
            assert found[0][3] == before[2][3]
            assert found[0][4:] == (before[0][4], before[2][5]) == (1, 3)
            assert outbox.read(Stream.INTERVALS, 100) is None


def test_a_late_row_for_the_last_merged_slot_is_merged_too(tmp_path: Path) -> None:
    with living(tmp_path) as life:
        lived(life, (1, 0.1), (41, 0.1), (51, 0.1))
        with outbox_of(life) as outbox:
            deliver(outbox)
            life.keep_up(exporters=["fake"])
            life.say((3 * HOUR - 5, 0.1), seal=4 * HOUR + 20)  # ends where the merge of minutes has ended
            life.say((3 * HOUR - 5, 0.1), seal=4 * HOUR + 30)  # and one more row of the same interval
            deliver(outbox)
            life.keep_up(exporters=["fake"])
        ends = [(row[0], row[1], row[2]) for row in rows(life.path, DURATIONS)]
    assert (ns(3 * HOUR - 60), ns(3 * HOUR), 2) in ends


def test_a_file_whose_only_block_begins_with_its_first_byte_is_not_forgotten(tmp_path: Path) -> None:
    with living(tmp_path) as life:
        life.say((1, 0.1), seal=20)
        life.store._db.execute("UPDATE file SET done = 1, gone_ns = 1")
        assert life.keep_up(Limits()).forgotten == ()
        assert life.count("file") == 1


def test_a_file_is_gone_since_it_was_first_missed(tmp_path: Path) -> None:
    with living(tmp_path) as life:
        life.say((1, 0.1), seal=20)
        id_ = life.piece.file.id
        maintenance = life.store.maintenance(Limits(), ())
        maintenance.step(1e6, lambda: {id_})
        ((first,),) = rows(life.path, "SELECT gone_ns FROM file")
        assert isinstance(first, int)
        assert time.time_ns() - FORGOTTEN_NS < first <= time.time_ns()
        while maintenance.step(1e6):
            pass
        maintenance.step(2e6, lambda: {id_})
        assert rows(life.path, "SELECT gone_ns FROM file") == [(first,)]
        while maintenance.step(2e6):
            pass
        maintenance.step(3e6, set)
        assert rows(life.path, "SELECT gone_ns FROM file") == [(0,)]
