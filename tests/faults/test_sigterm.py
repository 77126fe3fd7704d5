"""SIGTERM: data that was read is committed and delivered, and the exit code is 0, in any state."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, durations, lines
from tests.support.receiver import flags, receiving
from tests.support.waiting import bound_s


def test_an_idle_one_ends_at_once(tmp_path: Path) -> None:
    with (
        receiving("http") as receiver,
        Daemon(tmp_path, *flags("http"), "--from-start", endpoint=receiver.endpoint) as daemon,
    ):
        daemon.write(lines(0, 20), lines(20, 30, ms=SLOW_MS), lines(60, 70))
        daemon.start()
        daemon.wait_until(lambda: receiver.counted() == 40)
        daemon.wait_until(lambda: receiver.breaches() == durations(20, 30, ms=SLOW_MS))
        began_s = time.monotonic()
        daemon.stop()
        assert time.monotonic() - began_s < bound_s(4)
        assert "Z info: stopping" in daemon.said()


def test_one_that_has_just_started_ends_in_order(tmp_path: Path) -> None:
    """The signal comes before there is a store, a log or a receiver."""
    with Daemon(tmp_path, *flags("http"), endpoint="http://127.0.0.1:1") as daemon:
        daemon.start()
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGTERM)  # a second one changes nothing
        assert daemon.ends() == 0


AS_IT_STARTS = """
import importlib.abc, os, sys
from otel_logtail.cli.main import main

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Finder())
main()
"""
"""The program itself, with a signal halfway through its start."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("module", ["otel_logtail.cli.follow", "otel_logtail.observers.headroom.observer"])
def test_one_that_is_still_starting_ends_in_order(tmp_path: Path, module: str, number: signal.Signals) -> None:
    program = AS_IT_STARTS.format(module=module, number=int(number))
    arguments = ["--observer", "headroom", "--path", tmp_path / "proxy.log", "--db", tmp_path / "store.db"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=bound_s(30),
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
