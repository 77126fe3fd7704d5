"""The write-ahead log stays within its limit unless a process reads an older snapshot, which is then reported."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from otel_logtail.store.maintenance import Limits
from otel_logtail.store.wal import LARGEST_BYTES, PATIENCE_S, Wal
from otel_logtail.store.writer import Store
from tests.support.pieces import opened

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store.db") as store:
        yield store


def wal_bytes(store: Store) -> int:
    return Path(f"{store.path}-wal").stat().st_size


def grow(store: Store, to: int) -> None:
    """Change much data without a checkpoint in between."""
    store._db.execute("PRAGMA wal_autocheckpoint = 0")
    store._db.execute("CREATE TABLE IF NOT EXISTS large (bytes)")
    while wal_bytes(store) < to:
        store._db.execute("INSERT INTO large VALUES (zeroblob(200000))")
        store._db.execute("DELETE FROM large")


@contextmanager
def snapshot(store: Store) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        yield reader


def test_without_a_bound_on_the_store_it_has_a_share_of_its_own(store: Store) -> None:
    assert store.wal.share_bytes == LARGEST_BYTES
    store.maintenance(Limits(), ())
    assert store.wal.share_bytes == LARGEST_BYTES
    assert store.wal.pages(4000) == 4000


@pytest.mark.parametrize("most", [MIB, 10 * MIB, 1 << 30])
def test_its_share_is_an_eighth_of_what_the_store_may_take(store: Store, most: int) -> None:
    store.maintenance(Limits(max_bytes=most), ())
    assert store.wal.share_bytes == min(LARGEST_BYTES, most // 8)
    assert 0 < store.wal.pages(4000) * 4096 <= store.wal.share_bytes // 2


def test_one_that_is_too_large_is_emptied(store: Store) -> None:
    store.wal.limit(MIB)
    grow(store, MIB)
    assert store.tend(100.0) is None
    assert wal_bytes(store) == 0


def test_the_blocking_process_is_reported_after_some_patience_and_until_it_is_gone(store: Store) -> None:
    store.wal.limit(100 * MIB)
    with snapshot(store):
        grow(store, 13 * MIB)
        assert store.tend(100.0) is None
        assert store.tend(100.0 + PATIENCE_S / 2) is None
        held = store.tend(101.0 + PATIENCE_S)
        assert held is not None
        assert held.size == wal_bytes(store)
        assert not held.full
        assert str(held) == "a process that reads the store", "it is this very process: no other is named"
    assert store.tend(102.0 + 2 * PATIENCE_S) is None
    assert wal_bytes(store) == 0


def test_beyond_the_bound_there_is_no_patience(store: Store) -> None:
    store.wal.limit(MIB)
    with snapshot(store):
        grow(store, 2 * MIB)
        held = store.tend(100.0)
        assert held is not None
        assert held.full
    assert store.tend(101.0 + PATIENCE_S) is None


def test_beyond_the_limit_it_is_emptied_at_once_if_nothing_blocks_it(store: Store) -> None:
    store.wal.limit(MIB)
    assert store.tend(100.0) is None
    grow(store, 2 * MIB)
    assert store.tend(100.1) is None
    assert wal_bytes(store) == 0


def test_others_go_on_waiting_for_writers_afterwards(store: Store) -> None:
    before = store._db.execute("PRAGMA busy_timeout").fetchone()
    grow(store, MIB)
    Wal(store.path, store._db).limit(MIB)
    store.wal.limit(MIB)
    store.tend(100.0)
    assert store._db.execute("PRAGMA busy_timeout").fetchone() == before != (0,)
    assert os.path.exists(f"{store.path}-wal")
