"""A damaged store is moved away and the remaining logs are read again; other programs' files are never moved."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from otel_logtail import query
from otel_logtail.errors import StoreCorrupt, StoreError, StoreLocked
from otel_logtail.store import damage
from otel_logtail.store import file as storefile
from otel_logtail.store.writer import Store
from tests.model.test_store_model import StoreFollower
from tests.support.pieces import opened, rows
from tests.support.tailing import append, rotate

PAGE = 4096


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def cut(path: Path, to: int) -> None:
    os.truncate(path, to)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "the header is overwritten": lambda path: overwrite(path, 0, b"\xff" * 100),
    "the whole is text": lambda path: path.write_bytes(b"this is a letter\n" * 1000),
    "the whole is random": lambda path: path.write_bytes(os.urandom(60_000)),
    "the whole is zeros": lambda path: path.write_bytes(bytes(60_000)),
    "the schema's page is zeros": lambda path: overwrite(path, 100, bytes(PAGE - 100)),
    "a page in the middle is zeros": lambda path: overwrite(path, 6 * PAGE, bytes(PAGE)),
    "pages in the middle are random": lambda path: overwrite(path, 4 * PAGE, os.urandom(8 * PAGE)),
    "the second half is cut off": lambda path: cut(path, path.stat().st_size // 2),
    "it is cut within its first page": lambda path: cut(path, 1000),
    "it ends in the middle of a page": lambda path: cut_last_pages(path),
}


def cut_last_pages(path: Path) -> None:
    """Such as hold something: without half of a free page nothing is missing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("VACUUM")
        assert db.execute("PRAGMA freelist_count").fetchone() == (0,)
    cut(path, path.stat().st_size - 5 * PAGE - PAGE // 2)


def lines(first: int, last: int) -> list[str]:
    return [f"{number}:====" for number in range(first, last + 1)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store of a daemon that has read 400 lines in three files of one log and has exited."""
    log = tmp_path / "logs" / "proxy.log"
    log.parent.mkdir()
    follower = StoreFollower(log, tmp_path / "store" / "store.db", from_start=True)
    for first in (1, 101, 201):
        append(log, *lines(first, first + 99))
        assert len(follower.follow_over_grace()) == 100
        rotate(log)
    append(log, *lines(301, 400))
    assert len(follower.follow_over_grace()) == 100
    follower.close()
    assert follower.db.stat().st_size > 20 * PAGE
    return follower.db


def restarted(store: Path) -> StoreFollower:
    return StoreFollower(store.parents[1] / "logs" / "proxy.log", store, from_start=False)


ALL = [str(number) for number in range(1, 401)]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_store_is_moved_away_and_the_logs_are_read_from_their_start_rotated_ones_too(
    damage: Callable[[Path], object], store: Path
) -> None:
    damage(store)
    damaged = store.read_bytes()
    follower = restarted(store)
    try:
        aside = follower.store.set_aside
        assert aside is not None
        assert aside.name.startswith("store.db.corrupt-2")
        assert aside.read_bytes() == damaged
        append(follower.log, "401:====")
        follower.follow_over_grace()
        assert sorted(follower.lines, key=int) == [*ALL, "401"]
        with query.Reader.open(store) as reader:
            assert query.summary(reader).count == 401
    finally:
        follower.close()
    assert not store.with_name("store.db.suspect").exists()
    again = restarted(store)
    try:
        assert again.store.set_aside is None  # logged once
        assert again.follow_over_grace() == []
    finally:
        again.close()


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 40_000, os.urandom(40_000), b"short", bytes(40_000)], ids=["ones", "random", "short", "zeros"]
)
def test_a_garbage_write_ahead_log_costs_its_content_which_is_read_again(store: Path, garbage: bytes) -> None:
    store.with_name("store.db-wal").write_bytes(garbage)
    follower = restarted(store)
    try:
        assert follower.store.set_aside is None
        append(follower.log, "401:====")
        follower.follow_over_grace()
        assert sorted(follower.lines, key=int) == [*ALL, "401"]
    finally:
        follower.close()


def test_a_log_of_changes_that_is_damaged_in_the_middle_brings_back_a_whole_earlier_moment(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    follower = StoreFollower(log, tmp_path / "store.db", from_start=True)
    follower.store.wal.live_pages = 10_000  # no checkpoint: the store itself has no data yet
    for first in range(1, 400, 10):
        append(log, *lines(first, first + 9))
        follower.follow()
    wal = tmp_path / "store.db-wal"
    content = bytearray(wal.read_bytes())
    content[len(content) // 2] ^= 0xFF
    database = (tmp_path / "store.db").read_bytes()
    follower.close()
    (tmp_path / "store.db").write_bytes(database)
    wal.write_bytes(content)
    again = StoreFollower(log, tmp_path / "store.db", from_start=False)
    try:
        assert 0 < len(again.lines) < 400
        again.follow_over_grace()
        assert again.lines == ALL
    finally:
        again.close()


@pytest.mark.parametrize("call", range(8))
def test_a_kill_at_any_moment_of_moving_the_store_changes_nothing(
    call: int, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overwrite(store, 6 * PAGE, bytes(PAGE))
    store.with_name("store.db-wal").write_bytes(b"")
    steps = 0

    def mortal(method: Callable[..., object]) -> Callable[..., object]:
        def call_it(*arguments: object, **named: object) -> object:
            nonlocal steps
            if steps == call:
                raise KeyboardInterrupt
            steps += 1
            return method(*arguments, **named)

        return call_it

    with monkeypatch.context() as patch:
        for name in ("note_replacement", "move_away", "migrate"):
            patch.setattr(storefile, name, mortal(getattr(storefile, name)))
        for name in ("rename", "write_text", "touch"):
            patch.setattr(Path, name, mortal(getattr(Path, name)))
        try:
            Store.open(store).close()
        except KeyboardInterrupt:
            pass
    follower = restarted(store)
    try:
        follower.follow_over_grace()
        assert sorted(follower.lines, key=int) == ALL
    finally:
        follower.close()
    assert len(list(store.parent.glob("*.corrupt-*Z"))) == 1
    assert not store.with_name("store.db.suspect").exists()


def test_a_store_that_replaced_a_damaged_one_reads_from_the_start_for_any_first_user(store: Path) -> None:
    overwrite(store, 0, b"\xff" * 100)
    with opened(store) as pruning:  # `otel-logtail prune`, which follows nothing
        assert pruning.set_aside is not None
        assert pruning.replaces
    with opened(store) as following:
        assert following.set_aside is None
        assert following.replaces


def test_two_damaged_stores_of_one_second_have_names_of_their_own(store: Path) -> None:
    asides = set()
    for _ in range(3):
        store.write_bytes(b"letter\n" * 100)
        with opened(store) as opened_again:
            asides.add(opened_again.set_aside)
    assert len(asides) == 3
    assert all(aside is not None and aside.exists() for aside in asides)


# --- damage that is met while running ---


def test_damage_in_a_large_store_is_found_by_the_note_that_it_was_met(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damage, "CHECKED_BYTES", 10)  # too large to be read through at every start
    blocks = cast(int, rows(store, "SELECT rootpage FROM sqlite_master WHERE name = 'breach_time'")[0][0])
    overwrite(store, (blocks - 1) * PAGE, bytes(PAGE))
    with opened(store) as running:
        assert running.set_aside is None
        with pytest.raises(StoreCorrupt):
            for statement in ("SELECT count(*) FROM breach INDEXED BY breach_time WHERE time_ns > 0",):
                try:
                    running._db.execute(statement).fetchall()
                except sqlite3.DatabaseError as problem:
                    assert "malformed" in str(problem)
                    damage.suspect(store)
                    raise StoreCorrupt(str(problem)) from None
    assert store.with_name("store.db.suspect").stat().st_mode & 0o777 == 0o600
    with opened(store) as again:
        assert again.set_aside is not None
    assert not store.with_name("store.db.suspect").exists()


def test_a_wrong_suspicion_is_removed(store: Path) -> None:
    damage.suspect(store)
    with opened(store) as healthy:
        assert healthy.set_aside is None
    assert not store.with_name("store.db.suspect").exists()


# --- what is not ours ---


@pytest.mark.parametrize(
    "content",
    [b"this is a letter, and no database at all\n" * 100, os.urandom(9000), b"short"],
    ids=["text", "random", "short"],
)
def test_a_file_of_another_kind_is_never_moved_however_often_it_is_tried(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    for _ in range(3):
        with pytest.raises(StoreError) as caught:
            Store.open(path)
        assert not isinstance(caught.value, StoreCorrupt)
        assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]


def test_a_store_with_a_name_of_its_own_kind_is_known_by_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "overhead"
    with opened(path):
        pass
    path.write_bytes(b"letter\n" * 100)
    with opened(path) as store:
        assert store.set_aside is not None


def test_an_empty_file_is_a_place_for_a_store_and_not_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    with opened(tmp_path / "store.db") as store:
        assert store.set_aside is None


def test_the_lock_names_its_owner_and_is_free_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path):
        with pytest.raises(StoreLocked, match=rf"\(pid {os.getpid()}\)"):
            Store.open(path)
        assert path.with_name("store.db.lock").read_text().splitlines()[0] == str(os.getpid())
    with opened(path):
        pass
