"""A backup is deleted before it is read: the loss is logged, and no line is read twice (scenario 4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import rotate


@pytest.mark.parametrize("rotations", [1, 3])
@pytest.mark.parametrize(("pending", "said"), [(b"", "lost$"), (b"half a line", "lost, and the 11 bytes")])
def test_rest_of_the_file_that_was_deleted_while_away_is_reported(
    tmp_path: Path, pending: bytes, said: str, rotations: int
) -> None:
    with Following(tmp_path) as following:
        following.log.write_bytes(following.lines(10) + pending)
        following.start().caught_up()
        with following.away(killed=True):
            if not pending:
                following.write(4)  # the final size of the file was never seen
            rotate(following.log)
            following.log.with_name(f"{following.log.name}.1").unlink()
            lost = range(10, following.written)
            for _ in range(rotations):
                following.write(5)
                rotate(following.log)
            following.write(5)
        following.finish(lost=lost, warnings=[rf"proxy-8787\.log was deleted .* between two scans: .* {said}"])


def test_backups_deleted_faster_than_any_scan_lose_whole_files_and_double_nothing(tmp_path: Path) -> None:
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
