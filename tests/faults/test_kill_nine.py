"""Killed repeatedly while reading and delivering: nothing lost, nothing doubled (scenario 41)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, durations, lines
from tests.support.receiver import flags, receiving

EACH = 3_000


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_store_and_receiver_agree_with_the_log_in_the_end(tmp_path: Path, protocol: str) -> None:
    chance = random.Random(f"kill {protocol}")  # noqa: S311 - moments, no secret
    with (
        receiving(protocol) as receiver,
        Daemon(tmp_path, *flags(protocol), "--from-start", endpoint=receiver.endpoint) as daemon,
    ):
        expected, slow = durations(0, 0), durations(0, 0)
        for kill in range(4):
            first = kill * EACH
            pieces = [lines(n, n + 100) for n in range(first, first + EACH - 100, 100)]
            last = lines(first + EACH - 100, first + EACH, ms=SLOW_MS)
            cut = chance.randrange(len(last))
            expected += durations(first, first + EACH - 100) + durations(first + EACH - 100, first + EACH, ms=SLOW_MS)
            slow += durations(first + EACH - 100, first + EACH, ms=SLOW_MS)
            before = daemon.samples().total()
            daemon.start()
            # killed while it reads new lines: at another moment each time, by the number of lines read
            daemon.write(*pieces, last[:cut])
            goal = before + chance.randrange(EACH - 200)
            daemon.wait_for_more_than(goal)
            daemon.kill()
            assert daemon.samples() <= expected
            daemon.write(last[cut:])
        daemon.start()
        daemon.wait_for(expected)
        daemon.wait_until(lambda: receiver.counted() == expected.total())
        daemon.wait_until(lambda: receiver.breaches() == slow)
        daemon.stop()
        assert daemon.counter("samples") == expected.total()
        assert daemon.counter("bytes") == daemon.log.stat().st_size
        assert daemon.counter("drift") == 0
        assert daemon.rejected() == {}
