"""The program has no descriptor left when the log is rotated (scenario 57)."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from tests.faults.following import Following
from tests.tailing import rotate

WARNING = r"can't read .*proxy-8787\.log: Too many open files; waiting for it"


@pytest.mark.parametrize("rotations", [1, 3])
def test_it_waits_until_there_are_some_again_and_loses_nothing(tmp_path: Path, rotations: int) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        _, hard = resource.prlimit(following.pid, resource.RLIMIT_NOFILE)
        used = max(int(name) for name in os.listdir(f"/proc/{following.pid}/fd"))
        soft, _ = resource.prlimit(following.pid, resource.RLIMIT_NOFILE, (used + 1, hard))
        for _ in range(rotations):
            following.write(5)
            rotate(following.log)
            following.write(5)
        following.wait_for_words("Too many open files")
        resource.prlimit(following.pid, resource.RLIMIT_NOFILE, (soft, hard))
        following.finish(warnings=[WARNING])
        assert following.said().count("Too many open files") == 1


def test_more_backups_than_a_shell_lets_it_open(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Following(tmp_path, descriptors=(64, hard)) as following:
        for number in range(150):
            following.write(1, following.log.with_name(f"{following.log.name}.{150 - number}"))
        following.write(1)
        following.start().caught_up()
        rotate(following.log)
        following.finish()
