"""Memory is bounded by what we are configured for, not by what we are given (in full sizes: benchmarks/memory.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import memory


@pytest.mark.parametrize(
    ("case", "scale"),
    [
        (memory.line_without_end, 0.1),
        (memory.much_log, 0.03),
        (memory.undelivered, 0.1),
        (memory.squeezed, 0.3),
    ],
)
def test_memory_is_bounded(case: Callable[[Path, float], float], scale: float, tmp_path: Path) -> None:
    assert 20 < case(tmp_path, scale) < memory.BAR_MIB
