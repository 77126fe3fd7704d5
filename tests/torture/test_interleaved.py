"""The log changes between any two system calls of the tail (``python -m tests.torture.interleaved`` for more)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.interleaved import Changing, Interleaved, Stale


@pytest.mark.parametrize("seed", range(15))
def test_a_part_is_lost_and_the_log_is_rotated_at_once_and_nothing_is_lost_or_doubled(
    tmp_path: Path, seed: int
) -> None:
    run = Interleaved(tmp_path, seed, Changing, rounds=25)
    lost, doubled = run.run()
    assert (lost, doubled) == ([], []), "\n".join(run.trace)
    assert run.lines > 100


@pytest.mark.parametrize("seed", range(60))
def test_a_change_between_any_two_system_calls_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    run = Interleaved(tmp_path, seed)
    lost, doubled = run.run()
    assert (lost, doubled) == ([], []), "\n".join(run.trace)
    assert run.lines > 100


@pytest.mark.parametrize("seed", [21, 78, 176])  # a hole appears while a copy with another hole is identified
def test_a_stale_writer_leaves_holes_in_a_log_that_is_copied_and_truncated_and_nothing_is_lost_or_doubled(
    tmp_path: Path, seed: int
) -> None:
    run = Interleaved(tmp_path, seed, Stale, rounds=15)
    lost, doubled = run.run()
    assert (lost, doubled) == ([], []), "\n".join(run.trace)
    assert run.lines > 100
