"""Marks in the store: once each, a bounded number, from the log and by hand, and delivered as a stream."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from otel_logtail.model import Mark, MarkRecord, Stream
from otel_logtail.store import marks, sources
from otel_logtail.store.connection import connect, transaction
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.outbox import Outbox
from otel_logtail.testing import fake_mark
from tests.support.lives import DAY, deliver, living, ns, outbox_of
from tests.support.mortal import Killed, MortalConnection
from tests.support.pieces import NOON, SECOND, Piece, line, opened, rows, use_connection

HOUR = 3600 * SECOND


def stored(path: Path) -> list[tuple[object, ...]]:
    return rows(path, "SELECT time_unix_nano, source, text FROM marks ORDER BY id")


def test_a_mark_is_stored_with_its_time_and_text(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store:
        Piece(store).commit(line(0, 0.1) + fake_mark(NOON, "version 1.2 started") + line(1, 0.1))
        assert stored(store.path) == [(NOON, "fake-source", "version 1.2 started")]
        assert rows(store.path, "SELECT time FROM marks") == [("2026-11-25T12:00:00.000000000Z",)]
        assert rows(store.path, "SELECT samples, ignored, drift FROM source") == [(2, 0, 0)]


def test_the_same_line_in_a_copy_of_the_log_is_the_same_mark(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store:
        data = fake_mark(NOON, "one") + fake_mark(NOON, "two") + fake_mark(NOON, "one")
        Piece(store).commit(data)
        Piece(store, live="/logs/fake-1.log").commit(data)
        Piece(store, source="other").commit(data)
        assert [text for _, source, text in stored(store.path) if source == "fake-source"] == ["one", "two"]
        assert len(stored(store.path)) == 4


def test_only_so_many_marks_of_an_hour_are_stored(tmp_path: Path) -> None:
    most = marks.MOST_PER_HOUR
    with opened(tmp_path / "store.db") as store:
        piece = Piece(store)
        piece.commit(b"".join(fake_mark(NOON + n, "forged") for n in range(most + 5)))
        piece.commit(b"".join(fake_mark(NOON + n, "forged") for n in range(most)))  # these are stored already
        piece.commit(fake_mark(NOON + HOUR, "of another hour"))
        assert len(stored(store.path)) == most + 1
        assert rows(store.path, "SELECT reason, count FROM rejected") == [(marks.TOO_MANY, 5)]
        with closing(connect(store.path)) as connection:
            assert list(sources.problems(connection, piece.info.id)) == [f"rejected {marks.TOO_MANY}"]


def test_a_store_that_is_killed_before_any_statement_has_each_mark_once(tmp_path: Path) -> None:
    data = line(0, 1.0) + fake_mark(NOON, "one") + fake_mark(NOON + HOUR, "two")
    for dies_at in range(100):
        path = tmp_path / f"{dies_at}.db"
        with opened(path) as store:
            piece = Piece(store)
            before = use_connection(store, MortalConnection(store._db, dies_at))
            try:
                piece.commit(data)
                died = False
            except Killed:
                died = True
                before.close()  # the kernel's part of a kill: uncommitted data is lost
        is_committed = rows(path, "SELECT samples FROM source") == [(1,)]
        assert len(stored(path)) == (2 if is_committed else 0)
        if died:
            with opened(path) as store:
                piece = Piece(store)
                if piece.file.offset == 0:
                    piece.commit(data)
        assert [text for _, _, text in stored(path)] == ["one", "two"]
        if not died:
            assert dies_at > 10
            return
    pytest.fail("it never came to its end")


def test_a_mark_by_hand_is_written_beside_a_daemon_and_delivered_with_the_others(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store, closing(Outbox.open(store.path, "fake")) as outbox:
        piece = Piece(store)
        Piece(store, source="other")
        outbox.register([Stream.MARKS], NOON)
        piece.commit(fake_mark(NOON, "from the log"))
        with closing(connect(store.path)) as beside, transaction(beside):
            assert marks.add_by_hand(beside, Mark(NOON, "by hand"), None) == 2
            assert marks.add_by_hand(beside, Mark(NOON, "of one"), "other") == 1
            assert marks.add_by_hand(beside, Mark(NOON, "of one"), "nobody") == 0
        piece.commit(fake_mark(NOON, "the last"))
        batch = outbox.read(Stream.MARKS, 10)
        assert batch is not None
        found = [item for item in batch.items if isinstance(item, MarkRecord)]
        assert [(item.source.name, item.text) for item in found] == [
            ("fake-source", "from the log"),
            ("fake-source", "by hand"),
            ("other", "by hand"),
            ("other", "of one"),
            ("fake-source", "the last"),
        ]
        assert len({item.uid for item in found}) == 5
        assert outbox.read(Stream.MARKS, 10) == batch  # with the same ids until the receiver has them
        outbox.advance(batch, len(batch.items), NOON)
        assert outbox.read(Stream.MARKS, 10) is None


def test_an_exporter_of_an_older_version_gets_the_marks_too(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store, closing(Outbox.open(store.path, "fake")) as outbox:
        outbox.register([Stream.INTERVALS], NOON)
        Piece(store).commit(fake_mark(NOON, "one"))
        outbox.register([Stream.INTERVALS, Stream.MARKS], NOON)
        batch = outbox.read(Stream.MARKS, 10)
        assert batch is not None
        assert len(batch.items) == 1


def test_marks_stay_as_long_as_the_counts_of_their_time(tmp_path: Path) -> None:
    with living(tmp_path) as life, outbox_of(life) as outbox:
        for day in range(5):
            life.piece.commit(fake_mark(ns(day * DAY), f"day {day}"))
            life.say((day * DAY, 0.1), (day * DAY + 1, 0.1), seal=day * DAY + 60)
        life.keep_up(Limits(retention_ns=2 * DAY * SECOND), ["fake"])
        assert len(stored(life.path)) == 5, "no exporter has them"
        deliver(outbox)
        life.keep_up(Limits(retention_ns=2 * DAY * SECOND), ["fake"])
        kept = [str(text) for _, _, text in stored(life.path)]
        assert kept == ["day 3", "day 4"] or kept == ["day 2", "day 3", "day 4"]
        oldest = rows(life.path, "SELECT min(end_ns) FROM interval")[0][0]
        assert isinstance(oldest, int)
        assert next(ns_ for ns_, _, _ in stored(life.path)) == oldest // (DAY * SECOND) * DAY * SECOND


def test_marks_take_part_in_the_size_limit(tmp_path: Path) -> None:
    with living(tmp_path) as life, outbox_of(life):
        life.piece.commit(b"".join(fake_mark(ns(hour * 3600), "x" * 200) for hour in range(2000)))
        done = life.keep_up(Limits(max_bytes=1), ["fake"])
        assert stored(life.path) == []
        assert sum(drop.count for drop in done.dropped if drop.stream is Stream.MARKS) == 2000


def test_a_record_survives_the_quarantine(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store, closing(Outbox.open(store.path, "fake")) as outbox:
        outbox.register([Stream.MARKS], NOON)
        Piece(store).commit(fake_mark(NOON, "é" * 150))
        batch = outbox.read(Stream.MARKS, 10)
        assert batch is not None
        outbox.set_aside(batch, "why", NOON, held=False)
        (id_,) = outbox.on_trial.tries(Stream.MARKS)
        assert outbox.on_trial.item(id_) == batch
        (item,) = batch.items
        assert msgspec.structs.asdict(item)["text"] == "é" * 98 + "…"


def test_a_mark_is_removed_from_all_sources_and_may_be_added_again(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store:
        for source in ("a", "b"):
            Piece(store, source=source).commit(line(0, 0.1))
        with closing(connect(store.path)) as conn, transaction(conn):
            for mark in (Mark(NOON, "wrong"), Mark(NOON, "right"), Mark(NOON + HOUR, "right")):
                assert marks.add_by_hand(conn, mark, None) == 2
            assert marks.remove(conn, "wrong", None, "c") == ((), ())
            assert marks.remove(conn, "wrong", None, None) == ((NOON,), ())
            assert marks.remove(conn, "right", None, None) == ((NOON, NOON + HOUR), ())  # which one is not given
            assert marks.remove(conn, "right", (NOON, NOON + SECOND), "a") == ((NOON,), ())
            assert marks.add_by_hand(conn, Mark(NOON + 1, "wrong"), "b") == 1
        assert [(source, text) for _, source, text in stored(store.path)] == [
            ("b", "right"),
            ("a", "right"),
            ("b", "right"),
            ("b", "wrong"),
        ]
