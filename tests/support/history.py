"""A log of several hours, and its delivery."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import replay

HOUR_S = 3600


def write_history(path: Path, end_s: int) -> None:
    """Half a day with silences of many minutes and stalls."""
    log = replay.made_up(end_s, days=1, seed=5, every_s=200)
    lines = log.splitlines(keepends=True)
    half = end_s - 12 * HOUR_S
    path.write_bytes(b"".join(line for line in lines if replay.seconds(line[:19]) >= half))


def deliver(once: Callable[[], subprocess.CompletedProcess[str]]) -> None:
    """Run until everything is delivered: each run gives its exporters some seconds, and the next one continues."""
    for _ in range(20):
        done = once()
        if done.returncode == 0:
            return
    pytest.fail(done.stderr)
