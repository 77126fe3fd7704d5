"""The receiver accepts the request and does not answer: reading continues, and delivery too when it recovers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, durations, lines
from tests.support.ports import free_port
from tests.support.receiver import Answer, Hang, Request, Take, flags, receiving
from tests.support.scraping import probe


def shown(port: int) -> dict[str, Any]:
    """Return the exporter as ``/status`` shows it."""
    exporter: dict[str, Any]
    (exporter,) = json.loads(probe(port, "/status")[1])["exporters"]
    return exporter


@pytest.mark.parametrize(
    ("protocol", "said"), [("http", "gave no answer within 300 ms"), ("grpc", "DEADLINE_EXCEEDED")]
)
def test_everything_comes_once_it_answers_again(tmp_path: Path, protocol: str, said: str) -> None:
    with receiving(protocol) as receiver:
        hangs = True

        def judge(_request: Request) -> Answer:
            return Hang() if hangs else Take()

        receiver.judge = judge
        port = free_port()
        daemon = Daemon(
            tmp_path,
            *flags(protocol),
            "--from-start",
            *("--health-port", port),
            endpoint=receiver.endpoint,
            OTEL_EXPORTER_OTLP_TIMEOUT="300",
        )
        with daemon:
            daemon.write(lines(0, 20), lines(20, 30, ms=SLOW_MS), lines(60, 70))
            daemon.start()
            daemon.wait_until(lambda: said in daemon.said())
            daemon.write(lines(70, 1000))  # the log is read all the same
            daemon.wait_for(durations(0, 20) + durations(20, 30, ms=SLOW_MS) + durations(60, 1000))
            assert receiver.taken == []
            assert probe(port, "/livez") == (200, "ok\n")
            daemon.wait_until(lambda: said in (shown(port)["last_error"] or ""))
            assert shown(port)["pending"] > 0
            hangs = False
            daemon.wait_until(lambda: receiver.counted() == 970)
            daemon.wait_until(lambda: receiver.breaches() == durations(20, 30, ms=SLOW_MS))
            daemon.wait_until(lambda: "otlp: connected" in daemon.said())
            daemon.stop()
            assert daemon.rows("SELECT * FROM refused") == []
            assert daemon.said().count("warning: otlp") == 1
