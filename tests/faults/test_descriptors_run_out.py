"""The program has no descriptor left when the log is rotated (scenario 57)."""

from __future__ import annotations

import gzip
import os
import resource
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import rotate, squeeze


@pytest.mark.parametrize("rotations", [1, 3])
def test_it_does_with_those_that_it_has_and_loses_nothing(tmp_path: Path, rotations: int) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        _, hard = resource.prlimit(following.pid, resource.RLIMIT_NOFILE)
        used = max(int(name) for name in os.listdir(f"/proc/{following.pid}/fd"))
        resource.prlimit(following.pid, resource.RLIMIT_NOFILE, (used + 1, hard))
        for _ in range(rotations):
            following.write(5)
            rotate(following.log)
            following.write(5)
        following.finish()


@pytest.mark.parametrize("compressed", [False, True])
def test_more_backups_than_descriptors(tmp_path: Path, compressed: bool) -> None:
    with Following(tmp_path, descriptors=(96, 96)) as following:
        for number in range(200):
            backup = following.log.with_name(f"{following.log.name}.{200 - number}")
            following.write(2, backup)
            if compressed:
                squeeze(backup, gzip.compress, ".gz")
        following.write(1)
        following.start().caught_up()
        for _ in range(3):
            following.write(1)
            rotate(following.log)
            following.write(1)
            following.caught_up()
            assert len(os.listdir(f"/proc/{following.pid}/fd")) <= 96
        with following.away(killed=True):
            following.write(1)
            rotate(following.log)
            following.write(1)
        following.finish()


def test_more_live_logs_than_descriptors(tmp_path: Path) -> None:
    with Following(tmp_path, descriptors=(96, 96), patterns=[tmp_path / "logs" / "proxy*.log"]) as following:
        logs = [following.logs / f"proxy-8787-{number}.log" for number in range(150)]
        for log in logs:
            following.write(1, log)
        following.start().caught_up()
        for log in (logs[0], logs[75], logs[149]):
            following.write(1, log)
            rotate(log)
            following.write(1, log)
        following.caught_up()
        following.finish(path=logs[3])


def test_more_backups_than_a_shell_lets_it_open(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Following(tmp_path, descriptors=(64, hard)) as following:
        for number in range(150):
            following.write(1, following.log.with_name(f"{following.log.name}.{150 - number}"))
        following.write(1)
        following.start().caught_up()
        rotate(following.log)
        following.finish()
