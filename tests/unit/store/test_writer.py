from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import cast

import msgspec
import pytest

from otel_logtail.engine.engine import Now
from otel_logtail.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked
from otel_logtail.model import Batch, FileState, Fingerprint, Tally
from otel_logtail.store.rows import OFFSET_BITS
from otel_logtail.store.writer import Committed, Store
from tests.support.pieces import INTERVAL, LIVE, NOON, SECOND, Piece, dump, line, opened, rows, scanned, use_connection
from tests.support.places import ROOT

FIRST = line(1, 0.1) + line(2, 0.7) + b"fake: reject=bounds\n" + line(3, 2.5, cause="read")
SECOND_PIECE = (
    line(11, 0.1, key="a")
    + b"fake: ignore\nfake: drift\nfake: reject=event\nnot ours\n"
    + line(12, 0.6)  # closes the first episode and begins another
    + line(4, 0.6, logged=12)  # in an interval that was met before
)


def to_builtins(batch: Batch) -> object:
    """All of a batch as plain values: its counts' keys are records, which no encoding takes as keys."""
    counts = [(key, value) for key, value in batch.counts.items()]
    return msgspec.to_builtins((msgspec.structs.replace(batch, counts={}), counts))


class FailingConnection:
    """A connection that has no room left at its k-th statement."""

    def __init__(self, connection: sqlite3.Connection, k: int) -> None:
        self._connection = connection
        self._left = k
        self.statements: list[str] = []

    def _count(self, sql: str) -> None:
        self.statements.append(sql)
        self._left -= 1
        if self._left == 0:
            raise sqlite3.OperationalError("database or disk is full")

    def execute(self, sql: str, parameters: Iterable[object] = ()) -> sqlite3.Cursor:
        self._count(sql)
        return self._connection.execute(sql, tuple(parameters))

    def executemany(self, sql: str, parameters: Iterable[Iterable[object]]) -> sqlite3.Cursor:
        self._count(sql)
        return self._connection.executemany(sql, parameters)  # type: ignore[arg-type]

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction


def statements_of(store: Store, batch: Batch) -> int:
    """How many statements a commit takes that is then undone at its last one."""
    proxy = FailingConnection(store._db, 10**9)
    real = use_connection(store, proxy)
    try:
        store.commit(batch)
    finally:
        use_connection(store, real)
    return len(proxy.statements)


@pytest.fixture
def untroubled(tmp_path: Path) -> tuple[dict[str, list[tuple[object, ...]]], int]:
    """The final content of a store that never failed, and the number of statements of its second commit."""
    path = tmp_path / "untroubled.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(FIRST)
        number = statements_of(store, piece.batch(SECOND_PIECE, seal_s=15))
    return dump(path), number


def test_a_commit_that_fails_at_any_statement_leaves_nothing_and_succeeds_later(
    tmp_path: Path, untroubled: tuple[dict[str, list[tuple[object, ...]]], int]
) -> None:
    expected, statements = untroubled
    assert statements > 15
    for k in range(1, statements + 1):
        path = tmp_path / f"full-{k}.db"
        with opened(path) as store:
            piece = Piece(store)
            piece.commit(FIRST)
            before = dump(path)
            batch = piece.batch(SECOND_PIECE, seal_s=15)
            real = use_connection(store, FailingConnection(store._db, k))
            with pytest.raises(StoreFull):
                store.commit(batch)
            use_connection(store, real)
            assert dump(path) == before
            store.commit(batch)
        assert dump(path) == expected


def test_a_commit_that_is_interrupted_inside_a_statement_leaves_nothing(
    tmp_path: Path, untroubled: tuple[dict[str, list[tuple[object, ...]]], int]
) -> None:
    for steps in (10, 20, 40, 80, 160, 320):
        path = tmp_path / f"interrupted-{steps}.db"
        with opened(path) as store:
            piece = Piece(store)
            piece.commit(FIRST)
            before = dump(path)
            batch = piece.batch(SECOND_PIECE, seal_s=15)
            store._db.set_progress_handler(partial(next, iter([1]), 0), steps)  # the first time only
            with pytest.raises(StoreError):
                store.commit(batch)
            store._db.set_progress_handler(None, 0)
            assert dump(path) == before
            store.commit(batch)
        assert dump(path) == untroubled[0]


