"""Each file that the program writes is for its owner alone, whatever the umask, and is never written through a link."""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

import pytest

from tests.support import forked
from tests.support.command import environ
from tests.support.places import CAPTURES

WRITTEN = {  # each kind of file, by its name
    r"s\.db",
    r"s\.db-wal",
    r"s\.db-shm",
    r"s\.db\.lock",
    r"\.s\.db\.\w+\.sent",
    r"s\.db\.suspect",
    r"s\.db\.corrupt-.*",
    r"x\.jsonl(\.([1-9]|10))?",
    r"page\.html",
}


def runs(folder: Path) -> None:
    """Let it write all that it can write: a store, a damaged one that is moved away, lines, rotated ones, a page."""
    log, db, out = folder.parent / "proxy.log", folder / "s.db", folder / "x.jsonl"
    shutil.copy(CAPTURES / "0.42.0-stall.log", log)
    once = ["--observer", "headroom", "--path", log, "--db", db, "--once"]
    lines = ["--exporter", "jsonl", "--jsonl-file", out, "--jsonl-max-size", "10000"]
    run(folder, *once, *lines)
    db.write_bytes(b"not a store" * 1000)
    run(folder, *once, *lines)
    run(folder, "report", "--db", db, "--since", "@0", "--html", folder / "page.html")
    run(folder, "prune", "--db", db)
    run(folder, "doctor", "--db", db)


def run(folder: Path, *words: object) -> None:
    before = os.umask(0)
    try:
        forked.run(*words, home=folder, environ=environ(folder, folder / "s.db"))
    finally:
        os.umask(before)


def test_each_kind_of_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    runs(folder)
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}
    assert {name: mode for name, mode in modes.items() if mode != "0o600"} == {}
    unknown = [name for name in modes if not any(re.fullmatch(kind, name) for kind in WRITTEN)]
    assert unknown == [], "a new kind of file belongs into the list above"
    assert any(".corrupt-" in name for name in modes)
    assert "x.jsonl.1" in modes


def test_the_folder_of_a_new_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    log = CAPTURES / "0.42.0-invalid.log"
    run(tmp_path, "--observer", "headroom", "--path", log, "--db", tmp_path / "a" / "b" / "s.db", "--once")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["s.db", "s.db.lock", "x.jsonl"])
@pytest.mark.parametrize("kind", ["link", "dangling link"])
def test_a_planted_link_is_refused_and_its_target_untouched(tmp_path: Path, name: str, kind: str) -> None:
    target = tmp_path / "precious"
    if kind == "link":
        target.write_bytes(b"")  # as harmless as an empty file looks
    (tmp_path / name).symlink_to(target)
    words = ["--observer", "headroom", "--path", CAPTURES / "0.42.0-invalid.log", "--db", tmp_path / "s.db", "--once"]
    lines = ["--exporter", "jsonl", "--jsonl-file", tmp_path / "x.jsonl"]
    done = forked.run(*words, *lines, home=tmp_path, check=False)
    if name == "s.db":  # a store may be named through a link, and is one store then
        assert done.returncode in (0, 2)
    else:
        first, *_ = done.stderr.splitlines()
        assert done.returncode == 2, done.stderr
        assert first.startswith("otel-logtail: error: ")
        assert "it is a symbolic link" in first
        assert os.path.lexists(target) == (kind == "link")
        assert kind != "link" or target.read_bytes() == b""
