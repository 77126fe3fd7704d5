"""Backup and move work as their pages show, and the lists of metrics, exit codes, messages and files are complete."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail import delivery_events, errors, events, file_events
from tests.support.following import Following
from tests.support.places import ROOT
from tests.support.waiting import wait_until
from tools.registry import Registry

BACK_UP = (ROOT / "docs" / "how-to" / "back-up.md").read_text()
REFERENCE = ROOT / "docs" / "reference"


def commands(block: str) -> list[str]:
    """The lines behind ``$`` of the console block that is marked ``<!-- run: NAME -->``."""
    match = re.search(rf"<!-- run: {block} -->\n```console\n(.*?)```", BACK_UP, re.DOTALL)
    assert match, f"there is no block {block}"
    return [line.removeprefix("$ ") for line in match[1].splitlines()]


def cells(page: str) -> list[str]:
    """The first column of the first table of a page, without its quotes."""
    table = re.search(r"(?:^\|.*\n)+", (REFERENCE / f"{page}.md").read_text(), re.MULTILINE)
    assert table
    rows = [line.split("|")[1].strip() for line in table[0].splitlines()]
    return [cell.strip("`") for cell in rows[2:]]


# --- what it lists ---


def test_every_metric_of_our_own_is_explained() -> None:
    names = {one.name for one in Registry.load().signals() if one.type == "metric" and one.name.startswith("ot")}
    assert len(names) > 10
    listed = cells("metrics")
    assert len(listed) == len(set(listed))
    assert names == set(listed)


def test_every_exit_code_is_explained() -> None:
    own = [value for value in vars(errors).values() if isinstance(value, type)]
    codes = {kind.exit_code for kind in own if issubclass(kind, errors.LogtailError)} | {0, 130, 143}
    assert {int(cell) for cell in cells("exit-codes")} == codes


def loud() -> Iterator[str]:
    """The warnings and errors of the reporter, with ``…`` for the variable parts."""
    parsed = (ast.parse(inspect.getsource(module)) for module in (events, file_events, delivery_events))
    for node in (node for tree in parsed for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("begin", "say"):
            level, text = node.args[-2:]
            if isinstance(level, ast.Constant) and level.value in ("warning", "error"):
                parts = text.values if isinstance(text, ast.JoinedStr) else [text]
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)


def test_every_loud_message_is_explained() -> None:
    said, listed = list(loud()), cells("messages")
    assert len(said) > 15
    missing = [text for text in said if not any(text.startswith(cell) for cell in listed)]
    assert missing == []
    assert [cell for cell in listed if len(cell.replace("…", "")) < 12] == [], "too short to be told apart"


# --- its commands ---


def rows(db: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("number", range(3))
def test_a_backup_is_made_while_it_runs_and_restores(tmp_path: Path, number: int) -> None:
    command = commands("backup")[number]
    if command.startswith("sqlite3") and not shutil.which("sqlite3"):
        pytest.skip("sqlite3 is not there")
    with Following(tmp_path) as program:
        program.db = tmp_path / "otel-logtail.db"
        program.write(100)
        program.start()
        program.caught_up()
        instance = rows(program.db, "SELECT value FROM meta WHERE key = 'instance'")
        program.write(100)  # what is just being written does no harm, whether it is in or not
        run(command, tmp_path)
        backup = tmp_path / f"backup-{number + 1}.db"
        assert rows(backup, "PRAGMA integrity_check") == [("ok",)]
        program.write(50)
        program.caught_up()
        assert 100 <= rows(backup, "SELECT samples FROM source")[0][0] <= 200  # type: ignore[operator]

        program.stop()
        program.write(50)
        for restore in commands("restore"):
            run(restore.replace("backup-1.db", backup.name), tmp_path)
        program.start()
        program.caught_up()
        assert rows(program.db, "SELECT value FROM meta WHERE key = 'instance'") == instance
        program.finish()


def test_copying_only_the_file_while_it_runs_gives_no_backup(tmp_path: Path) -> None:
    with Following(tmp_path) as program:
        program.write(100)
        program.start()
        program.caught_up()
        shutil.copy(program.db, tmp_path / "copied.db")
        with pytest.raises((sqlite3.DatabaseError, AssertionError)):
            assert rows(tmp_path / "copied.db", "SELECT samples FROM source") == [(100,)]


def test_a_store_continues_on_another_machine_with_the_same_log_paths(tmp_path: Path) -> None:
    """Another machine: the same paths with the same content, and other inodes."""
    with Following(tmp_path) as program:
        program.write(100)
        program.start()
        program.caught_up()
        program.stop()
        program.write(30)  # not read yet when it is moved
        beside = {path.name for path in tmp_path.iterdir() if path.name.startswith("store.db")}
        assert beside == {"store.db", "store.db.lock"}, "ended in order, all is in one file"
        for path in (program.db, program.log):
            before = path.stat().st_ino
            shutil.copy2(path, f"{path}.moved")
            path.unlink()
            Path(f"{path}.moved").rename(path)
            assert path.stat().st_ino != before
        (tmp_path / "store.db.lock").unlink()
        program.start()
        program.caught_up()
        program.finish()


def run(command: str, folder: Path) -> None:
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_files_in_the_stores_directory_are_listed(tmp_path: Path) -> None:
    with Following(tmp_path) as program:
        program.write(10)
        program.start()
        program.caught_up()
        wait_until(lambda: program.count() == 10)
        there = {path.name.removeprefix("store") for path in tmp_path.iterdir() if path.name.startswith("store.db")}
        program.stop()
    named = " ".join(cells("store"))
    assert there == {".db", ".db-wal", ".db-shm", ".db.lock"}
    for ending in (*there, ".suspect", ".corrupt-"):
        assert ending in named, ending
