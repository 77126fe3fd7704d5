"""`otel-logtail service`: what it prints, whom it refuses, and what systemd and plistlib think of it.

tests/integration/test_systemd.py runs the unit; tests/unit/exporters/test_hex.py runs hex's entry.
"""

from __future__ import annotations

import getpass
import plistlib
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_logtail.cli.service import command
from otel_logtail.cli.service.units import Daemon, launchd_plist, systemd_unit
from otel_logtail.daemon.settings import Settings
from otel_logtail.option import Options
from tests.support import forked
from tests.support.places import ROOT

EXAMPLES = ROOT / "examples"
AT = "/opt/otel-logtail/bin/otel-logtail"
LOG = ("--path", "/var/log/headroom/proxy-*.log")
HEADROOM = ("--observer", "headroom")
OTLP = ("--otlp-endpoint", "http://localhost:4318")

Record = Callable[[str, object], None]
needs_analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not there")


def service(*words: str, home: str = "/home/alice", code: int = 0) -> str:
    """Return its output, or with a ``code`` other than 0 its standard error."""
    # in an environment of two variables: variables of the printing shell do not appear in the output
    done = forked.completed(("service", *words), {"HOME": home, "OTEL_LOGTAIL_OBSERVER": "nonsense"})
    assert done.returncode == code, done.stdout + done.stderr
    assert (done.stderr == "") == (code == 0), done.stderr
    return done.stderr if code else done.stdout


