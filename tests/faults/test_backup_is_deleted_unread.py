"""A backup is deleted before anybody could read it: that is said, and nothing is read twice for it (scenario 4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.following import Following
from tests.tailing import rotate


@pytest.mark.parametrize("rotations", [1, 3])
def test_unread_rest_of_a_deleted_backup_is_reported_with_its_bytes(tmp_path: Path, rotations: int) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        following.write(1)
        following.caught_up()
        with following.away(killed=True):
            following.write(4)  # nobody has seen how long the file was in the end
            rotate(following.log)
            following.log.with_name(f"{following.log.name}.1").unlink()
            lost = range(11, 15)
            for _ in range(rotations):
                following.write(5)
                rotate(following.log)
            following.write(5)
        following.finish(lost=lost, warnings=[r"proxy-8787\.log is gone with an unknown number of unread bytes"])


def test_backups_deleted_faster_than_anybody_looks_lose_whole_files_and_double_nothing(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with following.frozen():
            for _ in range(5):
                rotate(following.log)
                following.write(10)
            for number in (2, 3):  # they hold 20 to 29 and 30 to 39, counted from behind
                following.log.with_name(f"{following.log.name}.{number}").unlink()
        following.finish(lost=range(20, 40))
