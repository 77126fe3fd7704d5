"""Lines on standard error: their forms and levels, the journal, and what the daemon writes there."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_logtail.events import Reporter
from otel_logtail.log import FIXED, Form, Style, is_journal
from otel_logtail.model import Activity, Deliveries
from tests.support.daemon import NOBODY, Daemon
from tests.support.forked import run
from tests.support.lines import durations, line, lines

NOON = 1_795_521_600_000_000_000
WARNING = "can't read /var/log/a.log: Permission denied; waiting for it"


def told(style: Style) -> str:
    """The lines of one warning and one message that is information."""
    out = io.StringIO()
    reporter = Reporter(out, style, clock=lambda: NOON)
    reporter.rotated("/var/log/a.log")
    reporter.unreadable("/var/log/a.log", "Permission denied")
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "in_journal", "expected"),
    [
        ("command", False, ["otel-logtail: /var/log/a.log was rotated", f"otel-logtail: warning: {WARNING}"]),
        (
            "text",
            False,
            [
                "2026-11-24T12:00:00.000Z info: /var/log/a.log was rotated",
                f"2026-11-24T12:00:00.000Z warning: {WARNING}",
            ],
        ),
        ("text", True, ["<6>/var/log/a.log was rotated", f"<4>{WARNING}"]),
        ("command", True, ["<6>/var/log/a.log was rotated", f"<4>{WARNING}"]),
    ],
    ids=["command", "text", "journal", "command in the journal"],
)
def test_each_form_has_its_beginning(form: Form, in_journal: bool, expected: list[str]) -> None:
    assert told(Style(form, in_journal=in_journal)).splitlines() == expected


@pytest.mark.parametrize("in_journal", [False, True])
def test_json_has_time_level_event_message_and_the_values_of_the_event(in_journal: bool) -> None:
    _, warning = told(Style("json", in_journal=in_journal)).splitlines()
    assert warning.startswith("<4>{" if in_journal else "{")
    assert json.loads(warning.removeprefix("<4>")) == {
        "time": "2026-11-24T12:00:00.000Z",
        "level": "warning",
        "event": "file.unreadable",
        "message": WARNING,
        "path": "/var/log/a.log",
        "why": "Permission denied",
    }


def test_quiet_leaves_out_information_and_verbose_adds_details() -> None:
    def levels(style: Style) -> list[str]:
        out = io.StringIO()
        reporter = Reporter(out, style)
        reporter.delivered("otlp", "intervals", 3)
        reporter.rotated("a.log")
        reporter.gone("a.log", 3)
        reporter.store_failed("disk full")
        return [json.loads(text)["level"] for text in out.getvalue().splitlines()]

    assert levels(Style("json", "warning")) == ["warning", "error"]
    assert levels(Style("json")) == ["info", "warning", "error"]
    assert levels(Style("json", "debug")) == ["debug", "info", "warning", "error"]


def test_no_value_of_an_event_hides_a_fixed_field() -> None:
    methods = [method for name, method in vars(Reporter).items() if hasattr(method, "__wrapped__")]
    methods += [method for base in Reporter.__mro__[1:] for method in vars(base).values()]
    found = {
        name for method in methods for name in getattr(getattr(method, "__wrapped__", None), "__annotations__", ())
    }
    assert len(found) > 20
    assert found & set(FIXED) == set()


def test_the_journal_is_recognized_by_device_and_inode(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as stream, (tmp_path / "other").open("w") as other:
        status = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(environ, stream.fileno())
        assert not is_journal(environ, other.fileno())
        assert not is_journal({}, stream.fileno())
        closed = os.dup(stream.fileno())
        os.close(closed)
        assert not is_journal(environ, closed)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Iterator[Clock]:
    yield Clock()


def test_the_end_of_an_outage_has_its_length_and_what_waited(clock: Clock) -> None:
    out = io.StringIO()
    reporter = Reporter(out, clock_s=clock)
    reporter.connected("otlp", "http://collector:4318")
    reporter.connected("otlp", "http://collector:4318")
    reporter.exporter_failed("otlp", "can't be reached", "intervals")
    clock.now_s = 60.0
    reporter.exporter_failed("otlp", "can't be reached", "episodes")
    clock.now_s = 182.0
    reporter.exporter_works("otlp", "intervals", "http://collector:4318", 1200)
    reporter.exporter_works("otlp", "episodes", "http://collector:4318", 7)
    assert out.getvalue().splitlines() == [
        "otel-logtail: otlp: connected to http://collector:4318",
        "otel-logtail: warning: otlp: can't be reached; buffering, will retry",
        "otel-logtail: otlp: connected again to http://collector:4318 after 3 min; 1,200 items waited",
    ]


@pytest.mark.parametrize("other", ["Failed to connect to remote host", "connect: Network is unreachable (101)"])
def test_the_addresses_of_one_name_are_one_outage(clock: Clock, other: str) -> None:
    out = io.StringIO()
    reporter = Reporter(out, clock_s=clock)
    text = "failed to connect to all addresses; last error: UNKNOWN: "
    first = f"{text}ipv6:%5B::1%5D:4317: Failed to connect to remote host"
    reporter.exporter_failed("otlp", first, "intervals")
    reporter.exporter_failed("otlp", f"{text}ipv4:127.0.0.1:4317: {other}", "episodes")
    assert out.getvalue().splitlines() == [f"otel-logtail: warning: otlp: {first}; buffering, will retry"]
    clock.now_s += 60
    assert reporter.failing(60) == [f"otlp: no delivery of intervals, episodes for 60 s: {first}"]
    reporter.exporter_works("otlp", "intervals", "localhost:4317")
    reporter.exporter_works("otlp", "episodes", "localhost:4317")
    assert len(out.getvalue().splitlines()) == 2


def test_a_receiver_that_was_down_at_the_start_is_connected_once(clock: Clock) -> None:
    out = io.StringIO()
    reporter = Reporter(out, clock_s=clock)
    reporter.exporter_failed("otlp", "can't be reached", "intervals")
    clock.now_s = 5.0
    reporter.connected("otlp", "http://collector:4318")
    reporter.exporter_works("otlp", "intervals", "http://collector:4318", 1)
    reporter.connected("otlp", "http://collector:4318")
    assert out.getvalue().splitlines()[1:] == [
        "otel-logtail: otlp: connected to http://collector:4318 after 5 s; 1 item waited"
    ]


def test_the_work_of_an_hour_is_one_line() -> None:
    out = io.StringIO()
    done = Activity(
        seconds=3600,
        bytes=5 << 20,
        samples=2100,
        slow=14,
        episodes=1,
        behind=0,
        exporters={"otlp": Deliveries(delivered=2150, waiting=3)},
    )
    Reporter(out, Style("json"), clock=lambda: NOON).activity(done)
    line_ = json.loads(out.getvalue())
    assert line_["message"] == (
        "in the last 60 min: 5.0 MiB read, 2,100 samples, 14 slow, 1 episode, 0 B behind;"
        " otlp: 2,150 delivered, 3 waiting"
    )
    assert (line_["samples"], line_["exporters"]) == (2100, {"otlp": {"delivered": 2150, "waiting": 3}})


# --- the program ---


def test_each_line_of_a_daemon_has_a_time(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start", "-v", endpoint=NOBODY) as daemon:
        daemon.write(lines(0, 10))
        daemon.start()
        daemon.wait_for_words("buffering, will retry")
        daemon.wait_for_words(" debug: headroom-proxy: read ")
        daemon.stop()
        stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning): ")
        assert [text for text in daemon.said().splitlines() if not stamp.match(text)] == []


def test_each_line_of_a_daemon_is_an_object_also_the_error_that_ends_it(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--log-format", "json", "--from-start") as daemon:
        daemon.write(line(1))
        daemon.launch()
        daemon.wait_for(durations(1, 2))
        other = Daemon(tmp_path, log=daemon.log)
        refused = other.run(*other.command("--log-format", "json")[3:])
        daemon.stop()
        told = [json.loads(text) for text in daemon.said().splitlines()]
    assert [each["event"] for each in told] == ["run.started", "file.followed", "run.stopping", "run.stopped"]
    assert (told[1]["path"], told[-1]["samples"]) == (str(daemon.log), 1)
    (error,) = [json.loads(text) for text in refused.stderr.splitlines()]
    assert (refused.returncode, error["level"], error["event"]) == (2, "error", "run.failed")
    assert "another" in error["message"] and error["hint"]


def test_a_quiet_run_writes_nothing_if_all_is_well(tmp_path: Path) -> None:
    (tmp_path / "proxy.log").write_bytes(line(1))
    words = ("--observer", "headroom", "--path", tmp_path / "proxy.log", "--db", tmp_path / "s.db", "--once")
    assert run(*words, "-q", home=tmp_path).stderr == ""
    both = run(*words, "-q", home=tmp_path, environ={"OTEL_LOGTAIL_VERBOSE": "true"}, check=False)
    assert (both.returncode, both.stderr.splitlines()[0]) == (
        2,
        "otel-logtail: error: --quiet and OTEL_LOGTAIL_VERBOSE exclude each other",
    )


def test_a_configuration_sets_form_and_level(tmp_path: Path) -> None:
    (tmp_path / "proxy.log").write_bytes(line(1))
    (tmp_path / "x.toml").write_text(
        f'log_format = "json"\nverbose = true\n[source.a]\nobserver = "headroom"\npaths = ["{tmp_path}/proxy.log"]\n'
    )
    done = run("--config", tmp_path / "x.toml", "--db", tmp_path / "s.db", "--once", home=tmp_path)
    assert "source.read" in [json.loads(text)["event"] for text in done.stderr.splitlines()]


def test_a_file_name_that_is_not_utf8_is_valid_json() -> None:
    out = io.StringIO()
    path = os.fsdecode(b"/logs/\xff\\udcff \xf0\x9f\x90\x98.log")
    Reporter(out, Style("json"), clock=lambda: NOON).rotated(path)
    found = json.loads(out.getvalue())
    expected = "/logs/\\udcff\\udcff \N{ELEPHANT}.log"
    assert expected in found["message"]
    json.dumps(found, ensure_ascii=False).encode()  # no half of a character
