"""The printed unit, run by a real systemd: ready, confined, started again after a crash and a hang, not for wrong use.

One systemd for all of them; each test has a unit of its own. See tests/support/systemd.py for what it needs.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.cli.service.units import Daemon, systemd_unit
from tests.support.lines import durations, lines
from tests.support.receiver import receiving
from tests.support.systemd import PROGRAM_PLACES, Systemd, systemd
from tests.support.waiting import bound_s, wait_until

PROGRAM = Path(sys.executable).with_name("otel-logtail")


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    with systemd(tmp_path_factory.mktemp("systemd"), *PROGRAM_PLACES) as started:
        yield started


class Service:
    """The unit that the command prints, under a name of its own; ``drop_in`` changes what would take too long."""

    def __init__(self, manager: Systemd, name: str, *options: object, drop_in: str = "") -> None:
        self.manager, self.name = manager, f"{name}.service"
        self.log = manager.folder / "log" / f"{name}.log"
        own = ["--observer", "headroom", "--from-start", *map(str, options)]
        if "--path" not in own:
            own += ["--path", f"/var/log/headroom/{name}.log"]
        unit = subprocess.run([PROGRAM, "service", "systemd", *own], capture_output=True, text=True, check=True).stdout
        unit = unit.replace("/var/lib/otel-logtail", f"/var/lib/{name}")
        unit = re.sub(r"(?m)^StateDirectory=.*", f"StateDirectory={name}", unit)
        said = f"[Service]\nStandardError=append:{manager.folder}/said\nRestartSec=0\n"
        manager.unit(self.name, unit, test=said + drop_in)
        self.db = manager.folder / "lib" / "private" / name / "otel-logtail.db"

    def write(self, first: int, end: int, *, ms: int = 20) -> None:
        with self.log.open("ab") as log:
            log.write(lines(first, end, ms=ms))
        self.log.chmod(0o644)

    def start(self) -> None:
        self.manager.ctl("start", self.name)  # returns when READY=1 has arrived

    def pid(self) -> int:
        """The machine's number of its main process."""
        mine = [pid for pid in self.manager.pids() if self.log.name in Path(f"/proc/{pid}/cmdline").read_text()]
        assert len(mine) == 1, mine
        return mine[0]

    def holds(self, first: int, end: int) -> None:
        """Wait until the store holds exactly the lines of these numbers."""
        with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=bound_s(10))) as connection:

            def found() -> list[int]:
                return [round(ms * 1e6) for (ms,) in connection.execute("SELECT duration_ms FROM samples")]

            wait_until(lambda: len(found()) >= end - first, told=self.manager.said)
            assert sorted(found()) == sorted(durations(first, end).elements())


