"""The log is truncated and rewritten before a scan, to more than its old size (scenarios 27 and 28)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following


@pytest.mark.parametrize(("lines", "away"), [(10, False), (500, False), (10, True), (11, True)])
def test_new_content_that_is_as_long_or_longer_is_read_whole(tmp_path: Path, lines: int, away: bool) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        if away:
            with following.away(killed=True):
                following.log.write_bytes(following.lines(lines))
        else:
            with following.frozen():
                following.log.write_bytes(following.lines(lines))
        following.finish(warnings=["between two scans: .* may be lost$"] if away else [])


@pytest.mark.parametrize(("header", "away"), [(100, False), (1024, False), (5000, False), (5000, True)])
def test_same_first_bytes_and_a_different_rest(tmp_path: Path, header: int, away: bool) -> None:
    same = b"=" * (header - 1) + b"\n"
    with Following(tmp_path) as following:
        following.log.write_bytes(same + following.lines(10))
        following.start().caught_up()
        if away:
            with following.away(killed=True):
                following.log.write_bytes(same + following.lines(30))
        else:
            with following.frozen():
                following.log.write_bytes(same + following.lines(30))
        following.finish(warnings=["between two scans: .* may be lost$"] if away else [])
