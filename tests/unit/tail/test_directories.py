"""Names next to a path: existing names, listed once per moment, and never outdated for long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otel_logtail.tail import directories
from otel_logtail.tail.directories import Folders

OLD_NS = 1_700_000_000 * 10**9


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The directories that were listed, in order."""
    found: list[str] = []
    listing = directories._listed

    def noting(folder: str) -> list[tuple[str, int, str]] | None:
        found.append(folder)
        return listing(folder)

    monkeypatch.setattr(directories, "_listed", noting)
    return found


def names(known: Folders, path: Path, now_s: float, *, fresh: bool = False) -> list[str]:
    return [name for name, *_ in known.beside(str(path), now_s, fresh=fresh)]


def settle(folder: Path) -> None:
    os.utime(folder, ns=(OLD_NS, OLD_NS))


def test_only_names_that_begin_alike(tmp_path: Path) -> None:
    for name in ("proxy.log", "proxy.log.1", "proxy-2026.log", "prox", "other.log", "proxz"):
        (tmp_path / name).touch()
    assert names(Folders(), tmp_path / "proxy.log", 0.0) == ["proxy-2026.log", "proxy.log", "proxy.log.1"]
    assert names(Folders(), tmp_path / "none" / "proxy.log", 0.0) == []


def test_a_directory_is_listed_once_for_all_paths_and_not_again_while_it_is_as_it_was(
    tmp_path: Path, listed: list[str]
) -> None:
    known = Folders()
    settle(tmp_path)
    for now_s in range(5):
        known.begin()
        for number in range(10):
            assert names(known, tmp_path / f"{number}.log", now_s) == []
    assert listed == [str(tmp_path)]


def test_what_changes_in_the_tick_of_a_listing_is_found(tmp_path: Path, listed: list[str]) -> None:
    known, path = Folders(), tmp_path / "a.log"
    path.touch()
    assert names(known, path, 0.0) == ["a.log"]
    before = tmp_path.stat().st_mtime_ns
    (tmp_path / "a.log.1").touch()
    os.utime(tmp_path, ns=(before, before))  # as if within the same tick
    known.begin()
    assert names(known, path, 0.1) == ["a.log"]  # not at every scan
    known.begin()
    assert names(known, path, 0.6) == ["a.log", "a.log.1"]
    assert len(listed) == 2


def test_where_names_come_and_go_all_the_time_it_is_listed_twice_a_second(tmp_path: Path, listed: list[str]) -> None:
    known = Folders()
    for number in range(100):
        (tmp_path / f"x{number}").touch()
        known.begin()
        names(known, tmp_path / "a.log", number / 100)
    assert len(listed) == 2


def test_a_fresh_listing_is_no_older_than_the_moment(tmp_path: Path, listed: list[str]) -> None:
    known, path = Folders(), tmp_path / "a.log"
    names(known, path, 0.0)
    (tmp_path / "a.log.1").touch()
    known.begin()
    assert names(known, path, 0.1, fresh=True) == ["a.log.1"]
    (tmp_path / "a.log.2").touch()
    assert names(known, path, 0.1, fresh=True) == ["a.log.1"]  # the same moment
    known.begin()
    assert names(known, path, 0.1, fresh=True) == ["a.log.1", "a.log.2"]


def test_another_file_by_the_same_name_is_another(tmp_path: Path) -> None:
    known, path = Folders(), tmp_path / "a.log"
    path.touch()
    before = known.beside(str(path), 0.0, fresh=True)
    (tmp_path / "new").touch()
    os.replace(tmp_path / "new", path)
    known.begin()
    after = known.beside(str(path), 1.0, fresh=True)
    assert [name for name, *_ in after] == [name for name, *_ in before]
    assert after != before


def test_a_directory_that_went_is_empty_and_forgotten(tmp_path: Path) -> None:
    known, folder = Folders(), tmp_path / "logs"
    folder.mkdir()
    (folder / "a.log").touch()
    assert names(known, folder / "a.log", 0.0) == ["a.log"]
    (folder / "a.log").unlink()
    folder.rmdir()
    known.begin()
    assert names(known, folder / "a.log", 1.0) == []
    assert known._listings == {}


def test_unused_directories_are_forgotten(tmp_path: Path) -> None:
    known = Folders()
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        names(known, tmp_path / str(number) / "a.log", 0.0)
    known.begin()
    names(known, tmp_path / "3" / "a.log", 1.0)
    known.forget_others()
    assert list(known._listings) == [str(tmp_path / "3")]
