from __future__ import annotations

from pathlib import Path

from tests.collector import Collector, find_collector
from tests.torture.run import Torture


def test_killed_again_and_again_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    with Collector(find_collector(), tmp_path) as collector:
        collector.stop()
        result = Torture(tmp_path, collector, kills=15, seed=7).run()
    assert (result.lost, result.doubled) == (0, 0), (str(result), result.details)
    assert result.lines > 100
