"""The log is deleted and recreated (scenario 51)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following


@pytest.mark.parametrize(("between", "lines"), [("nothing", 10), ("a look", 10), ("frozen", 3), ("frozen", 50)])
def test_the_new_file_is_read_from_its_start(tmp_path: Path, lines: int, between: str) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        for _ in range(3):
            if between == "frozen":
                with following.frozen():
                    following.write(2)
                    following.log.unlink()
                    following.write(lines)
            else:
                following.log.unlink()
                if between == "a look":
                    following.rest()
                following.write(lines)
            following.caught_up()
        following.finish()


def test_while_away(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with following.away():
            following.log.unlink()
            following.write(5)
        following.finish(warnings=["between two scans: .* may be lost$"])
