"""A log without any sample is reported by the daemon, by ``status`` and by ``doctor``, until it has one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail import ObserverPlugin, plugins
from otel_logtail.daemon.silence import MANY_LINES
from tests.support.daemon import Daemon
from tests.support.doctor import doctor
from tests.support.lines import lines

OTHER = b'127.0.0.1 - - [25/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 3\n'
ADVICE = "see 'otel-logtail observers show headroom'"
WARNING = "warning: headroom-proxy: no sample in "


def test_after_reading_once_it_is_one_warning(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(OTHER * 3)
    said = daemon.once()
    assert said.count(WARNING) == 1
    assert f"{WARNING}3 lines: " in said
    assert ADVICE in said
    (source,) = daemon.ask("status")["sources"]
    assert ADVICE in source["no_sample"]
    shown = daemon.run("status", "--db", daemon.db).stdout
    assert "\nsources without a sample\n" in shown
    assert ADVICE in shown
    found = doctor(daemon)
    for area in ("logs of headroom-proxy", "source headroom-proxy"):
        level, what, todo = found.only(area)
        assert level == "warn"
        assert "no sample in " in what
        assert ADVICE in todo


def test_an_empty_log_and_one_with_samples_are_not_reported(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(b"")
    assert WARNING not in daemon.once()
    daemon.write(OTHER * 200, lines(0, 1), OTHER * 200)
    assert WARNING not in daemon.once()
    daemon.write(OTHER * 200)
    assert WARNING not in daemon.once()
    (source,) = daemon.ask("status")["sources"]
    assert source["no_sample"] is None
    assert "sources without a sample" not in daemon.run("status", "--db", daemon.db).stdout


def test_lines_of_an_unknown_format_have_the_advice_too(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(lines(0, 3).replace(b'"stages": {', b'"stages": [').replace(b"}}", b"]}"))
    said = daemon.once()
    assert "the log has an unknown format" in said
    assert f"{WARNING}3 lines: " in said
    assert ADVICE in daemon.ask("status")["sources"][0]["no_sample"]
    level, _, todo = doctor(daemon).only("logs of headroom-proxy")
    assert level == "FAIL"
    assert ADVICE in todo
    assert "look for a newer otel-logtail" in todo
    daemon.write(lines(0, 1))
    assert ADVICE not in doctor(daemon).only("logs of headroom-proxy")[2]


def test_rejected_lines_are_reported_as_such_alone(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write(lines(0, 3).replace(b'"anthropic_messages"', b'"made_up"') + OTHER * 200)
    said = daemon.once()
    assert "a line was rejected as 'unknown_path'" in said
    assert WARNING not in said
    assert daemon.ask("status")["sources"][0]["no_sample"] is None


def test_a_running_daemon_reports_it_after_many_lines_and_when_it_is_over(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(OTHER * (MANY_LINES - 1))
        daemon.start()
        size = (MANY_LINES - 1) * len(OTHER)
        daemon.wait_until(lambda: daemon.rows("SELECT 1 FROM source WHERE bytes = ?", size))
        assert WARNING not in daemon.said()
        daemon.write(OTHER)
        daemon.wait_for_words(f"{WARNING}{MANY_LINES} lines: ")
        daemon.write(OTHER * 500)
        daemon.write(lines(0, 1))
        daemon.wait_for_words("headroom-proxy: the log has its first sample")
        daemon.write(OTHER * 500)
        daemon.stop()
        assert daemon.said().count(WARNING) == 1


def test_the_sentence_of_the_observer_is_shown_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> ObserverPlugin:
        return ObserverPlugin(summary="", make=lambda context: None, no_sample=SENTENCES[name])  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(plugins, "find_observer", found)
    assert plugins.advice("web") == "the format lacks X; see 'otel-logtail observers show web'"
    assert plugins.advice("other") == SENTENCES["other"]


SENTENCES = {"web": "the format lacks X", "other": "add the lines of 'otel-logtail observers show other'"}


def test_an_observer_that_is_not_installed_has_a_general_sentence() -> None:
    assert plugins.advice("nothing").startswith("the observer finds no duration")
    assert "observers show" not in plugins.advice("nothing")


def test_the_lines_of_many_logs_are_counted(tmp_path: Path) -> None:
    """Their chunks are committed together, and share a buffer."""
    for number in range(1, 5):
        (tmp_path / f"proxy-{number}.log").write_bytes(OTHER * number)
    (tmp_path / "proxy-9.log").write_bytes(b"a" * 4000 + b"\n")
    daemon = Daemon(tmp_path, "--path", tmp_path / "proxy-*.log")
    assert f"{WARNING}11 lines: " in daemon.once()


def test_no_file_that_a_store_names_is_run(tmp_path: Path) -> None:
    """A store may come from another user, with a report of a bug."""
    ran, named = tmp_path / "ran", tmp_path / "acme.py"
    named.write_text(f"open({str(ran)!r}, 'w')\nclass Acme: pass\n")
    daemon = Daemon(tmp_path)
    daemon.write(OTHER * 3)
    daemon.once()
    with closing(sqlite3.connect(daemon.db)) as db, db:
        db.execute("UPDATE source SET observer = ?", (f"{named}:Acme",))
    assert "no duration" in daemon.ask("status")["sources"][0]["no_sample"]
    shown = daemon.run("doctor", "--db", daemon.db).stdout
    assert f"not checked: the store names the file {named}:Acme as the observer" in shown
    assert not ran.exists()
