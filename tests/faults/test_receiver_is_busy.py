"""429, 503 and the same in gRPC, with the delay that the receiver requests: the delay is respected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, durations, lines
from tests.support.receiver import Answer, Fail, Request, Take, flags, receiving
from tests.support.waiting import bound_s

AFTER_S = 1  # the first wait of our own is half a second at most


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        ("http", Fail(429, "", AFTER_S)),
        ("http", Fail(503, "", AFTER_S)),
        ("grpc", Fail(0, "RESOURCE_EXHAUSTED", AFTER_S)),
        ("grpc", Fail(0, "UNAVAILABLE", AFTER_S)),
    ],
)
def test_it_is_left_alone_as_long_as_it_asks(tmp_path: Path, protocol: str, answer: Fail) -> None:
    with receiving(protocol) as receiver:

        def judge(request: Request) -> Answer:
            first = all(asked.signal != request.signal for asked, _ in receiver.asked)
            return answer if first else Take()

        receiver.judge = judge
        with Daemon(tmp_path, *flags(protocol), "--from-start", endpoint=receiver.endpoint) as daemon:
            daemon.write(lines(0, 20), lines(20, 30, ms=SLOW_MS), lines(60, 70))
            daemon.start()
            daemon.wait_until(lambda: receiver.counted() == 40)
            daemon.wait_until(lambda: receiver.breaches() == durations(20, 30, ms=SLOW_MS))
            daemon.stop()
            for signal in ("metrics", "traces"):
                first, second, *_ = [request for request, _ in receiver.asked if request.signal == signal]
                assert AFTER_S <= second.at_s - first.at_s < AFTER_S + bound_s(5)
                assert second.message == first.message
            assert daemon.rows("SELECT * FROM refused") == []
            assert (daemon.said().count("warning: otlp"), daemon.said().count("otlp: connected to")) == (1, 1)


def test_without_a_delay_waits_are_our_own(tmp_path: Path) -> None:
    with receiving("http") as receiver:

        def judge(_request: Request) -> Answer:
            return Fail(503, "UNAVAILABLE") if len(receiver.asked) < 2 else Take()

        receiver.judge = judge
        with Daemon(tmp_path, *flags("http"), "--from-start", endpoint=receiver.endpoint) as daemon:
            daemon.write(lines(0, 20), lines(60, 70))
            daemon.start()
            daemon.wait_until(lambda: receiver.counted() == 30)
            daemon.stop()
            times_s = [request.at_s for request, _ in receiver.asked[:3]]
            assert 0.25 <= times_s[1] - times_s[0] < times_s[2] - times_s[0]
