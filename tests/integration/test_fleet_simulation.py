"""The simulation of a fleet (``benchmarks/fleet.py``) in a tiny size: everything arrives through a real gateway."""

from __future__ import annotations

import re

import pytest

from benchmarks import fleet


def test_the_output_of_three_stores_passes_one_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet.main(["--stores", "3", "--minutes", "6"]) == 0
    printed = capsys.readouterr().out
    found = re.search(r"samples: ([\d,]+) of ([\d,]+); stalls: (\d+) of (\d+)", printed)
    assert found, printed
    assert found[1] == found[2] != "0"
    assert found[3] == found[4] != "0"
