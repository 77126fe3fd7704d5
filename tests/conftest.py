from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.collector import Collector, find_collector
from tests.support.tailing import Follower

# builders are shared and slow, so a deadline would test the machine and not the code
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Twelve thousand tests are collected and live to the end: the garbage collector would visit them again and again.
gc.disable()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a fixture of their module on one worker.

    A fixture of the session is cheap: each worker sets up its own.
    """
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("xdist_group") is None:
            fixtures = [fixture for found in item._fixtureinfo.name2fixturedefs.values() for fixture in found]
            if any(fixture.scope in ("class", "module") for fixture in fixtures):
                item.add_marker(pytest.mark.xdist_group(item.module.__name__))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail if pytest-xdist does not see the groups: each worker would set up every shared fixture."""
    gc.freeze()
    gc.enable()
    if getattr(session.config.option, "loadgroup", False):
        for item in session.items:
            if item.get_closest_marker("xdist_group") is not None and "@" not in item.nodeid:
                raise pytest.UsageError(
                    f"pytest-xdist ignores the group of {item.nodeid}: see pyproject.toml on pytest"
                )


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
