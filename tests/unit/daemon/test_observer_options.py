"""Options and suggestions of observers in the settings of a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otel_logtail import plugins
from otel_logtail.daemon import config, options, settings
from otel_logtail.daemon.config import read_config
from otel_logtail.daemon.settings import Settings, SourceSettings, read_source
from otel_logtail.errors import UsageError
from otel_logtail.observer import ObserverContext, ObserverPlugin
from otel_logtail.option import Choice, File, Integer, Option, Options, Text
from otel_logtail.testing import FakeObserver

KIND = Option("fake_kind", Choice(("a", "b")), "Kind of line.", default="a")
KEY = Option("fake_key", Text(), "A key.", secret=True)
MS = 10**6


def fake(**suggested: Any) -> ObserverPlugin:
    return ObserverPlugin(summary="Fake.", make=FakeObserver, options=(KIND, KEY), **suggested)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, ObserverPlugin]:
    """The only observers that are installed."""
    found = {"fake": fake()}
    monkeypatch.setattr(settings, "observers", lambda: found)
    monkeypatch.setattr(settings, "find_observer", found.__getitem__)
    monkeypatch.setattr(config, "observers", lambda: found)
    monkeypatch.setattr(config, "names", lambda group: sorted(found))
    monkeypatch.setattr(config, "find_observer", found.__getitem__)
    return found


def source(**given: str) -> SourceSettings:
    return read_source(Options({}, {"observer": "fake", **given}, {name: f"--{name}" for name in given}))


def test_an_observers_own_options_go_with_their_places_to_it_alone(installed: dict[str, ObserverPlugin]) -> None:
    made = source(fake_kind="b", event="x.y", other_kind="c")
    assert made.options == {"fake_kind": "b"}
    assert made.places == {"fake_kind": "--fake_kind"}
    context = made.context({"HOME": "/root"})
    assert (context.require(KIND), context.where(KIND), context.environ) == ("b", "--fake_kind", {"HOME": "/root"})


def test_a_secret_option_of_an_observer_is_a_secret_of_the_run(installed: dict[str, ObserverPlugin]) -> None:
    run = Settings(db=Path("/s.db"), sources=(source(fake_key="hidden", fake_kind="b"),))
    assert run.secrets() == ("hidden",)


@pytest.mark.parametrize(
    ("suggested", "given", "expected"),
    [
        ({}, {}, (500, 2000, 3000)),
        ({"threshold_ms": "50"}, {}, (50, 200, 3000)),
        ({"threshold_ms": "50", "stall_ms": "1000", "quiet_ms": "100"}, {}, (50, 1000, 100)),
        ({"stall_ms": "900"}, {"threshold_ms": "100"}, (100, 900, 3000)),
        ({"stall_ms": "900"}, {"threshold_ms": "900"}, (900, 3600, 3000)),
        ({"stall_ms": "900"}, {"threshold_ms": "5000"}, (5000, 20_000, 3000)),
        ({"threshold_ms": "50", "stall_ms": "900"}, {"stall_ms": "60", "quiet_ms": "70"}, (50, 60, 70)),
    ],
)
def test_suggestions_apply_where_the_user_gave_none(
    suggested: dict[str, str],
    given: dict[str, str],
    expected: tuple[int, int, int],
    installed: dict[str, ObserverPlugin],
) -> None:
    installed["fake"] = fake(**suggested)
    made = source(**given)
    assert (made.threshold_ns, made.stall_ns, made.quiet_ns) == tuple(ms * MS for ms in expected)


def test_a_stall_threshold_below_a_suggested_threshold_is_refused(installed: dict[str, ObserverPlugin]) -> None:
    installed["fake"] = fake(threshold_ms="1000")
    with pytest.raises(UsageError, match="invalid --stall_ms '900': not above the threshold of 1000 ms"):
        source(stall_ms="900")


def test_a_suggestion_that_is_not_valid_names_the_observer(installed: dict[str, ObserverPlugin]) -> None:
    installed["fake"] = fake(threshold_ms="half a second")
    with pytest.raises(UsageError, match="invalid threshold_ms of the observer 'fake' 'half a second': expected a"):
        source()
    assert source(threshold_ms="100").threshold_ns == 100 * MS


def test_an_option_with_a_key_of_every_source_is_refused(installed: dict[str, ObserverPlugin], tmp_path: Path) -> None:
    clash = Option("fake_paths", Integer(1, 2), "Number of paths.", default="1")
    installed["fake"] = ObserverPlugin(summary="Fake.", make=FakeObserver, options=(clash,))
    file = tmp_path / "x.toml"
    file.write_text("[source.a]\nobserver = 'fake'\npaths = ['x.log']\n")
    with pytest.raises(UsageError) as problem:
        read_config(file, {}, "")
    assert str(problem.value) == f"{file}:3: source.a.paths is also a key of the observer 'fake'"
    assert problem.value.hint == "ask its author to rename it"


def test_an_option_for_a_file_to_write_is_refused() -> None:
    writes = Option("fake_file", File(), "A file.")
    plugin = ObserverPlugin(summary="Fake.", make=FakeObserver, options=(writes,))
    wrong = "its option 'fake_file' is a file to write, and an observer writes none"
    assert plugins._wrong(plugins.OBSERVERS, "fake", plugin) == wrong


@pytest.mark.parametrize("name", plugins.names(plugins.OBSERVERS))
def test_the_suggestions_and_keys_of_installed_observers_are_sound(name: str) -> None:
    plugin = plugins.find_observer(name)
    made = read_source(Options({}, {"observer": name}, {}))
    assert 0 < made.threshold_ns < made.stall_ns
    if plugin.stall_ms:
        assert made.stall_ns == options.STALL_MS.parse(plugin.stall_ms)
    of_a_source = {option.key_of("") for option in options.OF_A_SOURCE}
    assert not of_a_source & {option.key_of(name) for option in plugin.options}
    assert plugins.make_observer(name, ObserverContext()).name == name
