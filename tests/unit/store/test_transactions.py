"""Isolation of two writers: write transactions that begin as such, and reads of one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from otel_logtail.model import ExportBatch, HealthRecord, Stream
from otel_logtail.store.connection import connect, transaction
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from otel_logtail.testing import fake_mark
from tests.support.pieces import NOON, SECOND, Piece, line, opened


@contextmanager
def two_connections(path: Path) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    with opened(path), closing(connect(path)) as one, closing(connect(path)) as other:
        other.execute("PRAGMA busy_timeout = 0")
        yield one, other


def test_a_reader_in_a_write_transaction_can_write_based_on_its_read(tmp_path: Path) -> None:
    """One that begins as a reader may find another writer in between, and has to give up whatever the patience."""
    with two_connections(tmp_path / "store.db") as (one, other):
        with transaction(one):
            one.execute("SELECT * FROM meta").fetchall()
            with pytest.raises(sqlite3.OperationalError, match="locked"), transaction(other):
                pass
            one.execute("INSERT INTO meta VALUES ('odd', '1')")
        with transaction(other):
            assert other.execute("SELECT value FROM meta WHERE key = 'odd'").fetchone() == ("1",)


def test_who_reads_first_waits_for_the_other_writer_and_sees_what_it_wrote(tmp_path: Path) -> None:
    with two_connections(tmp_path / "store.db") as (one, other):
        one.execute("BEGIN IMMEDIATE")
        one.execute("INSERT INTO meta VALUES ('odd', '1')")
        waited: list[int] = []

        def let_go(count: int) -> None:
            if not waited:
                waited.append(count)
                one.execute("COMMIT")

        other.execute("PRAGMA busy_timeout = 20000")
        other.set_trace_callback(lambda statement: let_go(len(statement)))  # waiting for BEGIN
        with transaction(other):
            assert other.execute("SELECT value FROM meta WHERE key = 'odd'").fetchone() == ("1",)
            other.execute("UPDATE meta SET value = '2' WHERE key = 'odd'")


FULL, NORMAL = (2,), (1,)


def test_commits_are_synced_until_what_they_build_on_is_on_the_disk_and_not_one_by_one_after_that(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "store.db") as store:
        piece = Piece(store)
        assert store._db.execute("PRAGMA synchronous").fetchone() == FULL
        piece.commit(line(0, 1.0))
        assert store._db.execute("PRAGMA synchronous").fetchone() == NORMAL
        outbox = Outbox.open(store.path, "fake")
        try:
            assert outbox._db.execute("PRAGMA synchronous").fetchone() == FULL
            outbox.register(Stream, NOON)
            assert outbox._db.execute("PRAGMA synchronous").fetchone() == NORMAL
        finally:
            outbox.close()


# --- an exporter's reads ---


class Scene:
    """A store in which an exporter has some items, lacks some, and will lack more; the same each time it is made."""

    def __init__(self, store: Store) -> None:
        self.path = store.path
        self._piece = Piece(store)
        self._commit(0, 40)
        self._deliver(60)
        self._commit(40, 80)

    def _commit(self, first: int, last: int) -> None:
        for second in range(first, last, 2):
            data = line(second, 1.0 if second % 8 == 0 else 0.1) + fake_mark(second * 3600 * SECOND, "a mark")
            self._piece.commit(data, seal_s=second)

    def _deliver(self, limit: int) -> None:
        outbox = Outbox.open(self.path, "fake")
        try:
            outbox.register(Stream, NOON)
            for stream in (Stream.INTERVALS, Stream.EPISODES, Stream.BREACHES, Stream.MARKS):
                if (batch := outbox.read(stream, limit)) is not None:
                    outbox.advance(batch, len(batch.items), NOON)
        finally:
            outbox.close()

    def goes_on(self) -> None:
        """More is written, and something that waited is delivered: totals and cursors move together."""
        self._commit(80, 130)
        self._deliver(20)


def numbers_of(batch: ExportBatch) -> list[object]:
    """The daemon's numbers, without the size on disk and durations, which differ each time."""
    (record,) = batch.items
    assert isinstance(record, HealthRecord)
    changing = ("otel_logtail.store.size", "otel.sdk.exporter.operation.duration")
    return [value for value in record.values if value.name not in changing]


READS: dict[str, Callable[[Outbox], object]] = {
    "intervals": lambda outbox: outbox.read(Stream.INTERVALS, 1000),
    "episodes": lambda outbox: outbox.read(Stream.EPISODES, 1000),
    "breaches": lambda outbox: outbox.read(Stream.BREACHES, 1000),
    "marks": lambda outbox: outbox.read(Stream.MARKS, 1000),
    "what was told": Outbox.told,
    "silent series": lambda outbox: outbox.silent(SECOND, 1000),
    "health": lambda outbox: numbers_of(outbox.health(NOON)),
}


def answer(folder: Path, read: Callable[[Outbox], object], interrupted_at: int) -> tuple[str, int]:
    """Read while the store changes before the statement of this number; return result and number of statements."""
    folder.mkdir()
    with opened(folder / "store.db") as store:
        scene = Scene(store)
        outbox = Outbox.open(store.path, "fake")
        statements = 0

        def before_each(statement: str) -> None:
            nonlocal statements
            statements += 1
            if statements == interrupted_at:
                scene.goes_on()

        try:
            outbox._db.set_trace_callback(before_each)
            found = read(outbox)
        finally:
            outbox.close()
        return repr(found).replace(store.instance, "instance"), statements


@pytest.mark.parametrize("read", [*READS.values()], ids=[*READS.keys()])
def test_an_exporter_reads_one_moment_during_any_writes(tmp_path: Path, read: Callable[[Outbox], object]) -> None:
    before, number = answer(tmp_path / "before", read, 0)
    after, _ = answer(tmp_path / "after", read, 1)
    assert number > 2
    for at in range(2, number + 1):
        found, _ = answer(tmp_path / str(at), read, at)
        assert found in (before, after), f"neither before nor after, interrupted at statement {at} of {number}"
