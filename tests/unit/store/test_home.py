"""The place where a store was last used: a copy takes a new id, and a store that was moved keeps its id."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from otel_logtail.model import Stream
from otel_logtail.store import marker
from otel_logtail.store.home import Change, Home, here, is_elsewhere
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from tests.support.pieces import NOON, Piece, line, opened, rows

A, B = Home("m", "a", "/s.db"), Home("n", "b", "/s.db")


@pytest.mark.parametrize(
    ("before", "now", "beside", "has_sent", "expected"),
    [
        (A, A, {"id"}, True, False),
        (A, A, set(), True, False),  # the files beside it were lost, or nothing was sent
        (A, A, {"another"}, True, True),  # another store was put here
        (A, A, {"another"}, False, False),  # a new store in the place of a damaged one
        (A, B, {"id"}, True, True),  # another machine's id: a disk that was cloned, a backup that was restored
        (A, B, set(), False, True),
        (A, msgspec.structs.replace(A, host="b"), {"id"}, True, False),  # the host was renamed
        (A, msgspec.structs.replace(A, host="b"), set(), True, True),  # the store alone was copied
        (A, msgspec.structs.replace(A, machine=""), {"id"}, True, False),  # into a container, with its folder
        (
            msgspec.structs.replace(A, machine="", host="c1"),
            msgspec.structs.replace(A, machine="", host="c2"),
            {"id"},
            True,
            False,
        ),
        (A, msgspec.structs.replace(A, path="/t.db"), set(), True, True),
        (A, msgspec.structs.replace(A, path="/t.db"), {"id", "old"}, True, False),
    ],
)
def test_a_store_may_be_in_use_elsewhere_where_it_came_alone_or_onto_another_machine(
    before: Home, now: Home, beside: set[str], has_sent: bool, expected: bool
) -> None:
    assert is_elsewhere(before, now, "id", beside, has_sent=has_sent) is expected


def instance_of(path: Path) -> object:
    return rows(path, "SELECT value FROM meta WHERE key = 'instance'")[0][0]


def send_all(store: Store, exporter: str = "fake") -> list[int]:
    """Send what waits; the counts of the points' totals."""
    with closing(Outbox.open(store.path, exporter)) as outbox:
        outbox.register([Stream.INTERVALS], NOON)
        totals = []
        while (batch := outbox.read(Stream.INTERVALS, 100)) is not None:
            totals += [item.total.count for item in batch.items]  # type: ignore[union-attr]
            outbox.advance(batch, len(batch.items), NOON)
    return totals


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that has sent 2 samples."""
    path = tmp_path / "a" / "store.db"
    with opened(path) as store:
        Piece(store).commit(line(1, 0.1) + line(2, 0.1), seal_s=10)
        assert send_all(store) == [0, 0, 2, 2]
    return path


def test_the_copy_of_a_store_has_a_new_id_and_its_own_totals_and_the_store_continues(path: Path) -> None:
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    before = instance_of(path)
    with opened(path) as store:
        assert (store.home_change, store.instance) == (None, before)
        Piece(store).commit(line(11, 0.1), seal_s=20)
        assert send_all(store) == [3, 3]
    with opened(copy) as store:
        assert store.home_change == Change(here(path), is_copy=True)
        assert store.instance == instance_of(copy) != before
        Piece(store).commit(line(11, 0.1), seal_s=20)
        assert send_all(store) == [0, 0, 1, 1]
    with opened(copy) as store:
        assert store.home_change is None, "it is at home from then on"
        assert send_all(store) == []


def test_a_store_that_is_moved_with_its_folder_keeps_its_id_and_its_totals(path: Path) -> None:
    before, moved = instance_of(path), path.parent.rename(path.parent.with_name("b")) / path.name
    with opened(moved) as store:
        assert store.home_change == Change(here(path), is_copy=False)
        assert store.instance == before
        Piece(store).commit(line(11, 0.1), seal_s=20)
        assert send_all(store) == [3, 3]
    with opened(moved) as store:
        assert store.home_change is None


def test_another_store_in_the_place_of_one_does_not_go_on_as_that_one_or_as_itself(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with opened(other) as store:
        Piece(store).commit(line(1, 0.1), seal_s=10)
        send_all(store)
        ids = {store.instance, str(instance_of(path))}
    with closing(sqlite3.connect(other)) as conn, conn:  # as if it had been here before
        conn.execute("UPDATE meta SET value = ? WHERE key = 'home'", (msgspec.json.encode(here(path)).decode(),))
    shutil.copy(other, path)
    with opened(path) as store:
        assert store.home_change is not None
        assert store.home_change.is_copy
        assert store.instance not in ids
        assert marker.instances(path) == set()
        send_all(store)
        assert marker.instances(path) == {store.instance}


def test_a_home_that_cannot_be_read_is_recorded_again(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("UPDATE meta SET value = '{' WHERE key = 'home'")
    with opened(path) as store:
        assert store.home_change is None
    with opened(path) as store:
        assert store.home_change is None
        assert msgspec.json.decode(
            str(rows(path, "SELECT value FROM meta WHERE key = 'home'")[0][0]), type=Home
        ) == here(path)


def test_the_files_of_a_store_behind_a_link_lie_beside_the_store(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with opened(link) as store:
        assert store.home_change is None
        assert marker.instances(link) == marker.instances(path) == {store.instance}
