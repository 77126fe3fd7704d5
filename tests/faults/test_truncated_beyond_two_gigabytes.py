"""A log of more than 2 GB (nearly all of it a hole, which costs no disk) is cut off (scenario 24)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following

BIG = 3 << 30


@pytest.mark.parametrize("away", [False, True])
def test_its_end_and_lines_after_the_truncation_are_read(tmp_path: Path, away: bool) -> None:
    with Following(tmp_path, from_start=False) as following:
        with following.log.open("wb") as log:
            log.seek(BIG)
            log.write(b"the end of what was there before\n")
        size = following.log.stat().st_size
        following.start().wait_for_words(f"from byte {size}")
        following.write(5)
        following.caught_up()
        assert following.files()[0]["offset"] > 2**31
        if away:
            with following.away():
                following.log.write_bytes(following.lines(5))
        else:
            following.log.write_bytes(following.lines(5))
        following.caught_up()
        following.finish(warnings=["between two scans: .* may be lost$"] if away else [])
