"""`otel-logtail mark` and starts in the log: stored, listed, and sent to every kind of receiver."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from otel_logtail.store.marks import MOST_PER_HOUR, TOO_MANY
from tests.support.daemon import Daemon
from tests.support.forked import ask, run
from tests.support.lines import line, lines, started


def records(path: Path) -> list[tuple[str, str, str, str]]:
    """Return name, body, severity and id of the log records in a file of OTLP JSON."""
    found = []
    for text in path.read_text().splitlines() if path.exists() else ():
        for resource in json.loads(text).get("resourceLogs", []):
            for record in resource["scopeLogs"][0]["logRecords"]:
                (uid,) = record["attributes"]
                assert uid["key"] == "log.record.uid"
                body, severity = record["body"]["stringValue"], record["severityText"]
                found.append((record["eventName"], body, severity, uid["value"]["stringValue"]))
    return found


def mark(daemon: Daemon, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run("mark", *words, "--db", daemon.db, home=daemon.folder, check=check)


def test_marks_of_the_log_and_by_hand_are_sent_once_across_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    with Daemon(tmp_path, "--from-start", "--exporter", "jsonl", "--jsonl-file", file) as daemon:
        daemon.write(started(0), lines(1, 50))
        daemon.start()
        daemon.wait_until(lambda: [body for _, body, _, _ in records(file)] == ["headroom 0.42.0 started"])
        assert "marked" in mark(daemon, "upgrade \x1b[31m of the cache", "--time", "10m").stderr
        daemon.write(lines(51, 60), started(60))
        daemon.wait_until(lambda: len(records(file)) == 3)
        daemon.kill()
        daemon.write(lines(61, 70), started(70))
        mark(daemon, "by hand while nothing runs", "--source", "headroom-proxy")
        daemon.start()
        daemon.wait_until(lambda: len({uid for _, _, _, uid in records(file)}) == 5)
        daemon.stop()
        assert {(name, severity) for name, _, severity, _ in records(file)} == {("log.overhead.mark", "INFO")}
        rows = ask(daemon.db, "query", "marks", home=tmp_path)
        assert [row["text"] for row in rows] == sorted(
            {body for _, body, _, _ in records(file)}, key=[row["text"] for row in rows].index
        )
        assert sorted(row["text"] for row in rows) == [
            "by hand while nothing runs",
            "headroom 0.42.0 started",
            "headroom 0.42.60 started",
            "headroom 0.42.70 started",
            r"upgrade \x1b[31m of the cache",
        ]
        assert ask(daemon.db, "query", "marks", "--limit", "1", home=tmp_path) == rows[-1:]
        assert daemon.rows("SELECT count(*), count(DISTINCT uid) FROM marks") == [(5, 5)]


def test_the_console_shows_marks(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    log.write_bytes(started(0) + lines(1, 20))
    shown = run("--observer", "headroom", "--path", log, "--once", "--exporter", "console", home=tmp_path)
    assert "headroom-proxy mark: headroom 0.42.0 started\n" in shown.stdout


@pytest.mark.parametrize(
    ("words", "problem", "hint"),
    [
        ((" \t",), "the text of the mark is empty", "otel-logtail mark"),
        (("x", "--time", "noon"), "invalid --time 'noon'", "use 30s"),
        (("x", "--time", "2099-01-01"), "invalid --time '2099-01-01': the time is in the future", "use 30s"),
        (("x", "--source", "nobody"), "no source 'nobody' in this store", "known: headroom-proxy"),
    ],
    ids=["empty", "time", "future", "source"],
)
def test_a_mark_that_cannot_be_stored_is_one_error(
    tmp_path: Path, words: tuple[str, ...], problem: str, hint: str
) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(line(0))
    daemon.once()
    done = mark(daemon, *words, check=False)
    assert done.returncode == 2
    assert problem in done.stderr
    assert hint in done.stderr
    assert daemon.rows("SELECT count(*) FROM mark") == [(0,)]


def test_a_mark_by_mistake_is_removed_and_the_receivers_that_have_it_are_named(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    daemon = Daemon(tmp_path, "--from-start", "--exporter", "jsonl", "--jsonl-file", file)
    daemon.write(lines(0, 20))
    daemon.once()
    for text in ("upgrade 0.41", "twice", "twice"):
        mark(daemon, text, *(("--time", "2h") if text == "twice" else ()))
        mark(daemon, text)
    daemon.once()
    mark(daemon, "not sent yet", "--time", "1h")
    assert mark(daemon, "not sent yet", "--remove").stderr.count("\n") == 1
    several = mark(daemon, "twice", "--remove", check=False)
    assert (several.returncode, "marks have the text 'twice'\n\nhint: add the time" in several.stderr) == (2, True)
    newest = several.stderr.splitlines()[2].split()[-1]
    removed = mark(daemon, "twice", "--remove", "--time", newest)
    assert removed.stderr.startswith("removed 2")
    assert "may already have been sent by jsonl" in removed.stderr
    again = mark(daemon, "twice", "--remove", "--time", newest, check=False)
    assert again.returncode == 2
    assert f"no mark 'twice' at {newest}\n\nhint: use a time that exists: --time 2" in again.stderr
    unknown = mark(daemon, "thrice", "--remove", "--time", newest, check=False)
    assert (unknown.returncode, "no such mark: 'thrice'" in unknown.stderr) == (2, True)
    mark(daemon, "upgrade 0.42")
    daemon.once()
    sent = [body for _, body, _, _ in records(file)]
    assert "not sent yet" not in sent
    assert sent[-1] == "upgrade 0.42"


def test_the_hint_of_two_marks_in_one_second_selects_each_of_them(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(line(0))
    daemon.once()
    for time in ("2026-11-20T11:00:00", "2026-11-20T11:00:00.5"):
        mark(daemon, "twice", "--time", time)
    several = mark(daemon, "twice", "--remove", check=False)
    first, second = several.stderr.splitlines()[2].partition("--time ")[2].split(" or ")
    mark(daemon, "twice", "--remove", "--time", first)
    assert [row["time"] for row in ask(daemon.db, "query", "marks", home=tmp_path)] == [second]


def test_a_mark_needs_a_store(tmp_path: Path) -> None:
    done = run("mark", "x", "--db", tmp_path / "none.db", home=tmp_path, check=False)
    assert done.returncode == 2
    assert "no store at" in done.stderr
    assert not (tmp_path / "none.db").exists()


def test_more_marks_than_an_hour_may_have_are_reported_once(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(*(started(number) for number in range(MOST_PER_HOUR * 2 + 5)), lines(200, 210))
    printed = daemon.once()
    assert printed.count(f"a line was rejected as '{TOO_MANY}'") == 1
    found = run("doctor", "--db", daemon.db, home=tmp_path, check=False)
    (line_of_it,) = [text for text in found.stdout.splitlines() if TOO_MANY in text]
    assert "since the store was created, the last one" in line_of_it
    assert "can't be true" not in found.stdout