def fields(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


# --- systemd ---


def test_a_unit_of_its_own_user_reads_the_logs_and_writes_its_state() -> None:
    unit = fields(service("systemd", "--group", "adm", "--program", AT, *HEADROOM, *LOG, *OTLP))
    assert unit["ExecStart"] == [
        f"{AT} --observer headroom --path /var/log/headroom/proxy-*.log --otlp-endpoint http://localhost:4318"
        " --db /var/lib/otel-logtail/otel-logtail.db"
    ]
    assert (unit["DynamicUser"], unit["SupplementaryGroups"]) == (["yes"], ["adm"])
    assert unit["ReadOnlyPaths"] == ['"-/var/log/headroom"']
    assert (unit["ProtectHome"], unit["PrivateTmp"]) == (["yes"], ["yes"])
    assert "User" not in unit and "ReadWritePaths" not in unit


def test_the_logs_owner_is_the_user_and_the_home_stays_readable() -> None:
    me = pwd.getpwnam(getpass.getuser())
    unit = fields(service("systemd", "--user", me.pw_name, "--group", "adm", "--program", AT, *HEADROOM))
    assert (unit["User"], unit["Group"]) == ([me.pw_name], ["adm"])
    assert "DynamicUser" not in unit
    assert unit["ReadOnlyPaths"] == [f'"-{me.pw_dir}/.headroom/logs"']
    assert unit["ProtectHome"] == ["read-only"]


def test_a_configuration_determines_the_paths_that_are_read_and_written(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(
        'db = "/data/s.db"\n[source.a]\nobserver = "headroom"\npaths = ["/srv/a/*.log"]\n'
        '[source.b]\nobserver = "headroom"\npaths = ["/srv/b/proxy.log"]\n[exporter.jsonl]\nfile = "/out/x.jsonl"\n'
    )
    unit = fields(service("systemd", "--program", AT, "--config", str(file)))
    assert unit["ExecStart"] == [f"{AT} --config {file}"]
    assert unit["ReadOnlyPaths"] == ['"-/srv/a"', '"-/srv/b"', f'"-{tmp_path}"']
    assert unit["ReadWritePaths"] == ['"-/data"', '"-/out"']
    assert "is relative to this folder" in service("systemd", "--config", "x.toml", code=2)
    file.write_text("[source.a]\n")
    assert f"{file}:1: source.a: no observer given" in service("systemd", "--config", str(file), code=2)


def test_what_is_written_elsewhere_may_be_written() -> None:
    more = ["--exporter", "jsonl", "--jsonl-file", "/srv/out dir/a.jsonl", "--db", "/data/100%/s.db"]
    unit = fields(service("systemd", "--program", AT, *HEADROOM, *LOG, *more))
    assert unit["ReadWritePaths"] == ['"-/data/100%%"', '"-/srv/out dir"']
    assert unit["ExecStart"][0].endswith("--db /data/100%%/s.db")


def test_the_variables_of_the_service_may_choose_the_exporter() -> None:
    more = ["--events", "both", "--jsonl-file", "/srv/out/a.jsonl"]
    unit = fields(service("systemd", "--program", AT, *HEADROOM, *LOG, *more))
    assert "--events both --jsonl-file /srv/out/a.jsonl" in unit["ExecStart"][0]
    assert unit["ReadWritePaths"] == ['"-/srv/out"']
    assert "<string>--events</string>" in service("launchd", "--program", AT, *HEADROOM, *more)
    assert "--events" in service("hex", "--program", AT, *HEADROOM, *more)


def test_a_checkout_below_tmp_is_used_from_the_folder_of_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "__file__", "/tmp/checkout/otel_logtail/cli/service/command.py")
    settings = Settings(db=Path("/data/s.db"), sources=())
    unit = command._daemon((), Options(), settings, (), "alice", "", "")
    assert '"-/tmp/checkout"' in fields(systemd_unit(unit))["BindReadOnlyPaths"]


def test_the_folder_that_systemd_makes_needs_no_further_permission() -> None:
    unit = fields(service("systemd", "--program", AT, *HEADROOM, *LOG, "--db", "/var/lib/otel-logtail/other.db"))
    assert "ReadWritePaths" not in unit


def test_paths_in_tmp_are_bound_into_the_services_own() -> None:
    unit = fields(
        service("systemd", "--program", AT, *HEADROOM, "--path", "/tmp/x:y/*/a.log", "--db", "/var/tmp/z/s.db")
    )
    assert unit["PrivateTmp"] == ["yes"], "a user that is made for the run has no other, whatever is written here"
    assert unit["BindReadOnlyPaths"] == ['"-/tmp/x\\\\:y"']
    assert unit["BindPaths"] == ['"-/var/tmp/z"']


def test_a_program_in_a_home_directory_can_be_got_at() -> None:
    for place, expected in (("/home/alice/.local/bin/otel-logtail", "read-only"), ("/usr/bin/otel-logtail", "yes")):
        assert fields(service("systemd", "--program", place, *HEADROOM, *LOG))["ProtectHome"] == [expected]


def test_it_names_this_program_where_none_is_named() -> None:
    start = fields(service("systemd", *HEADROOM, *LOG))["ExecStart"][0]
    assert start.startswith(f"{Path(sys.executable).with_name('otel-logtail')} --observer headroom ")


@needs_analyze
@pytest.mark.parametrize("who", [[], ["--group", "adm"], ["--user", "root", "--group", "adm"]])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, who: list[str]) -> None:
    path = "/var/log/head room/$x-100%*.log"
    unit = tmp_path / "otel-logtail.service"
    unit.write_text(service("systemd", *who, "--program", sys.executable, *HEADROOM, "--path", path))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_analyze
def test_its_exposure_is_ok_in_systemds_own_words(tmp_path: Path, record_property: Record) -> None:
    unit = tmp_path / "otel-logtail.service"
    unit.write_text((EXAMPLES / "otel-logtail.service").read_text())
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=20", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    level = re.search(r"Overall exposure level for otel-logtail.service: (\d+\.\d) (\w+)", done.stdout)
    assert level, done.stdout + done.stderr
    record_property("exposure", level[1])
    assert level[2] == "OK" and float(level[1]) <= 2.0, level[0]
    assert done.returncode == 0, "above the threshold of 2.0"


# --- launchd ---


