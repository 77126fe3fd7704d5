"""Ways to rotate a log once, for tests that combine them. ``number`` counts the rotations of a test from 0."""

from __future__ import annotations

import gzip
from pathlib import Path

from tests.support.tailing import copytruncate, rotate, shift, squeeze


def create(log: Path, number: int) -> None:
    rotate(log)


def nocreate(log: Path, number: int) -> None:
    rotate(log, create=False)


def copy_and_truncate(log: Path, number: int) -> None:
    copytruncate(log, _dated(log, number))


def delayed_compression(log: Path, number: int) -> None:
    rotate(log)
    second = log.with_name(f"{log.name}.2")
    if second.exists():
        squeeze(second, gzip.compress, ".gz")


def back_up(log: Path, mode: str, names: str, number: int) -> None:
    """Rotate by ``move`` or ``copytruncate``, to a backup whose name is ``dated`` or ``numbered``."""
    if names == "dated" and mode == "move":
        log.rename(_dated(log, number))
        log.touch()
    elif names == "dated":
        copy_and_truncate(log, number)
    elif mode == "move":
        rotate(log)
    else:
        shift(log)
        copytruncate(log)


def backups(log: Path) -> list[Path]:
    """The newest first."""
    return sorted((path for path in log.parent.iterdir() if path != log), key=lambda path: -path.stat().st_mtime_ns)


def _dated(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}-202601{number + 1:02}")
