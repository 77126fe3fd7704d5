"""The cases of ``python -m benchmarks.memory``, small: each input alone would need more than the bound."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.memory import BOUND_MIB, MB, Peak, backlog, bomb, hole, long_line, nowhere, undelivered
from tests.support.collector import Collector, find_collector

if sys.platform != "linux":  # the peak is read from /proc
    pytest.skip("memory is measured where the kernel says what the peak was", allow_module_level=True)


def small(peak: Peak) -> bool:
    # below this a process that has imported all of it can't be: then nothing was measured
    return 20 < peak.peak_mib < BOUND_MIB


def test_a_line_of_100_mb_is_skipped_in_bounded_memory(tmp_path: Path) -> None:
    peak = long_line(tmp_path, nowhere(), 100 * MB)
    assert small(peak), str(peak)


def test_a_hole_of_100_mb_is_read_over_in_bounded_memory(tmp_path: Path) -> None:
    peak = hole(tmp_path, nowhere(), 100 * MB)
    assert small(peak), str(peak)


def test_a_log_of_100_mb_is_read_in_bounded_memory(tmp_path: Path) -> None:
    peak = backlog(tmp_path, nowhere(), 100 * MB)
    assert small(peak), str(peak)


def test_a_compressed_file_a_thousand_times_its_size_is_read_in_bounded_memory(tmp_path: Path) -> None:
    peak = bomb(tmp_path, nowhere(), 160 * MB)
    assert small(peak), str(peak)


def test_100_000_samples_wait_for_a_collector_and_are_delivered_in_bounded_memory(tmp_path: Path) -> None:
    collector = Collector(find_collector(), tmp_path)
    try:
        peak = undelivered(tmp_path / "followed", collector, 100_000)
    finally:
        collector.kill()
    assert small(peak), str(peak)