def test_it_is_up_once_it_follows_confined_as_a_user_of_its_own(manager: Systemd) -> None:
    service = Service(manager, "confined")
    service.write(0, 10)
    service.start()
    assert manager.show(service.name, "ActiveState", "SubState", "StatusText") == {
        "ActiveState": "active",
        "SubState": "running",
        "StatusText": "headroom-proxy: following 1 file",
    }
    service.holds(0, 10)
    process = Path(f"/proc/{service.pid()}")
    status = dict(re.findall(r"(?m)^(\w+):\t(.*)$", (process / "status").read_text()))
    assert int(status["Uid"].split()[0]) >= 61184, "a user that systemd made for it"
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    mounts = {row.split()[1]: row.split()[3].split(",")[0] for row in (process / "mounts").read_text().splitlines()}
    assert mounts["/"] == "ro" and mounts["/var/log/headroom"] == "ro", mounts
    assert mounts["/var/lib/private/confined"] == "rw"
    assert service.db.stat().st_mode & 0o777 == 0o600
    assert service.db.parent.stat().st_mode & 0o777 == 0o700
    service.write(10, 20)  # and later changes are noticed in there, too
    service.holds(0, 20)
    manager.ctl("stop", service.name)
    assert manager.show(service.name, "ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}


def test_after_a_crash_it_is_started_again_and_nothing_is_lost_or_doubled(manager: Systemd) -> None:
    service = Service(manager, "crash")
    service.write(0, 10)
    service.start()
    service.holds(0, 10)
    os.kill(service.pid(), signal.SIGKILL)
    manager.until(service.name, NRestarts="1", ActiveState="active")
    service.write(10, 20)
    service.holds(0, 20)
    manager.ctl("stop", service.name)


def test_one_that_hangs_is_ended_by_the_watchdog_and_started_again(manager: Systemd) -> None:
    service = Service(manager, "hang", drop_in="WatchdogSec=2\nTimeoutAbortSec=1\n")
    service.write(0, 10)
    service.start()
    service.holds(0, 10)
    os.kill(service.pid(), signal.SIGSTOP)
    manager.until(service.name, NRestarts="1", ActiveState="active")
    service.write(10, 20)
    service.holds(0, 20)
    manager.ctl("stop", service.name)


def test_one_that_is_busy_or_idle_for_long_is_left_alone(manager: Systemd) -> None:
    service = Service(manager, "alive", drop_in="WatchdogSec=1\n")
    service.write(0, 20_000)
    service.start()
    before = manager.show(service.name, "WatchdogTimestampMonotonic")
    service.holds(0, 20_000)
    for _ in range(5):  # five times a new sign of life

        def next_sign(before: dict[str, str] = before) -> bool:
            return manager.show(service.name, "WatchdogTimestampMonotonic") != before

        wait_until(next_sign, told=manager.said)
        before = manager.show(service.name, "WatchdogTimestampMonotonic")
    assert manager.show(service.name, "NRestarts", "ActiveState") == {"NRestarts": "0", "ActiveState": "active"}
    manager.ctl("stop", service.name)


def test_a_log_in_tmp_is_seen_though_the_service_has_its_own(manager: Systemd) -> None:
    """The test's folder is there, and only root may enter it."""
    service = Service(manager, "temporary", "--path", manager.folder / "log" / "temporary.log")
    service.write(0, 10)
    service.start()
    service.holds(0, 10)
    service.write(10, 20)
    service.holds(0, 20)
    manager.ctl("stop", service.name)


def test_wrong_use_is_not_tried_again(manager: Systemd) -> None:
    service = Service(manager, "wrong", drop_in="Environment=OTEL_LOGTAIL_STALL_MS=1\n")
    manager.ctl("start", service.name, check=False)
    manager.until(service.name, ActiveState="failed", NRestarts="0", ExecMainStatus="2")
    assert "OTEL_LOGTAIL_STALL_MS '1': not above the threshold" in manager.said()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_it_delivers_from_in_there(manager: Systemd, protocol: str) -> None:
    options = ["--otlp-protocol", "http/protobuf" if protocol == "http" else "grpc"]
    with receiving(protocol) as receiver:
        service = Service(manager, protocol, *options, "--otlp-endpoint", receiver.endpoint, "--export-interval", "1s")
        service.write(0, 10)
        service.write(10, 20, ms=600)
        service.start()
        wait_until(lambda: receiver.counted() == 20, 30.0, told=manager.said)
        wait_until(lambda: receiver.breaches() == durations(10, 20, ms=600), 30.0, told=manager.said)
        manager.ctl("stop", service.name)
        assert manager.show(service.name, "Result") == {"Result": "success"}


def test_each_word_of_the_command_comes_through_as_it_is(manager: Systemd) -> None:
    words = [
        "a b",
        "100%",
        "%n%%",
        "$HOME",
        "${HOME}x",
        "$$",
        "back\\slash\\n",
        'q"q',
        "it's",
        ";",
        "x;y",
        "new\nline\t",
    ]
    words += ["", "-", "@x", "ünï", "a=b,c", "#no comment", "\x01", "*.log", "~", "$", "trailing\\"]
    write = "import json, os, sys; json.dump(sys.argv[1:], open(os.environ['STATE_DIRECTORY'] + '/words', 'w'))"
    unit = systemd_unit(Daemon(command=(sys.executable, "-c", write, *words), uses=(sys.prefix, sys.base_prefix)))
    manager.unit("words.service", unit, test="[Service]\nType=oneshot\nRestart=no\n")
    manager.ctl("start", "words.service")
    assert json.loads((manager.folder / "lib/private/otel-logtail/words").read_text()) == words
