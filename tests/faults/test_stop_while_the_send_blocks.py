"""Stopped while a request waits for its answer: the end comes within its bound, and nothing is lost (scenario 67)."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.faults.receiving import SLOW_MS, Daemon, Hang, durations, flags, lines, receiving, take


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_it_ends_in_time_and_the_next_start_delivers(tmp_path: Path, protocol: str) -> None:
    with (
        receiving(protocol) as receiver,
        Daemon(tmp_path, *flags(protocol), "--from-start", endpoint=receiver.endpoint) as daemon,
    ):
        receiver.judge = lambda _request: Hang()
        daemon.write(lines(0, 20), lines(20, 30, ms=SLOW_MS), lines(60, 70))
        daemon.start()
        daemon.wait_until(lambda: receiver.asked)
        began_s = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.ends() == 0
        assert time.monotonic() - began_s < 8  # 5 s for the receiver, and not its whole time-out
        receiver.released.set()
        receiver.judge = take
        daemon.start()
        daemon.wait_until(lambda: receiver.counted() == 40)
        daemon.wait_until(lambda: receiver.breaches() == durations(20, 30, ms=SLOW_MS))
        daemon.stop()