def test_a_store_that_may_not_grow_reports_that_it_is_full_and_continues_when_it_may(tmp_path: Path) -> None:
    path = tmp_path / "small.db"
    with opened(path) as store:
        piece = Piece(store)
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count = {pages + 3}")
        pieces = [b"".join(line(n + k / 200, 0.6) for k in range(100)) for n in range(20)]
        done = 0
        with pytest.raises(StoreFull, match="no room left"):
            for data in pieces:
                piece.commit(data)
                done += 1
        assert rows(path, "SELECT count(*) FROM samples") == [(done * 100,)]
        assert rows(path, "SELECT offset FROM file") == [(sum(map(len, pieces[:done])),)]
        store._db.execute("PRAGMA max_page_count = 100000")
        for data in pieces[done:]:
            piece.commit(data)
        assert rows(path, "SELECT count(*) FROM samples") == [(2000,)]


COMMITTER = """
import sys
from pathlib import Path
from otel_logtail.store.writer import Store
from tests.support.pieces import Piece, line

piece = Piece(Store.open(Path(sys.argv[1])))
number = piece.file.offset // len(line(10_000, 0.6))
print("ready", flush=True)
while True:
    lines = range(number, number + 7)
    piece.commit(b"".join(line(10_000 + n, 0.6 if n % 3 else 0.1) for n in lines), seal_s=10_000 + number)
    number += 7
"""


def test_killed_at_any_moment_a_store_holds_exactly_what_is_before_its_offset(tmp_path: Path) -> None:
    path, chance = tmp_path / "killed.db", random.Random(20)  # noqa: S311 - moments, no secret
    length = len(line(10_000, 0.6))
    for _ in range(20):
        root = ROOT
        with subprocess.Popen([sys.executable, "-c", COMMITTER, path], stdout=subprocess.PIPE, cwd=root) as committer:
            assert committer.stdout is not None
            assert committer.stdout.readline() == b"ready\n"
            try:
                committer.wait(chance.uniform(0, 0.03))  # the moment of the kill, not a condition that is waited for
            except subprocess.TimeoutExpired:
                pass
            os.kill(committer.pid, signal.SIGKILL)
        with opened(path) as store:
            (file,) = store.files(1)
            number = file.offset // length
        assert file.offset % (7 * length) == 0
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        offsets = [offset for (offset,) in rows(path, f"SELECT id & {2**OFFSET_BITS - 1} FROM samples ORDER BY id")]
        assert offsets == [n * length for n in range(number)]
        breaches = rows(path, "SELECT offset FROM breach ORDER BY id")
        assert breaches == [(n * length,) for n in range(number) if n % 3]
        intervals = "(SELECT series, count FROM interval UNION ALL SELECT series, count FROM open_interval)"
        counted = rows(
            path, f"SELECT sum(count) FROM {intervals} JOIN series ON id = series WHERE instrument = 'duration'"
        )
        assert counted == [(number or None,)]
        assert rows(path, "SELECT samples, bytes FROM source") == [(number, file.offset)]
    assert number > 100


def test_ids_are_never_given_again_even_when_all_rows_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    last = {"breach": 0, "episode": 0, "interval": 0, "file": 0}
    for round_ in range(3):
        with opened(path) as store:
            piece = Piece(store, live=f"/logs/fake-{round_}.log")
            piece.commit(line(100 * round_ + 1, 2.5) + line(100 * round_ + 20, 0.1) * 2, seal_s=100 * round_ + 50)
        with closing(sqlite3.connect(path)) as connection, connection:
            for table, before in last.items():
                (least, most) = connection.execute(f"SELECT min(id), max(id) FROM {table}").fetchone()
                assert least > before
                last[table] = most
                connection.execute(f"DELETE FROM {table}")


