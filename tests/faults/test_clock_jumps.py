"""The clock of the program's machine is set while it stalls: episodes and points stay right by the log's own times."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import MS, SLOW_MS, T0, line
from tests.support.receiver import Receiver, flags, receiving

AT = T0 + timedelta(minutes=30)
JUMPS = [timedelta(hours=-1), timedelta(minutes=-2), timedelta(minutes=25)]


def around(jump: timedelta) -> list[tuple[datetime, int]]:
    """Six breaches in six seconds, the clock being set before the fourth, and an end to them: (when, how long)."""
    moments = [AT + timedelta(seconds=n) + (jump if n > 2 else timedelta()) for n in range(6)]
    return [(moment, SLOW_MS) for moment in moments] + [(moments[-1] + timedelta(seconds=20), 20)]


def check(daemon: Daemon, receiver: Receiver, jump: timedelta) -> None:
    first_ns, second_ns = (round(moment.timestamp() * 1000) * MS for moment in (AT, AT + timedelta(seconds=3) + jump))
    expected = [(3, first_ns + 2000 * MS), (3, second_ns + 2000 * MS)]
    assert daemon.rows("SELECT count, end_ns FROM episode ORDER BY id") == expected
    assert daemon.rows("SELECT max(end_ns - start_ns) FROM episode") <= [(2700 * MS,)]
    assert receiver.breaches() == Counter([SLOW_MS * MS + n * 1000 for n in range(6)])
    assert receiver.counted() == 7


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_it_ends_an_episode_in_a_backlog(tmp_path: Path, jump: timedelta) -> None:
    with receiving("http") as receiver, Daemon(tmp_path, endpoint=receiver.endpoint) as daemon:
        daemon.write(*(line(n, ms=ms, at=at) for n, (at, ms) in enumerate(around(jump))))
        daemon.once()
        check(daemon, receiver, jump)


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_it_ends_an_episode_that_is_followed_live(tmp_path: Path, jump: timedelta) -> None:
    arguments = ["--from-start", *flags("http"), "--quiet-ms", "3000"]
    with receiving("http") as receiver, Daemon(tmp_path, *arguments, endpoint=receiver.endpoint) as daemon:
        daemon.start()
        for n, (at, ms) in enumerate(around(jump)):
            daemon.write(line(n, ms=ms, at=at))
            daemon.wait_until(lambda n=n: daemon.samples().total() == n + 1)  # type: ignore[misc]
        daemon.wait_until(lambda: receiver.counted() == 7)
        daemon.wait_until(lambda: receiver.breaches().total() == 6)
        daemon.stop()
        check(daemon, receiver, jump)
