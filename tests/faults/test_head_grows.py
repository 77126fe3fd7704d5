"""A small log grows byte by byte, and is the same file all along (scenarios 42, 43 and 44)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import append_bytes, rotate


def test_it_is_scanned_after_every_single_byte(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.log.touch()
        following.start()
        for byte in following.lines(4):  # 1120 bytes: more than the head
            append_bytes(following.log, bytes([byte]))
            following.rest()
        following.caught_up()
        assert len(following.files()) == 1
        following.finish()


def test_head_grows_over_restarts_and_then_stops(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write()
        following.start().caught_up()
        for killed in (False, True, False, True):
            with following.away(killed=killed):
                following.write()
            following.caught_up()
        assert len(following.files()) == 1
        ((head,),) = following.rows("SELECT head_length FROM file")
        assert head == 1024 < following.log.stat().st_size
        following.finish()


@pytest.mark.parametrize("content", [b"\n", b"x\n", b"x"])
def test_very_small_file_is_rotated_and_truncated(tmp_path: Path, content: bytes) -> None:
    with Following(tmp_path) as following:
        following.log.write_bytes(content)
        following.start()
        for _ in range(3):
            following.rest()
            rotate(following.log)
            following.write()
            rotate(following.log)
            following.caught_up()
            following.log.write_bytes(content)
            following.rest()
            os.truncate(following.log, 0)
            following.rest()
        following.write()
        following.caught_up()
        following.finish()
