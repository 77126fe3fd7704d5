"""A writer of a line every 5 ms rotates its log repeatedly: each scan hits another moment (scenario 2)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import append_bytes, copytruncate, rotate


@pytest.mark.parametrize("mode", ["move", "copytruncate"])
def test_every_line_is_read_once(tmp_path: Path, mode: str) -> None:
    with Following(tmp_path) as following:
        following.log.touch()
        following.start()
        pace = threading.Event()  # never set: a wait for it is the pace of the writer
        for number in range(200):
            append_bytes(following.log, following.lines())
            if number % 20 == 19 and mode == "move":
                rotate(following.log)
            elif number % 50 == 49:
                copytruncate(following.log, following.log.with_name(f"{following.log.name}.{1_700_000_000 + number}"))
            pace.wait(0.005)
        following.finish()
