"""Stopped while the receiver is away: what could not be delivered is delivered by the next start (scenario 32)."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, durations, lines
from tests.support.ports import free_port
from tests.support.receiver import flags, receiving
from tests.support.waiting import bound_s


def test_the_next_start_delivers_it(tmp_path: Path) -> None:
    with (
        receiving("http") as receiver,
        Daemon(tmp_path, *flags("http"), "--from-start", endpoint=f"http://127.0.0.1:{free_port()}") as away,
    ):
        away.write(lines(0, 20), lines(20, 25, ms=SLOW_MS), lines(30, 40))
        away.start()
        away.wait_until(lambda: "will retry" in away.said())
        began_s = time.monotonic()
        away.stop()
        assert time.monotonic() - began_s < bound_s(15)  # 5 s to deliver what waits
        assert "data that is not delivered in time stays in the store" in away.said()
        expected = durations(0, 20) + durations(20, 25, ms=SLOW_MS) + durations(30, 40)
        assert away.samples() == expected

        with Daemon(tmp_path, *flags("http"), endpoint=receiver.endpoint) as back:
            back.start()
            back.wait_until(lambda: receiver.counted() == 35)
            back.wait_until(lambda: receiver.breaches() == durations(20, 25, ms=SLOW_MS))
            back.stop()
            assert back.samples() == expected


def test_a_receiver_that_does_not_even_accept_holds_up_no_stop(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:  # the queue of those who wait to be accepted is full
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        with Daemon(
            tmp_path, *flags("http"), "--from-start", endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"
        ) as daemon:
            daemon.write(lines(0, 10))
            daemon.start()
            daemon.wait_for(durations(0, 10))
            began_s = time.monotonic()
            daemon.stop()
            assert time.monotonic() - began_s < bound_s(15)
        for filler in fillers:
            filler.close()
