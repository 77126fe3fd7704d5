"""One path is renamed repeatedly, faster than the grace period closes the old files (scenario 8)."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.support.following import Following


@pytest.mark.parametrize("gap", ["none", "read between"])
def test_every_line_is_read_once(tmp_path: Path, gap: str) -> None:
    with Following(tmp_path) as following:
        following.log.touch()
        following.start()
        following.wait_until(following.files)  # a scan between two steps of a rotation would warn of no file
        for number in range(60):
            following.write(2)
            following.log.rename(following.log.with_name(f"{following.log.name}.{1_700_000_000 + number}"))
            if gap == "read between":
                following.caught_up()
        following.finish()


def test_more_renamed_files_than_a_shell_lets_it_open(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Following(tmp_path, descriptors=(48, hard)) as following:
        following.log.touch()
        following.start()
        following.wait_until(following.files)  # a scan between two steps of a rotation would warn of no file
        for number in range(60):
            following.write(2)
            following.log.rename(following.log.with_name(f"{following.log.name}.{1_700_000_000 + number}"))
            following.caught_up()
        assert len(following.open_files()) > 48
        following.finish()
