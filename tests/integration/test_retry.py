"""`otel-logtail retry`: quarantined items are listed, and sent again by the daemon."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import forked
from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, T0, durations, line
from tests.support.receiver import BAD_DATA, Fail, Request, Take, flags, receiving, take

STALLS = [line(number, ms=SLOW_MS, at=T0 + number * timedelta(seconds=10)) for number in range(12)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return forked.completed(arguments, os.environ)


def strange(request: Request) -> bool:
    events = [event for span in request.spans for event in span.events]
    return any(a.value.double_value == SLOW_MS + 7 / 1000 for event in events for a in event.attributes)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_quarantined_item_is_listed_and_sent_again_by_the_next_start(tmp_path: Path, protocol: str) -> None:
    with receiving(protocol) as receiver, Daemon(tmp_path, *flags(protocol), endpoint=receiver.endpoint) as daemon:
        receiver.judge = lambda request: BAD_DATA if strange(request) else Take()
        daemon.write(*STALLS)
        assert "was quarantined" in daemon.once()
        listed = run("retry", "--list", "--db", daemon.db)
        assert (listed.returncode, listed.stdout.count("\n")) == (0, 1)
        assert listed.stdout.startswith("otlp: episodes 8 of 20")
        assert "1 item quarantined" in listed.stderr
        other = run("retry", "--exporter", "hex", "--db", daemon.db)
        assert (other.returncode, other.stderr.splitlines()[2]) == (2, "hint: one of: otlp")
        receiver.judge = take
        daemon.once()
        assert receiver.breaches() == durations(0, 12, ms=SLOW_MS) - durations(7, 8, ms=SLOW_MS)  # not by itself
        released = run("--exporter", "otlp", "retry", "--db", daemon.db)
        assert released.returncode == 0
        assert "1 item released" in released.stderr
        daemon.once()
        assert receiver.breaches() == durations(0, 12, ms=SLOW_MS)
        assert "no items are quarantined" in run("retry", "--db", daemon.db).stderr


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_an_item_that_a_receiver_fails_on_each_time_holds_up_nothing(tmp_path: Path, protocol: str) -> None:
    """And is on trial until the receiver accepts it: then nothing was lost."""
    broken = Fail(500, "INTERNAL")
    with receiving(protocol) as receiver:
        receiver.judge = lambda request: broken if strange(request) else Take()
        with Daemon(tmp_path, *flags(protocol), "--from-start", endpoint=receiver.endpoint) as daemon:
            daemon.write(*STALLS)
            daemon.start()
            rest = durations(0, 12, ms=SLOW_MS) - durations(7, 8, ms=SLOW_MS)
            daemon.wait_until(lambda: receiver.breaches() == rest, 60)
            daemon.wait_until(lambda: daemon.rows("SELECT stream, item, held FROM refused") == [("episodes", 8, 0)])
            daemon.kill()
            daemon.start()
            receiver.judge = take
            daemon.wait_until(lambda: receiver.breaches() == durations(0, 12, ms=SLOW_MS), 60)
            daemon.wait_until(lambda: daemon.rows("SELECT * FROM refused") == [])
            daemon.stop()
            daemon.once()  # closes the last interval
            assert receiver.counted() == len(STALLS)
