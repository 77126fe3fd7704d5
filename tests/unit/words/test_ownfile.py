"""If a file at the path of an output is not ours, it is never opened, and its target never changes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_logtail.ownfile import NotOurs, open_own, read_own

WRITE = os.O_RDWR | os.O_CREAT | os.O_TRUNC


def linked(path: Path) -> None:
    path.symlink_to(path.with_name("victim"))


def linked_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("not there"))


def linked_in_a_circle(path: Path) -> None:
    path.symlink_to(path)


def second_name(path: Path) -> None:
    path.hardlink_to(path.with_name("victim"))


def folder(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


PLANTED = [linked, linked_to_nothing, linked_in_a_circle, second_name, folder, fifo, listening_socket]


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_refused_and_nothing_is_changed(tmp_path: Path, planted: Callable[[Path], None]) -> None:
    victim, path = tmp_path / "victim", tmp_path / "output"
    victim.write_text("of great value")
    planted(path)
    before = sorted(os.listdir(tmp_path))
    for flags in (WRITE, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_APPEND):
        with pytest.raises(OSError, match=r"link|directory|regular") as caught:
            open_own(path, flags)
        assert read_own(path) is None
        assert isinstance(caught.value, NotOurs | IsADirectoryError)
    assert victim.read_text() == "of great value"
    assert sorted(os.listdir(tmp_path)) == before


def test_a_file_of_ours_is_made_with_its_mode_cut_off_and_not_inherited(tmp_path: Path) -> None:
    path = tmp_path / "output"
    for content in (b"first and long", b"second"):
        descriptor = open_own(path, WRITE)
        try:
            assert not os.get_inheritable(descriptor)
            os.write(descriptor, content)
        finally:
            os.close(descriptor)
        assert path.read_bytes() == content
        assert read_own(path) == content.decode()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_folder_may_be_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    os.close(open_own(tmp_path / "link" / "output", WRITE))
    assert (tmp_path / "folder" / "output").exists()
