"""After a rename two writers go on, one in the old file and one in the new (scenario 7)."""

from __future__ import annotations

from pathlib import Path

from tests.support.following import Following
from tests.support.tailing import rotate


def test_lines_of_both_are_read_once(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with following.log.open("ab", buffering=0) as held:
            rotate(following.log)
            for _ in range(20):
                held.write(following.lines())
                following.write()
            following.caught_up()
            held.write(following.lines())
            following.caught_up()
        following.finish()


def test_lines_of_both_are_read_once_across_a_restart(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with following.log.open("ab", buffering=0) as held:
            rotate(following.log)
            following.write(3)
            with following.away(killed=True):
                held.write(following.lines(3))
                following.write(3)
            held.write(following.lines(3))
            following.write(3)
            following.caught_up()
        following.finish()
