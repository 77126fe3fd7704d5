"""The log is edited, cut to its last lines, or loses its end in a power cut: known lines are not read again.

Each edit runs here once; all edits in each way to write them are in tests/unit/tail/test_changed_in_part.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.following import Following


def last_lines_kept(data: bytes) -> bytes:
    return b"".join(data.splitlines(keepends=True)[-60:])


def line_removed(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[:40] + lines[41:])


def end_lost(data: bytes) -> bytes:
    return b"".join(data.splitlines(keepends=True)[:-10])


def end_of_nuls(data: bytes) -> bytes:
    return data[:-1000] + bytes(1000)


def beginning_of_nuls(data: bytes) -> bytes:
    return bytes(1000) + data[1000:]


@pytest.mark.parametrize(
    ("edit", "renamed", "away"),
    [
        (last_lines_kept, False, False),
        (line_removed, True, False),
        (end_lost, False, True),
        (end_of_nuls, True, True),
        (beginning_of_nuls, False, False),
    ],
)
def test_each_line_is_stored_once(tmp_path: Path, edit: Callable[[bytes], bytes], renamed: bool, away: bool) -> None:
    with Following(tmp_path) as following:
        following.write(200)
        following.start().caught_up()
        if away:
            following.stop()
        content = edit(following.log.read_bytes())
        if renamed:
            (following.logs / "sedAbC").write_bytes(content)
            os.replace(following.logs / "sedAbC", following.log)
        else:
            following.log.write_bytes(content)
        following.write(20)
        if away:
            following.start()
        following.caught_up()
        following.finish()