def test_an_agent_runs_as_you_and_is_started_again_when_it_fails(tmp_path: Path) -> None:
    text = service("launchd", "--program", AT, *HEADROOM, "--path", "/Users/a & b/<logs>/*.log", home="/Users/al--ice")
    job = plistlib.loads(text.encode())
    assert job == {
        "Label": "otel-logtail",
        "ProgramArguments": [AT, "--observer", "headroom", "--path", "/Users/a & b/<logs>/*.log"],
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 30,
        "Umask": 0o077,
        "StandardErrorPath": "/Users/al--ice/Library/Logs/otel-logtail.log",
    }
    if shutil.which("plutil"):
        (tmp_path / "a.plist").write_text(text)
        subprocess.run(["plutil", "-lint", tmp_path / "a.plist"], check=True)


def test_with_a_user_it_is_a_daemon_of_the_system() -> None:
    text = service("launchd", "--user", "alice", "--group", "staff", "--program", AT, *HEADROOM, *LOG)
    job = plistlib.loads(text.encode())
    assert (job["UserName"], job["GroupName"]) == ("alice", "staff")
    assert job["StandardErrorPath"] == "/Library/Logs/otel-logtail.log"
    assert "/Library/LaunchDaemons/otel-logtail.plist" in text and "LaunchAgents" not in text


# --- wrong use ---


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["upstart"], "unknown supervisor 'upstart'", "known: systemd, launchd, hex"),
        (["systemd"], "no observer given", " headroom "),
        (["systemd", *HEADROOM], "the default log is in a home directory", "--user, or the files with --path"),
        (["systemd", "--user", "no-such-user", *HEADROOM], "--user 'no-such-user': this machine has no", "--path"),
        (["systemd", *HEADROOM, *LOG, "--nope"], "no such option: --nope", ""),
        (["systemd", *HEADROOM, *LOG, "stray"], "'stray' is not an option of the daemon", "quote a value"),
        (["systemd", *HEADROOM, *LOG, "status"], "'status' is not an option of the daemon", ""),
        (["systemd", *HEADROOM, *LOG, "--threshold-ms", "x"], "invalid --threshold-ms 'x'", ""),
        (["systemd", *HEADROOM, *LOG, "--once"], "--once exits", "leave --once out"),
        (
            ["systemd", *HEADROOM, "--path", "a.log"],
            "--path 'a.log' is relative to this folder",
            "use an absolute path",
        ),
        (["systemd", *HEADROOM, *LOG, "--db", "s.db"], "--db 's.db' is relative to this folder", ""),
        (["systemd", *HEADROOM, *LOG, "--program", "x"], "--program 'x' is relative to this folder", ""),
        (["systemd", "--observer", "x", *LOG], "unknown observer 'x'", " headroom"),
        (["launchd", "--observer", "x"], "unknown observer 'x'", " headroom"),
        (["launchd", *HEADROOM, "--exporter", "x"], "unknown exporter 'x'", "known: console, hex"),
        (["hex", *HEADROOM, "--nope"], "no such option: --nope", ""),
    ],
)
def test_wrong_use_is_one_clear_error(words: list[str], error: str, hint: str) -> None:
    said = list(filter(None, service(*words, code=2).splitlines()))
    if said[-1].startswith("Usage: otel-logtail "):
        said.pop()
    assert said[0].startswith(f"otel-logtail: error: {error}"), said
    assert len(said) == 2 and said[1].startswith("hint: ") and hint in said[1], said


# --- examples ---


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("otel-logtail.service", ["systemd", "--group", "adm", "--program", AT, *HEADROOM, *LOG, *OTLP]),
        ("otel-logtail.plist", ["launchd", "--program", AT, *HEADROOM, *OTLP]),
        ("hex-engine-workers.yaml", ["hex", "--program", AT]),
    ],
)
def test_the_examples_are_what_the_command_prints(name: str, words: list[str]) -> None:
    assert (EXAMPLES / name).read_text() == service(*words, home="/Users/alice")


# --- the functions ---


def test_they_take_what_a_daemon_needs() -> None:
    daemon = Daemon(command=("/a b/$x", "--path", "$x"), user="al%ice")
    unit = fields(systemd_unit(daemon))
    assert unit["ExecStart"] == ['"/a b/$x" --path $$x'], "the program itself knows no variables"
    assert unit["User"] == ["al%%ice"]
    assert "UserName" in plistlib.loads(launchd_plist(daemon, "/Users/alice").encode())
