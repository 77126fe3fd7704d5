"""A backup and its compressed copy lie side by side for a while: the same lines twice (scenario 48)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import rotate


@pytest.mark.parametrize(("part", "away"), [(0.5, False), (1.0, False), (1.0, True)])
@pytest.mark.parametrize("unread", [0, 5])
def test_they_are_read_once(tmp_path: Path, part: float, away: bool, unread: int) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        if away:
            following.stop()
        following.write(unread)
        rotate(following.log)
        backup = following.log.with_name(f"{following.log.name}.1")
        compressed = gzip.compress(backup.read_bytes())
        beside = backup.with_name(f"{backup.name}.gz")
        beside.write_bytes(compressed[: int(part * len(compressed))])  # it may be in the making
        if away:
            following.start()
        else:
            following.rest()
        following.write(3)
        following.caught_up()
        beside.write_bytes(compressed)
        backup.unlink()
        following.write(3)
        following.caught_up()
        with following.away():
            pass
        following.finish()
