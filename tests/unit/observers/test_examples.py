"""Each supported program has an example, and its source is accepted with and without the optional keys."""

from __future__ import annotations

import re

import pytest

from otel_logtail.daemon.config import read_config
from otel_logtail.plugins import OBSERVERS, names
from tests.support.places import ROOT

EXAMPLES = ROOT / "examples"
PROGRAMS = sorted(set(names(OBSERVERS)) - {"headroom"})
OPTIONAL = re.compile(r"^# (?=\w+ = )", re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_source_of_an_example_is_accepted(program: str) -> None:
    (source,) = read_config(EXAMPLES / program / "otel-logtail.toml", {}, "/home/me").sources
    assert source.observer == program
    assert source.patterns
    assert (EXAMPLES / program / "README.md").is_file()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_optional_keys_of_an_example_are_accepted(program: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("example") / "otel-logtail.toml"
    file.write_text(OPTIONAL.sub("", (EXAMPLES / program / "otel-logtail.toml").read_text()))
    (source,) = read_config(file, {}, "/home/me").sources
    assert source.observer == program
