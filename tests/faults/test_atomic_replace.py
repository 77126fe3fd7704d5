"""The log is replaced by a file that was made beside it and renamed over it (scenario 13)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.following import Following


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("new", ["same", "same and more", "other", "other and shorter"])
def test_only_new_lines_are_read(tmp_path: Path, new: str, away: bool) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        if away:
            following.stop()
        data = following.log.read_bytes() if new.startswith("same") else following.lines(10 if new == "other" else 2)
        if new == "same and more":
            data += following.lines(5)
        beside = following.logs / "beside"
        beside.write_bytes(data)
        os.replace(beside, following.log)
        if away:
            following.start()
        else:
            following.rest()
        following.caught_up()
        lost = away and new.startswith("other")  # the last lines written to the old file were never seen
        following.finish(warnings=["between two scans: .* may be lost$"] if lost else [])
