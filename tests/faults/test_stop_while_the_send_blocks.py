"""Stopped while a request waits for its answer: the end comes within its bound, and nothing is lost (scenario 67)."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, durations, lines
from tests.support.receiver import Hang, flags, receiving, take
from tests.support.waiting import bound_s


def test_it_ends_in_time_and_the_next_start_delivers(tmp_path: Path) -> None:
    """Both protocols at once: each waits for its whole bound."""
    patient = {"OTEL_EXPORTER_OTLP_TIMEOUT": "60000"}
    (tmp_path / "http").mkdir()
    (tmp_path / "grpc").mkdir()
    with (
        receiving("http") as over_http,
        receiving("grpc") as over_grpc,
        Daemon(tmp_path / "http", *flags("http"), "--from-start", endpoint=over_http.endpoint, **patient) as by_http,
        Daemon(tmp_path / "grpc", *flags("grpc"), "--from-start", endpoint=over_grpc.endpoint, **patient) as by_grpc,
    ):
        pairs = [(over_http, by_http), (over_grpc, by_grpc)]
        for receiver, daemon in pairs:
            receiver.judge = lambda _request: Hang()
            daemon.write(lines(0, 20), lines(20, 30, ms=SLOW_MS), lines(60, 70))
            daemon.start()
            daemon.wait_until(lambda receiver=receiver: receiver.asked)  # type: ignore[misc]
        began_s = time.monotonic()
        for _, daemon in pairs:
            daemon.signal(signal.SIGTERM)
        for _, daemon in pairs:
            assert daemon.ends() == 0
        assert time.monotonic() - began_s < bound_s(20)  # 5 s for the receiver instead of its whole timeout
        for receiver, daemon in pairs:
            receiver.released.set()
            receiver.judge = take
            daemon.start()
            daemon.wait_until(lambda receiver=receiver: receiver.counted() == 40)  # type: ignore[misc]
            slow = durations(20, 30, ms=SLOW_MS)
            daemon.wait_until(lambda receiver=receiver, slow=slow: receiver.breaches() == slow)  # type: ignore[misc]
            daemon.stop()
