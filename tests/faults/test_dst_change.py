"""Local time jumps by an hour during a stall: the log's own times are not affected."""

from __future__ import annotations

from datetime import timedelta, timezone
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import MS, SLOW_MS, T0, durations, line
from tests.support.receiver import receiving

WINTER, SUMMER = timezone(timedelta(hours=1)), timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("before", "after", "machine"),
    [(WINTER, SUMMER, "Europe/Vienna"), (SUMMER, WINTER, "Europe/Vienna"), (SUMMER, WINTER, "America/St_Johns")],
)
def test_an_episode_continues_across_it(tmp_path: Path, before: timezone, after: timezone, machine: str) -> None:
    """Read where the log was written, and on a machine without that time zone."""
    with receiving("http") as receiver, Daemon(tmp_path, endpoint=receiver.endpoint, TZ=machine) as daemon:
        moments = [T0 + timedelta(seconds=n) for n in range(6)]
        daemon.write(*(line(n, ms=SLOW_MS, at=at, zone=before if n < 3 else after) for n, at in enumerate(moments)))
        daemon.write(line(6, at=T0 + timedelta(seconds=20), zone=after))
        daemon.once()
        end_ns = round(moments[-1].timestamp() * 1000) * MS
        assert daemon.rows("SELECT count, end_ns FROM episode") == [(6, end_ns)]
        assert daemon.rows("SELECT max(last_ns) - min(first_ns) FROM block") == [(20_000 * MS,)]
        assert receiver.breaches() == durations(0, 6, ms=SLOW_MS)
        assert receiver.counted() == 7
