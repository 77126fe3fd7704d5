"""The log is copied and truncated while the program is stopped (scenario 19)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import copytruncate, squeeze


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("after", [0, 5, 40])
def test_the_copys_tail_and_the_new_content_are_read_once(tmp_path: Path, after: int, compressed: bool) -> None:
    copy = tmp_path / "logs" / "proxy-8787.log.1"
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with following.away(killed=compressed):
            following.write(7)
            copytruncate(following.log, copy)
            if compressed:
                squeeze(copy, gzip.compress, ".gz")
            following.write(after)
        following.finish()
