"""The commands that read, as a shell sees them: stdout, stderr, exit code."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from otel_logtail.cli import status
from otel_logtail.cli.help import give_help
from otel_logtail.cli.query import query_app
from otel_logtail.daemon.paths import default_db
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file

app = typer.Typer()
app.add_typer(query_app, name="query")
app.command("status")(status.status)
give_help(app)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of 60 samples, one a second, every tenth of them slow, and a mark; it is the default one."""
    samples = [
        Written(NOON + n * SECOND, (600 if n % 10 == 0 else 5) * 10**6, (("wait", 4 * 10**6),)) for n in range(60)
    ]
    path = make_file(tmp_path / "store.db", samples, [Stall(NOON, NOON + SECOND)])
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("INSERT INTO mark (source, time_ns, text, uid) VALUES (1, ?, 'v1', x'01')", (NOON,))
    monkeypatch.setenv("OTEL_LOGTAIL_DB", str(path))
    return path


class Result(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, words)
    return Result(result.exit_code, result.stdout, result.stderr)


def test_every_command_answers_in_every_format(store: Path) -> None:
    for words in (
        *(["samples"], ["slowest"], ["episodes"], ["stalls"], ["marks"], ["summary"], ["stages"]),
        *(["sql", "SELECT * FROM minutes"], ["schema"]),
    ):
        for form in ("table", "json", "jsonl", "csv"):
            result = run("query", *words, "--format", form)
            assert (result.exit_code, bool(result.stdout)) == (0, True), result
            assert result.stderr in ("", "the newest 50 samples; --limit 0 shows all\n")
            if form == "json":
                json.loads(result.stdout)
    for form in ("table", "json", "jsonl", "csv"):
        assert run("status", "--format", form).exit_code == 0


def test_filters_reach_the_question(store: Path) -> None:
    result = run(
        *("query", "samples", "--since", "2026-11-25T12:00:05Z", "--until", "2026-11-25T12:00:45Z"),
        *("--severity", "degraded", "--severity", "stall", "--source", "proxy", "--limit", "2", "--format", "json"),
    )
    assert [row["time"][17:19] for row in json.loads(result.stdout)] == ["30", "40"]


def test_a_condition_an_order_and_a_limit_work_together(store: Path) -> None:
    def times(*words: str) -> list[str]:
        return [row["time"][17:19] for row in json.loads(run("query", *words, "--format", "json").stdout)]

    assert times("samples", "--where", "duration_ms > 500", "--limit", "2") == ["40", "50"]
    assert times("samples", "--where", "duration_ms > 500", "--sort", "-time", "--limit", "2") == ["50", "40"]
    assert times("samples", "--sort", "time", "--limit", "2") == ["00", "01"]
    assert len(times("samples", "--sort", "-duration_ms")) == 60
    assert times("slowest", "--where", "time > '2026-11-25T12:00:35'") == ["40", "50"]
    assert run("query", "samples", "--sort", "time").stderr == "the first 50 samples; --limit 0 shows all\n"
    assert run("query", "samples", "--where", "0").stderr == "no samples match --where\n"


def test_stalls_are_the_episodes_of_this_severity(store: Path) -> None:
    asked = [
        run("query", *words, "--format", "json").stdout for words in (["stalls"], ["episodes", "--severity", "stall"])
    ]
    assert asked[0] == asked[1] != "[]\n"


def test_a_table_has_fifty_rows_by_default_and_reports_it(store: Path) -> None:
    asked = [run("query", "samples"), run("query", "samples", "--limit", "0"), run("query", "samples", "--limit", "7")]
    assert [len(result.stdout.splitlines()) for result in asked] == [51, 61, 8]
    assert [result.stderr for result in asked] == ["the newest 50 samples; --limit 0 shows all\n", "", ""]
    assert len(json.loads(run("query", "samples", "--format", "json").stdout)) == 60


def test_an_empty_range_is_a_heading_and_a_note(store: Path) -> None:
    for what, note in (("samples", "samples"), ("episodes", "episodes"), ("summary", "samples"), ("stages", "stages")):
        result = run("query", what, "--since", "2030-01-01")
        assert result.exit_code == 0
        assert result.stdout
        assert result.stderr == f"no {note} in this range\n"
    assert run("query", "samples", "--since", "2030-01-01", "--format", "json").stdout == "[]\n"
    assert run("query", "samples", "--severity", "stall").stderr == "no samples\n"


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["query", "samples", "--since", "soon"], "invalid --since 'soon': expected a time", "use 30s"),
        (["query", "summary", "--since", "1h", "--until", "2h"], "--since 1h is not before --until 2h", "24 hours ago"),
        (["query", "stages", "--source", "nope"], "no source 'nope'", "known: proxy"),
        (["query", "sql", "SELECT nope"], "no such column: nope", "the views are samples, breaches, "),
        (["query", "sql", "SELECT caus FROM samples"], "no such column: caus", "did you mean cause? "),
        (["query", "sql", "SELECT * FROM sampels"], "no such table: sampels", "did you mean samples? "),
        (
            ["query", "samples", "--where", "durtion_ms > 5"],
            "no column durtion_ms",
            "did you mean duration_ms? columns: id",
        ),
        (["query", "episodes", "--sort", "-peak"], "invalid --sort '-peak': no column peak", "did you mean peak_ms? "),
        (["query", "slowest", "--where", "1) UNION SELECT (1"], "only an expression", 'e.g. "duration_ms > 2000'),
        (["query", "marks", "--where", "test = 'x'"], "no column test", "did you mean text? "),
        (["query", "stalls", "--where", "peak_ms >"], "syntax error", "columns: id, start, end"),
        (["query", "episodes", "--db", "/nowhere/store.db"], "no store at /nowhere/store.db", "--observer"),
        (["status", "--db", "/nowhere/store.db"], "no store at /nowhere/store.db", "--observer"),
    ],
)
def test_an_error_is_one_line_and_a_hint(store: Path, words: list[str], error: str, hint: str) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    first, second, *usage = filter(None, result.stderr.splitlines())
    assert first.startswith("otel-logtail: error: ")
    assert error in first
    assert second.startswith("hint: ")
    assert hint in second
    assert [text.partition(" ")[0] for text in usage] == ["Usage:"] * (not error.startswith("no store"))


@pytest.mark.parametrize("words", [["--severity", "awful"], ["--format", "xml"], ["--limit", "-1"], ["--what"]])
def test_a_flag_that_is_not_known_ends_with_2(store: Path, words: list[str]) -> None:
    assert run("query", "samples", *words).exit_code == 2


def test_without_a_name_the_store_is_in_the_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_LOGTAIL_DB", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_db().name == "otel-logtail.db"
    assert f"no store at {default_db()}" in run("query", "summary").stderr


def test_nothing_heavy_is_imported_for_help() -> None:
    heavy = ("sqlite3", "rich.table")
    code = f"import sys, otel_logtail.cli.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
