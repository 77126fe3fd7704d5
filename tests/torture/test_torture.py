from __future__ import annotations

from pathlib import Path

from tests.support.collector import Collector, find_collector
from tests.torture.run import Torture


def test_killed_again_and_again_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    collector = Collector(find_collector(), tmp_path)
    try:
        result = Torture(tmp_path, collector, kills=15, seed=7).run()
    finally:
        collector.kill()
    assert result.details == (), str(result)
    assert (result.lost, result.doubled) == (0, 0)
    assert result.lines > 100
