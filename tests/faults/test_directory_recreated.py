"""The folder of the log is deleted, or renamed, and recreated (scenario 58)."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.waiting import bound_s


@pytest.mark.parametrize("how", ["deleted", "renamed"])
@pytest.mark.parametrize("seen", [False, True])
def test_new_folder_is_followed_with_events_again(tmp_path: Path, seen: bool, how: str) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        if how == "deleted":
            shutil.rmtree(following.logs)
        else:
            following.logs.rename(tmp_path / "old")
        if seen:
            following.rest()
        following.logs.mkdir()
        following.write(5)
        following.caught_up()
        following.rest()  # a full scan: the new folder is watched from here on
        began_s = time.monotonic()
        for _ in range(20):
            following.write()
            following.caught_up()
        assert time.monotonic() - began_s < bound_s(4)  # without events each would wait for the periodic scan
        following.finish()
