"""A line that a client dated to tomorrow is a sample, and moves no point of any other line."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import MS, durations, line
from tests.support.receiver import Receiver, flags, receiving


def now() -> datetime:
    return datetime.now(timezone.utc)


def latest_ns(receiver: Receiver) -> int:
    return max(int(point.time_unix_nano) for request in receiver.taken for _, point in request.points)


@pytest.mark.parametrize("ahead", [timedelta(minutes=4), timedelta(hours=23), timedelta(days=400)], ids=str)
def test_points_of_other_lines_are_not_in_the_future(tmp_path: Path, ahead: timedelta) -> None:
    arguments = ["--from-start", "--export-interval", "1s", *flags("http")]
    with receiving("http") as receiver, Daemon(tmp_path, *arguments, endpoint=receiver.endpoint) as daemon:
        daemon.write(*(line(n, at=now() - timedelta(seconds=9 - n)) for n in range(5)))
        daemon.start()
        daemon.wait_until(lambda: receiver.counted() == 5)
        daemon.write(line(5, at=now() + ahead))
        daemon.wait_until(lambda: daemon.samples().total() == 6)
        daemon.write(*(line(n, at=now()) for n in range(6, 12)))
        daemon.wait_until(lambda: receiver.counted() == 11)
        assert latest_ns(receiver) <= time.time_ns() + 1000 * MS
        daemon.wait_until(lambda: "s ahead of this machine's clock" in daemon.said())
        daemon.stop()
        assert daemon.samples() == durations(0, 12)
        assert daemon.rejected() == {}
