"""The receiver redirects: not followed (a token would be sent there too), logged, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, durations, lines
from tests.support.receiver import Fail, flags, receiving, take


@pytest.mark.parametrize("status", [301, 307])
def test_it_is_not_followed_and_nothing_is_lost(tmp_path: Path, status: int) -> None:
    with receiving("http") as receiver, receiving("http") as elsewhere:
        receiver.judge = lambda _request: Fail(status, "", location=f"{elsewhere.endpoint}/v1/traces")
        with Daemon(tmp_path, *flags("http"), "--from-start", endpoint=receiver.endpoint) as daemon:
            daemon.write(lines(0, 20), lines(20, 30, ms=SLOW_MS), lines(60, 70))
            daemon.start()
            daemon.wait_until(lambda: f"a redirect to {elsewhere.endpoint}/v1/traces" in daemon.said())
            receiver.judge = take
            daemon.wait_until(lambda: receiver.counted() == 40)
            daemon.wait_until(lambda: receiver.breaches() == durations(20, 30, ms=SLOW_MS))
            daemon.stop()
            assert elsewhere.asked == []
            assert daemon.rows("SELECT * FROM refused") == []
