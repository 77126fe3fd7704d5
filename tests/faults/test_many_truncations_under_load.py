"""A busy log is copied and cut off again and again (scenarios 23 and 25)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import append_bytes, copytruncate


@pytest.mark.parametrize("piece", [1, 400])
def test_twenty_thousand_lines_over_twenty_truncations(tmp_path: Path, piece: int) -> None:
    total, rotations = (20_000, 20) if piece > 1 else (2_000, 20)
    with Following(tmp_path) as following:
        following.log.touch()
        following.start()
        rows = following.lines(total).splitlines(keepends=True)
        for number in range(rotations):
            part = rows[number * total // rotations : (number + 1) * total // rotations]
            for at in range(0, len(part), piece):
                append_bytes(following.log, b"".join(part[at : at + piece]))
            copytruncate(following.log, following.log.with_name(f"{following.log.name}-202601{number + 1:02}"))
        following.caught_up()
        assert sorted(following.samples()) == list(range(total))
        following.finish()
