"""The connection is cut during a request, during its answer, and while idle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, durations, lines
from tests.support.receiver import Answer, Request, Take, flags, receiving
from tests.support.wire import Wire


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_nothing_is_lost_and_resent_data_is_the_same(tmp_path: Path, protocol: str) -> None:
    with (
        receiving(protocol) as receiver,
        Wire(receiver.port) as wire,
        Daemon(tmp_path, *flags(protocol), "--from-start", endpoint=wire.endpoint) as daemon,
    ):
        wire.up_bytes = 400
        daemon.write(lines(0, 20), lines(20, 30, ms=SLOW_MS), lines(60, 70))
        daemon.start()
        daemon.wait_until(lambda: wire.cuts >= 2)
        assert receiver.asked == []

        def take_and_cut(_request: Request) -> Answer:
            if len(receiver.asked) < 3:
                wire.cut()  # it is taken, and we are not told
            return Take()

        receiver.judge, wire.up_bytes = take_and_cut, None
        daemon.wait_until(lambda: len(receiver.asked) > 3)
        asked = [request.message for request, _ in receiver.asked]
        assert any(asked.count(message) > 1 for message in asked)
        daemon.wait_until(lambda: receiver.counted() == 40)  # checks that equal times have equal totals
        daemon.wait_until(lambda: receiver.breaches() == durations(20, 30, ms=SLOW_MS))
        daemon.wait_until(lambda: " items waited" in daemon.said())

        wire.cut()
        daemon.write(lines(100, 110))
        daemon.wait_until(lambda: receiver.counted() == 50)
        daemon.stop()
        assert daemon.rows("SELECT * FROM refused") == []
