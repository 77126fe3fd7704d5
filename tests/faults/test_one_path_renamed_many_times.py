"""One path is renamed again and again, faster than the grace period lets go of the old files (scenario 8)."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.faults.following import Following


@pytest.mark.parametrize("gap", ["none", "read between"])
def test_every_line_is_read_once(tmp_path: Path, gap: str) -> None:
    with Following(tmp_path) as following:
        following.log.touch()
        following.start()
        for number in range(60):
            following.write(2)
            following.log.rename(following.log.with_name(f"{following.log.name}.{1_700_000_000 + number}"))
            if gap == "read between":
                following.caught_up()
        following.finish()


def test_more_renamed_files_than_descriptors(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.log.touch()
        following.start()
        _, hard = resource.prlimit(following.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(following.pid, resource.RLIMIT_NOFILE, (64, hard))
        for number in range(100):
            following.write(2)
            following.log.rename(following.log.with_name(f"{following.log.name}.{1_700_000_000 + number}"))
            following.caught_up()
        following.finish()
