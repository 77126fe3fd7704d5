"""One daemon per store, opened by any name; planted files next to it are not written to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from otel_logtail import query
from otel_logtail.errors import StoreError, StoreLocked
from otel_logtail.store import place
from otel_logtail.store.damage import suspect
from otel_logtail.store.place import holder
from otel_logtail.store.writer import Store
from tests.support.pieces import opened


def same_name(path: Path) -> Path:
    return path


def link_to_it(path: Path) -> Path:
    other = path.parent.parent / "etc" / "s.db"
    other.parent.mkdir()
    other.symlink_to(path)
    return other


def link_to_a_link(path: Path) -> Path:
    other = path.with_name("second.db")
    other.symlink_to(link_to_it(path))
    return other


def link_to_its_folder(path: Path) -> Path:
    (path.parent.parent / "link").symlink_to(path.parent)
    return path.parent.parent / "link" / path.name


def dotted(path: Path) -> Path:
    return path.parent / ".." / path.parent.name / path.name


def lock_deleted(path: Path) -> Path:
    path.with_name(path.name + ".lock").unlink()
    return path


def lock_replaced(path: Path) -> Path:
    lock = path.with_name(path.name + ".lock")
    lock.unlink()
    lock.write_text("1\nstore\n")
    return path


NAMES = [same_name, link_to_it, link_to_a_link, link_to_its_folder, dotted, lock_deleted, lock_replaced]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "store.db"


@pytest.mark.parametrize("name", NAMES)
def test_a_second_daemon_is_refused_by_any_name(path: Path, name: Callable[[Path], Path]) -> None:
    with opened(path):
        other = name(path)
        with pytest.raises(StoreLocked, match=r"in use by another otel-logtail \(pid \d+\)") as caught:
            Store.open(other)
        assert caught.value.exit_code == 2
        assert holder(other) == os.getpid()
    with opened(other):
        pass
    assert holder(path) is None


def test_a_hard_link_is_refused_for_any_user(path: Path) -> None:
    other = path.with_name("other.db")
    with opened(path):
        other.hardlink_to(path)
        for name in (path, other):
            with pytest.raises(StoreError, match=r"2 names \(hard links\)|in use by another") as caught:
                Store.open(name)
            assert caught.value.exit_code == 2
    for name in (path, other):
        with pytest.raises(StoreError, match=r"2 names \(hard links\)") as caught:
            Store.open(name)
        assert "find DIRECTORY -samefile" in caught.value.hint
    other.unlink()
    with opened(path):
        pass


def test_a_link_to_a_store_that_is_not_there_yet_makes_it_where_it_leads(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(path)
    with opened(tmp_path / "link.db") as store:
        assert store.path == path
    assert sorted(os.listdir(tmp_path)) == ["data", "link.db"]
    assert not path.is_symlink()


PLANTS = {
    "a link": lambda path, victim: path.symlink_to(victim),
    "a link to nothing": lambda path, victim: path.symlink_to(victim.with_name("nothing")),
    "a second name": lambda path, victim: path.hardlink_to(victim),
    "a FIFO": lambda path, victim: os.mkfifo(path),
    "a folder": lambda path, victim: path.mkdir(),
}


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS.keys())
def test_a_lock_that_was_planted_is_an_error_and_its_target_is_not_written_to(
    path: Path, plant: Callable[[Path, Path], object]
) -> None:
    victim = path.with_name("victim")
    victim.write_text("of great value")
    plant(path.with_name("store.db.lock"), victim)
    with pytest.raises(StoreError, match=r"store\.db\.lock: ") as caught:
        Store.open(path)
    assert caught.value.exit_code == 2
    assert victim.read_text() == "of great value"
    assert not path.exists()


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS.keys())
def test_a_note_that_was_planted_is_not_written_to(path: Path, plant: Callable[[Path, Path], object]) -> None:
    victim = path.with_name("victim")
    victim.write_text("of great value")
    plant(path.with_name("store.db.suspect"), victim)
    suspect(path)
    with opened(path) as store:
        assert store.set_aside is None
    assert victim.read_text() == "of great value"


def test_where_a_damaged_one_would_go_something_else_is_left_alone(path: Path) -> None:
    with opened(path):
        pass
    path.write_bytes(b"letter\n" * 1000)
    victim = path.with_name("victim")
    victim.write_text("of great value")
    with opened(path) as store:
        aside = store.set_aside
    assert aside is not None
    second = aside.with_name(aside.name)
    second.unlink()
    second.symlink_to(victim)  # of this very second, if the machine is fast
    path.write_bytes(b"letter\n" * 1000)
    with opened(path) as store:
        assert store.set_aside is not None
        assert store.set_aside.read_bytes() == b"letter\n" * 1000
    assert victim.read_text() == "of great value"


@pytest.mark.parametrize("name", [link_to_it, link_to_its_folder])
@pytest.mark.parametrize("traceless", [False, True])
def test_a_reader_by_another_name_sees_the_last_commit(
    path: Path, name: Callable[[Path], Path], *, traceless: bool
) -> None:
    with opened(path) as store:
        other = name(path)
        store.source("odd", "fake", "log.overhead", threshold_ns=1, stall_ns=2, quiet_ns=3)
        with query.Reader.open(other, traceless=traceless) as reader:
            answer = query.status(reader)
    assert [source["name"] for source in cast(list[dict[str, object]], answer["sources"])] == ["odd"]
    assert cast(dict[str, int], answer["db"])["wal_bytes"] > 0


def test_a_mount_is_found_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    names = ("/mnt/große daten", "/mnt/a\\b", os.fsdecode(b"/mnt/\xff"), "/mnt/\u2028x")
    escaped = [os.fsencode(name.replace("\\", "\\134").replace(" ", "\\040")) for name in names]
    mounts.write_bytes(b"".join(b"36 35 98:0 / %s rw - nfs4 server:/x rw\n" % name for name in escaped))
    monkeypatch.setattr(place, "MOUNTS", mounts)
    assert [place.file_system(Path(name) / "store.db") for name in names] == ["nfs4"] * 4
    assert all(place.is_mounted_alone(Path(name)) for name in names)
    assert place.file_system(Path("/elsewhere")) == "unknown"
