from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.collector import Collector, find_collector
from tests.support.tailing import Follower

# how long a machine takes says nothing about what is right: builders are shared and slow
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    Follower.made.clear()
    yield
    for follower in list(Follower.made):
        follower.close()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    folder = tmp_path / "collector"
    folder.mkdir()
    with Collector(find_collector(), folder) as running:
        yield running
