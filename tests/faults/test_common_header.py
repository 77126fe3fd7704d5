"""Every file begins with the same header (scenario 46)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import append_bytes, rotate


@pytest.mark.parametrize("length", [20, 1024, 3000])
@pytest.mark.parametrize(("away", "compressed"), [(False, False), (True, True)])
def test_files_with_a_common_header_are_told_apart(tmp_path: Path, length: int, away: bool, compressed: bool) -> None:
    header = b"#".ljust(length - 1, b"=") + b"\n"
    with Following(tmp_path) as following:
        following.log.write_bytes(header)
        following.start()
        following.write(3)
        following.caught_up()
        for lines in (3, 1, 5):
            if away:
                following.stop()
            following.write(2)
            rotate(following.log, compress=gzip.compress if compressed else None, suffix=".gz")
            append_bytes(following.log, header + following.lines(lines))
            if away:
                following.start()
        following.finish()
