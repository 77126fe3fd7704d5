"""Values on the command line that are empty, and paths in the home directory."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.forked import run
from tests.support.places import CAPTURES
from tests.support.store_builder import NOON, SECOND, Written, make_file

LOG = CAPTURES / "0.42.0-invalid.log"
OPTIONS = (
    *("--retention", "--max-db-size", "--max-series", "--threshold-ms", "--stall-ms", "--quiet-ms", "--event"),
    *("--timezone", "--export-interval", "--exporter-from", "--db"),
)


@pytest.mark.parametrize("value", ["", " "])
@pytest.mark.parametrize("option", OPTIONS)
def test_an_empty_value_of_a_flag_is_an_error(tmp_path: Path, option: str, value: str) -> None:
    store = () if option == "--db" else ("--db", tmp_path / "s.db")
    done = run("--observer", "headroom", "--path", LOG, "--once", *store, option, value, home=tmp_path, check=False)
    assert done.stderr.startswith(f"otel-logtail: error: invalid {option} {value!r}: "), done.stderr
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])


@pytest.mark.parametrize("value", ["", " "])
@pytest.mark.parametrize("option", OPTIONS)
def test_an_empty_variable_is_not_set(tmp_path: Path, option: str, value: str) -> None:
    variable = "OTEL_LOGTAIL_" + option.removeprefix("--").replace("-", "_").upper()
    store = () if option == "--db" else ("--db", tmp_path / "s.db")
    run("--observer", "headroom", "--path", LOG, "--once", *store, home=tmp_path, environ={variable: value})


@pytest.mark.parametrize("place", ["--source", "OTEL_LOGTAIL_SOURCE", "OTEL_SERVICE_NAME"])
def test_a_name_of_a_source_that_is_not_utf_8_is_an_error(tmp_path: Path, place: str) -> None:
    words, variables = ((place, "a\udcff"), {}) if place == "--source" else ((), {place: "a\udcff"})
    once = ("--observer", "headroom", "--path", LOG, "--once", "--db", tmp_path / "s.db", *words)
    done = run(*once, home=tmp_path, check=False, environ=variables)
    assert done.stderr.startswith(rf"otel-logtail: error: invalid {place} 'a\udcff': not valid UTF-8"), done.stderr
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])


def test_prune_deletes_nothing_with_an_empty_retention(tmp_path: Path) -> None:
    store = make_file(tmp_path / "s.db", [Written(NOON, SECOND)])
    before = store.read_bytes()
    done = run("prune", "--db", store, "--retention", "", home=tmp_path, check=False)
    assert (done.returncode, store.read_bytes()) == (2, before)
    assert done.stderr.startswith("otel-logtail: error: invalid --retention '': ")


def test_pruning_refuses_a_file_of_another_program(tmp_path: Path) -> None:
    letter = tmp_path / "letter.db"
    letter.write_bytes(b"letter\n" * 100)
    done = run("prune", "--db", letter, home=tmp_path / "home", check=False)
    assert (done.returncode, "letter.db is not a store" in done.stderr) == (1, True)
    assert letter.read_bytes() == b"letter\n" * 100
    assert list(tmp_path.iterdir()) == [letter]


def test_pruning_leaves_nothing_beside_the_database_of_another_program(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "bookmarks.db")) as conn:
        conn.execute("CREATE TABLE bookmark (url TEXT)")
    before = (tmp_path / "bookmarks.db").read_bytes()
    done = run("prune", "--db", tmp_path / "bookmarks.db", home=tmp_path / "home", check=False)
    assert (done.returncode, "but not a store of otel-logtail" in done.stderr) == (2, True)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("bookmarks.db", before)]


@pytest.mark.parametrize("by_variable", [False, True])
@pytest.mark.parametrize(
    "command", [("query", "summary"), ("status",), ("report",), ("prune",), ("retry",), ("doctor",)], ids=" ".join
)
def test_every_command_finds_a_store_in_the_home_directory(
    tmp_path: Path, command: tuple[str, ...], by_variable: bool
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    shutil.move(make_file(tmp_path / "s.db", [Written(NOON, SECOND)]), home / "store.db")
    if by_variable:
        done = run(*command, home=home, check=False, environ={"OTEL_LOGTAIL_DB": "~/store.db"})
    else:
        done = run(*command, "--db", "~/store.db", home=home, check=False)
    said = done.stdout + done.stderr
    assert "no store" not in said and "does not exist" not in said, said
    assert done.returncode == 0 or (command == ("doctor",) and str(home / "store.db") in said), said
