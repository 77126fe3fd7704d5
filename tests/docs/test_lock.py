"""constraints.txt pins every package of a development installation, and the tests run with those versions."""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.places import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
EXTRAS = PROJECT["project"]["optional-dependencies"]
PYTHONS = ["3.10.13", "3.11.7", "3.12.1", "3.13.0"]
FOR_INSTALLATION = {"pip", "otel-logtail"}  # pip comes with Python, the project itself is in its own folder


def pins(python: str | None = None) -> dict[str, str]:
    """The pinned version of each package under one version of Python (by default the running one)."""
    given = {} if python is None else {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    found: dict[str, str] = {}
    for pin in map(Requirement, LINES):
        if pin.marker is None or pin.marker.evaluate(given):
            (one,) = pin.specifier
            assert one.operator == "==" and pin.name not in found, pin
            found[canonicalize_name(pin.name)] = one.version
    return found


def needs(requirements: list[str], python: str) -> list[Requirement]:
    environment = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    parsed = map(Requirement, requirements)
    return [one for one in parsed if one.marker is None or one.marker.evaluate(environment)]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("part", ["dependencies", "build-system", *EXTRAS])
def test_what_the_project_requires_is_pinned_within_its_range(python: str, part: str) -> None:
    named = {"dependencies": PROJECT["project"]["dependencies"], "build-system": PROJECT["build-system"]["requires"]}
    required = needs({**named, **EXTRAS}[part], python)
    pinned = pins(python)
    assert {one.name: pinned.get(canonicalize_name(one.name)) for one in required if not _holds(one, pinned)} == {}


def _holds(requirement: Requirement, pinned: dict[str, str]) -> bool:
    version = pinned.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def test_the_pythons_are_those_that_the_project_promises() -> None:
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert [python.rpartition(".")[0] for python in PYTHONS] == promised


def required_here() -> dict[str, Distribution]:
    """The installed packages that the project requires for development, however indirectly."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement("otel-logtail[dev]")]
    while waiting:
        requirement = waiting.pop()
        extras = ["", *requirement.extras]
        name = canonicalize_name(requirement.name)
        if name in found and extras == [""]:
            continue
        found[name] = distribution(name)
        for text in found[name].requires or []:
            child = Requirement(text)
            if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(child)
    return found


def test_each_package_that_is_required_here_has_its_pinned_version() -> None:
    pinned = pins()
    here = {name: found.version for name, found in required_here().items() if name not in FOR_INSTALLATION}
    assert len(here) > 40
    assert {name: (version, pinned.get(name)) for name, version in here.items() if pinned.get(name) != version} == {}


def test_no_pinned_package_comes_from_an_address() -> None:
    assert [
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if "://" in line or " @ " in line
    ] == []


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_each_installation_is_constrained(file: str) -> None:
    text = re.sub(r"\\\n\s*", " ", (ROOT / file).read_text())
    installs = [line for line in text.splitlines() if re.search(r"pip (--python \S+ +)?(install|wheel)", line)]
    loose = [line for line in installs if "constraints.txt" not in line and "CONSTRAINTS" not in line]
    assert installs
    assert "pip install" not in (ROOT / ".ci" / "run").read_text(), "it installs with make"
    assert [line for line in loose if not line.endswith(" uv")] == [], (
        "only the tool that writes the file is not pinned by it"
    )
