"""SIGINT ends in order, as SIGTERM does; a second one ends at once, and the store is right all the same."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, durations, lines
from tests.support.receiver import Hang, flags, receiving, take
from tests.support.waiting import bound_s


def test_the_first_is_an_end_in_order(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 10))
        daemon.start()
        daemon.wait_for(durations(0, 10))
        daemon.signal(signal.SIGINT)
        assert daemon.ends() == 0
        assert "Z info: stopping" in daemon.said()


def test_the_second_does_not_wait_for_a_receiver_that_hangs(tmp_path: Path) -> None:
    with (
        receiving("http") as receiver,
        Daemon(tmp_path, *flags("http"), "--from-start", endpoint=receiver.endpoint) as daemon,
    ):
        receiver.judge = lambda _request: Hang()
        daemon.write(lines(0, 20), lines(20, 30, ms=SLOW_MS), lines(60, 70))
        daemon.start()
        daemon.wait_until(lambda: receiver.asked)
        daemon.signal(signal.SIGINT)
        daemon.wait_until(lambda: "Z info: stopping" in daemon.said())
        began_s = time.monotonic()
        daemon.signal(signal.SIGINT)
        assert daemon.ends() == 130
        assert time.monotonic() - began_s < bound_s(4)  # 5 s would be the receiver's
        receiver.released.set()
        receiver.judge = take
        daemon.start()
        daemon.wait_until(lambda: receiver.counted() == 40)
        daemon.wait_until(lambda: receiver.breaches() == durations(20, 30, ms=SLOW_MS))
        daemon.stop()
