"""Writers that keep their descriptor, and such that open the log for each line, in each way to rotate (scenario 12).

All combinations are in tests/unit/tail/test_rotations.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.rotations import copy_and_truncate, create, delayed_compression, nocreate

ROTATIONS = 5


@pytest.mark.parametrize(
    ("mode", "writer"),
    [
        (create, "keeps"),
        (nocreate, "reopens at the rotation"),
        (copy_and_truncate, "keeps"),
        (delayed_compression, "reopens for each line"),
        (delayed_compression, "reopens at the rotation"),
    ],
)
def test_every_line_is_read_once(tmp_path: Path, mode: Callable[[Path, int], None], writer: str) -> None:
    stays = writer == "keeps" and mode is not copy_and_truncate  # in the first file, forever
    with Following(tmp_path) as following:
        following.log.touch()
        following.start()
        following.wait_until(following.files)  # lines written to a file that was deleted before any scan are lost
        held = os.open(following.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for number in range(1 if stays else ROTATIONS):
            for _ in range(10):
                if writer == "reopens for each line":
                    following.write()
                else:
                    os.write(held, following.lines())
            mode(following.log, number)
            if writer == "reopens at the rotation":
                os.write(held, following.lines(2))  # before it is signaled
                os.close(held)
                held = os.open(following.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(held, following.lines(10))
        os.close(held)
        following.finish()
