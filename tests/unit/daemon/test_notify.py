"""sd_notify, received on a real datagram socket: of the object alone, and of the real process."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.daemon.supervisor import Supervisor
from tests.support.following import Following
from tests.support.waiting import bound_s

EVERY_S = 0.4  # of a second's watchdog


class Listener:
    """A substitute for systemd: one end of a datagram socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def next(self, timeout_s: float = 20) -> dict[str, str]:
        """The fields of the next message; none when nothing comes in time."""
        self.socket.settimeout(timeout_s)
        try:
            text = self.socket.recv(4096).decode()
        except (TimeoutError, BlockingIOError):
            return {}
        return dict(field.split("=", 1) for field in text.split("\n"))

    def until(self, field: str) -> dict[str, str]:
        """The next message that has this field."""
        while (fields := self.next()) and field not in fields:
            pass
        return fields

    def drain(self) -> list[dict[str, str]]:
        """Return the datagrams that were not read yet."""
        found = []
        while fields := self.next(0):
            found.append(fields)
        return found


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(str(tmp_path / "notify"))
    with closing(listener.socket):
        yield listener


class Supervised(Following):
    """The program as systemd starts it: with the address to send to, and the maximum silence."""

    def __init__(self, folder: Path, listener: Listener, *arguments: object, watchdog: bool = True) -> None:
        # the pid is known once the shell has become the program, as WATCHDOG_PID is meant
        runner = ["sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"]
        super().__init__(folder, *arguments, runner=runner)
        self._told = {"NOTIFY_SOCKET": listener.address}
        if watchdog:
            self._told["WATCHDOG_USEC"] = "1000000"

    def environ(self) -> dict[str, str]:
        return {**super().environ(), **self._told}


# --- the object ---


def test_ready_alive_and_stopping_are_sent_once_and_on_time(listener: Listener) -> None:
    told = Supervisor({"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "7"}, pid=7)
    told.turned(0.0, lambda: "too early")
    assert told.due_s(0.0) == math.inf, "nobody waits for one that is not ready"
    told.ready("follows\n2 files")
    told.ready("again")
    assert listener.drain() == [{"READY": "1", "STATUS": r"follows\n2 files"}]
    told.turned(100.0, lambda: "a")
    told.turned(100.0 + EVERY_S / 2, lambda: "not yet")
    assert told.due_s(100.1) == pytest.approx(EVERY_S - 0.1)
    told.turned(100.0 + EVERY_S, lambda: "b")
    assert told.due_s(105.0) == 0.0
    assert listener.drain() == [{"WATCHDOG": "1", "STATUS": "a"}, {"WATCHDOG": "1", "STATUS": "b"}]
    told.stopping()
    assert listener.drain() == [{"STOPPING": "1", "STATUS": "stopping"}]


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "8"},  # meant for another process
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
    ],
)
def test_without_a_watchdog_only_the_status_is_sent(listener: Listener, watchdog: dict[str, str]) -> None:
    told = Supervisor({"NOTIFY_SOCKET": listener.address, **watchdog}, pid=7)
    told.ready("a")
    told.turned(100.0, lambda: "b")
    told.turned(101.0, lambda: "c")
    assert listener.drain() == [{"READY": "1", "STATUS": "a"}, {"STATUS": "b"}]
    assert told.due_s(200.0) == math.inf


def test_an_abstract_name_is_one_too() -> None:
    listener = Listener(f"@otel-logtail-{os.getpid()}")
    with closing(listener.socket):
        Supervisor({"NOTIFY_SOCKET": listener.address}).ready("a")
        assert listener.drain() == [{"READY": "1", "STATUS": "a"}]


@pytest.mark.parametrize("address", ["", "vsock:2:3", "relative", "/nobody/listens/here"])
def test_without_a_listener_nothing_is_sent_and_nothing_fails(address: str) -> None:
    told = Supervisor({"NOTIFY_SOCKET": address})
    told.ready("a")
    told.turned(1.0, lambda: "b")
    told.stopping()