def test_a_batch_that_cannot_be_written_is_undone_for_any_error(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(FIRST)
        before = dump(path)
        batch = piece.batch(SECOND_PIECE, seal_s=15)
        with pytest.raises(OverflowError):
            store.commit(msgspec.structs.replace(batch, seal_until_ns=2**63))
        assert dump(path) == before
        piece.commit(SECOND_PIECE)
    assert rows(path, "SELECT id FROM breach ORDER BY id") == [(1,), (2,), (3,), (4,)]


def test_an_open_transaction_is_ended_by_the_next_one_that_fails(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store:
        piece = Piece(store)
        store._db.execute("BEGIN")
        with pytest.raises(StoreError):
            store.commit(piece.batch(FIRST))
        piece.commit(FIRST)


@pytest.mark.parametrize("read_again", [False, True], ids=["in memory", "read again"])
def test_a_committed_batch_is_never_changed(tmp_path: Path, read_again: bool) -> None:
    with opened(tmp_path / "store.db") as store:
        piece = Piece(store)
        batches = []
        for data in (FIRST, line(4, 0.1), SECOND_PIECE, line(5, 0.9, logged=12) + line(13, 0.1)):
            if read_again:  # its counts are read from the store again and not from memory
                store._intervals.forget()
            batch = piece.batch(data)
            as_it_was = msgspec.msgpack.encode(to_builtins(batch))
            piece.take(batch, Now(NOON, 0))
            batches.append((batch, as_it_was))
        piece.seal(100)
    assert [msgspec.msgpack.encode(to_builtins(batch)) for batch, _ in batches] == [was for _, was in batches]


def test_a_late_sample_makes_a_further_row_of_its_interval(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(line(1, 0.1) + line(2, 0.1), seal_s=20)
        first = rows(path, "SELECT * FROM interval")
        piece.commit(line(3, 0.2, logged=25), seal_s=30)
    after = rows(path, "SELECT * FROM interval")
    assert after[: len(first)] == first
    assert rows(path, "SELECT start_ns, count FROM interval JOIN series ON series.id = series WHERE attributes NOT LIKE"
                      " '%stage%' ORDER BY interval.id".replace("start_ns", "interval.start_ns")) == [
        (NOON, 2), (NOON, 1)
    ]  # fmt: skip
    assert rows(path, "SELECT * FROM open_interval") == []


def durations(path: Path) -> list[tuple[object, ...]]:
    """Start and number of the final intervals' samples, in order of their ids."""
    return rows(
        path,
        f"SELECT (i.start_ns - {NOON}) / {SECOND}, count FROM interval AS i JOIN series AS s ON s.id = i.series"
        " WHERE s.instrument = 'duration' ORDER BY i.id",
    )


def test_a_late_sample_of_an_interval_that_closed_exactly_at_its_end_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(line(1, 0.1) + line(2, 0.1), seal_s=10)
        piece.commit(line(3, 0.2, logged=25), seal_s=30)
    assert durations(path) == [(0, 2), (0, 1)]


@pytest.mark.parametrize("order", [(1, 11, 3, 12), (11, 1, 12, 3), (21, 1, 11, 22, 2, 12)])
def test_counts_no_longer_in_memory_are_read_again_for_any_new_line(tmp_path: Path, order: tuple[int, ...]) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        for second in order:
            store._intervals.forget()
            piece.commit(line(second, 0.1, logged=60))
        piece.seal(100)
    slots = sorted({second // 10 * 10 for second in order})
    assert durations(path) == [(slot, 2) for slot in slots]


def test_very_many_intervals_become_final_some_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        store._intervals.most_closed = 4
        piece = Piece(store)
        piece.commit(b"".join(line(second, 0.1) for second in range(1, 60, 10)))  # two series each
        ends = []
        for _ in range(3):
            assert store.commit(Batch(piece.info.id, seal_until_ns=NOON + 1000 * SECOND)).sealed == 4
            ends += rows(path, f"SELECT (sealed_ns - {NOON}) / {SECOND} FROM source")
    assert ends == [(20,), (40,), (60,)]


def test_the_last_closing_time_of_a_run_is_no_later_than_the_log(tmp_path: Path) -> None:
    """Its time may be one of a clock that was ahead; silent series must not be repeated up to there."""
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(line(1, 0.1) + line(11, 0.1))
        for _ in range(2):
            store.commit(Batch(piece.info.id, seal_until_ns=NOON + 1000 * SECOND, is_last=True))
            assert rows(path, "SELECT sealed_ns FROM source") == [(NOON + 20 * SECOND,)]


def test_intervals_become_final_in_the_order_of_their_time(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(b"".join(line(s, 0.1, logged=60, key=key) for s in (55, 15, 35, 5, 25, 45) for key in "ab"))
        piece.seal(40)
        piece.seal(100)
    ends = [cast(int, end) for (end,) in rows(path, "SELECT end_ns FROM interval ORDER BY id")]
    assert ends == sorted(ends)
    assert len(ends) == 6 * 2 * 2


def test_an_interval_that_ends_exactly_at_the_closing_time_is_final_and_none_after_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(line(1, 0.1) + line(11, 0.1))
        assert store.unfinished(piece.info.id).first_end_ns == NOON + INTERVAL
        assert store.unfinished(piece.info.id).last_start_ns == NOON + INTERVAL
        piece.seal(9.999999999)
        assert rows(path, "SELECT count(*) FROM interval") == [(0,)]
        assert store.commit(Batch(piece.info.id, seal_until_ns=NOON + INTERVAL)) == Committed(
            sealed=2, first_end_ns=NOON + 2 * INTERVAL
        )
        assert store.unfinished(piece.info.id).first_end_ns == NOON + 2 * INTERVAL
        piece.seal(20)
        assert store.unfinished(piece.info.id).first_end_ns is None
        piece.seal(5)
    assert rows(path, "SELECT sealed_ns FROM source") == [(NOON + INTERVAL // 2,)]  # as the clock shows now


def test_sealing_one_source_leaves_the_other_open(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        one, other = Piece(store), Piece(store, source="other", live="/logs/other.log")
        one.commit(line(1, 0.1))
        other.commit(line(1, 0.1))
        one.seal(100)
        assert store.unfinished(one.info.id).first_end_ns is None
        assert store.unfinished(other.info.id).first_end_ns == NOON + INTERVAL


def starts(path: Path) -> set[tuple[object, ...]]:
    return set(rows(path, "SELECT (start_ns - 1795608000000000000) / 1000000000 FROM series"))


def test_a_series_begins_with_its_earliest_interval_and_not_with_the_first_that_was_met(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(line(25, 0.1) + line(12, 0.1, logged=26))
        assert starts(path) == {(10,)}
    with opened(path) as store:  # another process, which has met no interval yet
        piece = Piece(store)
        piece.commit(line(3, 0.1, logged=27))
        assert starts(path) == {(0,)}
        piece.seal(100)


def test_a_series_that_was_sent_to_receivers_keeps_its_start(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(line(25, 0.1), seal_s=50)
        piece.commit(line(12, 0.1, logged=51), seal_s=60)
    assert starts(path) == {(20,)}


def test_somebodys_copy_of_a_log_makes_no_second_span(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    data = line(1, 2.5) + line(20, 0.1) * 2
    with opened(path) as store:
        Piece(store).commit(data)
        Piece(store, live="/logs/fake-copy.log").commit(data)
    assert rows(path, "SELECT live FROM episode") == [(LIVE,)]
    assert rows(path, "SELECT count(*) FROM samples") == [(6,)]


def test_open_episodes_survive_a_restart_and_go_when_they_are_over(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(line(1, 2.5))
        before = piece.open
    with opened(path) as store:
        piece = Piece(store)
        assert before is not None
        assert piece.open == before
        piece.commit(line(2, 0.7) + line(30, 0.1))
        assert store.unfinished(piece.info.id).episodes == {LIVE: piece.open}
        assert piece.open.is_away
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(line(31, 0.1))  # two successive lines end the episode
        assert store.unfinished(piece.info.id).episodes == {}
    assert rows(path, "SELECT count, peak_ns, severity FROM episode") == [(2, 2_500_000_000, 2)]


def test_counters_add_up_by_reason(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(FIRST)
        piece.commit(SECOND_PIECE)
        store.commit(Batch(piece.info.id, tally=Tally(bytes=0, oversized=1)))
    assert rows(path, "SELECT bytes, samples, ignored, drift, oversized FROM source") == [
        (len(FIRST) + len(SECOND_PIECE), 6, 1, 1, 1)
    ]
    assert rows(path, "SELECT reason, count FROM rejected ORDER BY 1") == [("bounds", 1), ("event", 1)]


def test_files_are_remembered_as_they_were_seen(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        source = Piece(store).info.id
        state = FileState(0, "/l", "/l", 2**40, 2**60, 7, 9, Fingerprint(3, b"h"), Fingerprint(2, b"a"), done=False)
        (added,) = store.add_files(source, [state])
        moved = msgspec.structs.replace(added, path="/l.1", done=True)
        store.update_file(source, moved)
        assert store.files(source)[-1] == moved


@pytest.mark.parametrize("by", ["commit", "update"])
def test_a_file_that_was_forgotten_while_it_was_gone_is_remembered_again_when_it_is_back(
    tmp_path: Path, by: str
) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(FIRST)
        before = piece.file
        store._db.execute("DELETE FROM file")  # as maintenance does with a finished file that was deleted long ago
        if by == "commit":
            piece.commit(SECOND_PIECE)
        else:
            store.update_file(piece.info.id, before)
        assert store.files(piece.info.id) == [piece.file]
        assert piece.file.id == before.id
        (new,) = store.add_files(piece.info.id, [before])
        assert new.id > before.id


@pytest.mark.parametrize("damage", ["explicit = '[1,'", "exponential = x'ff00'", "explicit = '[1,', sum_ns = 'x'"])
@pytest.mark.parametrize("restart", [False, True])
def test_counts_that_are_damaged_on_disk_end_nothing_and_keep_their_number_and_sum(
    tmp_path: Path, damage: str, *, restart: bool
) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(FIRST)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE open_interval SET {damage}")
    known = "sum_ns" not in damage
    with opened(path) as store:
        piece = Piece(store)
        if not restart:  # new data is added to damaged counts; otherwise they are only closed
            repaired = store.commit(piece.batch(line(4, 0.2), seal_s=100)).repaired
        else:
            repaired = store.commit(Batch(source=piece.info.id, seal_until_ns=NOON + 100 * 10**9)).repaired
        assert (repaired.kept > 0, repaired.lost > 0) == (known, not known)
    sql = (
        "SELECT count, sum_ns, explicit, exponential FROM interval JOIN series ON series.id = interval.series"
        " WHERE instrument = 'duration' AND attributes LIKE '%8787%'"
    )
    found = rows(path, sql)
    assert len(found) == 1 if known or not restart else found
    for count, sum_ns, explicit, exponential in found:
        more = 0 if restart else 1
        assert count == (3 + more if known else more)
        assert sum_ns == (3_300_000_000 if known else 0) + more * 200_000_000
        if count:
            assert sum(msgspec.json.decode(str(explicit))) == count
            assert sum(msgspec.json.decode(str(exponential)).values()) == count


def test_counts_in_memory_are_bounded_by_their_buckets(tmp_path: Path) -> None:
    def dumped(name: str, most_buckets: int) -> dict[str, list[tuple[object, ...]]]:
        with opened(tmp_path / name) as store:
            store._intervals.most_buckets = most_buckets
            piece = Piece(store)
            for second in range(0, 400, 5):
                piece.commit(b"".join(line(second + n / 10, 0.01 * (n + 1)) for n in range(20)))
                held.append(sum(len(counts.exponential) for counts in store._intervals._memory.values()))
        return dump(tmp_path / name)

    held: list[int] = []
    before = dumped("unbounded.db", 10**9)
    assert max(held) > 500
    held.clear()
    assert dumped("bounded.db", 200) == before
    assert max(held) <= 200


def test_the_first_scan_happens_once_for_each_source(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        one, other = Piece(store).info.id, Piece(store, source="other", live="/o").info.id
        assert [store.first_look(one), store.first_look(one), store.first_look(other)] == [True, False, True]
    with opened(path) as store:
        assert not store.first_look(one)


def test_a_source_takes_the_settings_of_the_last_start(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store:
        before = Piece(store).info
        after = store.source("fake-source", "fake", "log.other", threshold_ns=1, stall_ns=2, quiet_ns=3)
        assert after == msgspec.structs.replace(before, event="log.other", threshold_ns=1, stall_ns=2, quiet_ns=3)


# --- opening ----------------------------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_other_users_cannot_read_a_store_or_the_files_next_to_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "store.db"
    before = os.umask(0)
    try:
        with opened(path) as store:
            Piece(store).commit(FIRST)
            beside = sorted(file.name for file in path.parent.iterdir())
            modes = {mode(file) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert beside == ["store.db", "store.db-shm", "store.db-wal", "store.db.lock"]
    assert (modes, mode(path.parent)) == ({0o600}, 0o700)


def test_a_second_daemon_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path), pytest.raises(StoreLocked, match=rf"\(pid {os.getpid()}\)"):
        Store.open(path)
    with opened(path):
        pass  # and may have it once the first one is gone


def test_the_instance_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        instance = store.instance
    with opened(path) as store:
        assert store.instance == instance


def test_a_store_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="schema 99") as caught:
        Store.open(path)
    assert not isinstance(caught.value, StoreCorrupt)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"this is a letter, and no database at all\n" * 100, b"short"])
def test_a_file_that_is_not_a_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not a SQLite database") as caught:
        Store.open(path)
    assert not isinstance(caught.value, StoreCorrupt)
    with pytest.raises(StoreError, match="not a SQLite database"):
        Store.open(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE bookmark (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a store of otel-logtail"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_store_that_could_not_be_opened_is_free_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.write_bytes(b"no database\n" * 100)
    with pytest.raises(StoreError):
        Store.open(path)
    path.unlink()
    with opened(path):
        pass


def test_the_error_for_a_folder_that_cannot_be_created_has_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"can't be opened: .*file"):
        Store.open(tmp_path / "file" / "store.db")


def test_readers_see_whole_commits_while_the_next_one_is_written(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(FIRST)
        before = dump(path)
        with closing(sqlite3.connect(path)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM samples").fetchone() == (3,)
            store._db.execute("BEGIN IMMEDIATE")
            store._write([piece.batch(SECOND_PIECE)])
            assert dump(path) == before  # not yet committed
            store._db.execute("COMMIT")
            assert reader.execute("SELECT count(*) FROM samples").fetchone() == (3,)  # its own moment
        assert rows(path, "SELECT count(*) FROM samples") == [(6,)]


def test_the_views_read_well(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        piece = Piece(store)
        piece.commit(line(1.000000007, 2.5, key="a") + line(20, 0.1) * 2)
    assert rows(path, "SELECT time, source, duration_ms, severity, cause, attributes, stages, file, offset FROM samples"
                      " LIMIT 1") == [
        ("2026-11-25T12:00:01.000000007Z", "fake-source", 2500.0, "stall", "wait",
         '{"fake.key":"a","server.port":8787}', '{"work":2500.0}', LIVE, 0),
    ]  # fmt: skip
    assert rows(path, "SELECT start, duration_ms, count, severity, open FROM episodes") == [
        ("2026-11-25T11:59:58.500000007Z", 2500.0, 1, "stall", 0)
    ]
    assert rows(path, "SELECT minute, count, max_ms FROM minutes WHERE attributes LIKE '%key%'") == [
        ("2026-11-25T12:00:00Z", 1, 2500.0)
    ]


def test_of_a_file_in_doubt_only_its_own_samples_are_looked_for(tmp_path: Path) -> None:
    """One line may be dated long before or after all others."""
    with opened(tmp_path / "store.db") as store:
        before = Piece(store)
        before.commit(b"".join(line(second, 0.1) for second in range(100)) + line(5, 0.1))
        other = store.add_files(before.info.id, [FileState(0, LIVE, LIVE, 1, 3, 0)])[-1]
        samples = scanned(line(5, 0.1) + line(5, 0.2) + line(1000, 0.1)).samples
        found = store.stored(before.info.id, other, samples)
        assert [(key[0] - NOON, number) for key, number in found.items()] == [(5 * 10**9, 2)]