def test_a_listener_who_does_not_read_holds_nothing_up(listener: Listener) -> None:
    told = Supervisor({"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "1000000"})
    told.ready("a")
    began_s = time.monotonic()
    for second in range(5000):  # far more than a socket's queue takes
        told.turned(float(second), lambda: "b")
    assert time.monotonic() - began_s < bound_s(10)
    assert len(listener.drain()) < 5000, "all of it found room: the test shows nothing"


# --- the process ---


def test_it_is_ready_once_it_follows_alive_while_it_runs_and_stopping_at_the_end(
    tmp_path: Path, listener: Listener
) -> None:
    with Supervised(tmp_path, listener) as program:
        program.write(3)
        program.start()
        ready = listener.next()
        assert ready == {"READY": "1", "STATUS": "headroom-proxy: following 1 file"}
        assert f"following {program.log}" in program.said()
        for _ in range(4):  # an idle one: the pings come out of the loop's own waits
            began_s = time.monotonic()
            assert listener.next()["WATCHDOG"] == "1"
            assert time.monotonic() - began_s < 1, "later than the watchdog's time"
        program.caught_up()
        program.stop()
        told = listener.drain()
        assert told[-1] == {"STOPPING": "1", "STATUS": "stopping"}, "nothing comes after the end has begun"
        assert all("STOPPING" not in fields for fields in told[:-1])


def test_what_is_wrong_is_in_the_status_until_it_is_over(tmp_path: Path, listener: Listener) -> None:
    with Supervised(tmp_path, listener, "--otlp-endpoint", "http://127.0.0.1:1") as program:
        program.write(3)
        program.start()
        listener.until("READY")
        program.wait_for_words("buffering, will retry")
        listener.drain()
        status = listener.until("WATCHDOG")["STATUS"]
        assert status.startswith("headroom-proxy: following 1 file; otlp: "), status


def test_a_missing_log_does_not_prevent_readiness(tmp_path: Path, listener: Listener) -> None:
    with Supervised(tmp_path, listener) as program:
        program.start()
        assert listener.next()["STATUS"].startswith("headroom-proxy: following 0 files; can't read ")


def test_without_a_watchdog_it_does_not_wake_for_it(tmp_path: Path, listener: Listener) -> None:
    with Supervised(tmp_path, listener, watchdog=False) as program:
        program.write(3)
        program.start()
        assert "WATCHDOG" not in listener.until("READY")
        program.caught_up()
        program.stop()
        told = listener.drain()
        assert told[-1]["STOPPING"] == "1"
        assert all("WATCHDOG" not in fields for fields in told)


HANGING = '''
from otel_logtail.model import Ignored
from otel_logtail.observer import Observer, ObserverPlugin, PathRule


class Hanging(Observer):
    """Hangs at a line that names a FIFO, until somebody has written there."""

    name = "hanging"
    source = "hanging"
    marker = b"hang "

    def paths(self):
        return PathRule(patterns=(), live=".*")

    def observe(self, line):
        with open(line.split()[1], "rb") as fifo:
            fifo.read()
        return Ignored()


HANGING = ObserverPlugin(summary="Hangs.", make=lambda context: Hanging())
'''


def plugin(folder: Path) -> Path:
    """The observer above, as an installed package."""
    about = folder / "plugins" / "hanging-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[otel_logtail.observers]\nhanging = hanging:HANGING\n")
    (about.parent / "hanging.py").write_text(HANGING)
    return about.parent


def test_a_main_loop_that_hangs_is_silent_though_all_other_threads_go_on(tmp_path: Path, listener: Listener) -> None:
    fifo, log = tmp_path / "fifo", tmp_path / "a.log"
    os.mkfifo(fifo)
    log.touch()
    told = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "1000000", "PYTHONPATH": str(plugin(tmp_path))}
    command = [sys.executable, "-m", "otel_logtail", "--observer", "hanging", "--path", str(log)]
    # an exporter that cannot deliver is a thread that keeps running
    command += ["--db", str(tmp_path / "s.db"), "--otlp-endpoint", "http://127.0.0.1:1"]
    with subprocess.Popen(command, env={"HOME": str(tmp_path), **told}, stderr=subprocess.DEVNULL) as program:
        try:
            assert listener.until("READY")
            assert listener.next()["WATCHDOG"] == "1"
            with log.open("ab") as writer:
                writer.write(b"hang %s\n" % os.fsencode(fifo))
            release = os.open(fifo, os.O_WRONLY)  # waits until it hangs there
            listener.drain()
            assert listener.next(2.5) == {}, "a watchdog of one second would not have noticed"
            assert program.poll() is None
            os.close(release)
            assert listener.until("WATCHDOG"), "it turns again, and says so again"
            program.send_signal(signal.SIGTERM)
            assert listener.until("STOPPING")
            assert program.wait(bound_s(20)) == 0
        finally:
            program.kill()
