"""The entry points of our groups, compared with those that ``importlib.metadata`` finds."""

from __future__ import annotations

import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from otel_logtail import installed
from otel_logtail.plugins import EXPORTERS, OBSERVERS

POINTS = """
# a comment
[console_scripts]
acme = acme:main

[otel_logtail.observers]
# another
acme = acme.observer:ACME
spaced=acme:Spaced.ACME [extra]

[otel_logtail.exporters]
acme-csv = acme:CSV
"""
ABOUT = "Metadata-Version: 2.1\nName: {}\nVersion: {}\nSummary: a text\n with: a second line\n\nVersion: in the text\n"


def package(place: Path, folder: str, *, name: str = "Acme.Log", version: str = "1.2", points: str = POINTS) -> None:
    about = place / folder
    about.mkdir(parents=True)
    (about / ("METADATA" if folder.endswith(".dist-info") else "PKG-INFO")).write_text(ABOUT.format(name, version))
    (about / "entry_points.txt").write_text(points)


def zipped(place: Path, folder: str) -> None:
    package(place.parent / "unzipped", folder)
    with zipfile.ZipFile(place, "w") as made:
        for path in (place.parent / "unzipped").rglob("*"):
            made.write(path, path.relative_to(place.parent / "unzipped"))


def theirs(group: str) -> list[tuple[str, str, str]]:
    found = []
    for point in metadata.entry_points(group=group):
        assert point.dist is not None
        found.append((point.name, point.value, f"{point.dist.name} {point.dist.version}"))
    return sorted(found)


def ours(group: str) -> list[tuple[str, str, str]]:
    return [(point.name, point.value, point.package) for point in installed.entry_points(group)]


@pytest.mark.parametrize("kind", ["dist-info", "egg-info", "an egg", "zip", "twice", "newer first", "none"])
def test_the_same_plug_ins_are_found(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    if kind in ("dist-info", "twice"):
        package(first, "Acme.Log-1.2.dist-info")
    if kind == "egg-info":
        package(first, "acme_log.egg-info")
    if kind == "twice":
        package(second, "acme_log-1.3.dist-info", version="1.3")
    if kind == "newer first":
        package(first, "acme_log-1.3.dist-info", version="1.3", points="[otel_logtail.observers]\nnew = acme:NEW\n")
        package(second, "acme_log-1.2.dist-info")
    if kind == "an egg":
        first = tmp_path / "acme_log-1.2.egg"
        package(first, "EGG-INFO")
    if kind == "zip":
        first = tmp_path / "first.zip"
        zipped(first, "acme_log-1.2.dist-info")
    monkeypatch.setattr(sys, "path", [str(first), str(second), str(tmp_path / "nowhere"), *sys.path])
    for group in (OBSERVERS, EXPORTERS):
        assert ours(group) == theirs(group)
    assert ("acme-csv" in {name for name, _, _ in ours(EXPORTERS)}) == (kind not in ("newer first", "none"))


def test_an_entry_point_is_loaded_as_importlib_loads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up.py").write_text("class Spaced:\n    ACME = 'found'\nACME = 'beside'\n")
    monkeypatch.syspath_prepend(tmp_path)
    for value in ("made_up:ACME", "made_up:Spaced.ACME", "made_up : Spaced.ACME [extra]", "made_up"):
        expected = metadata.EntryPoint("acme", value, OBSERVERS).load()
        assert installed.EntryPoint("acme", value, OBSERVERS).load() is expected


def test_the_version_is_that_of_the_installed_package() -> None:
    assert installed.version() == metadata.version("otel-logtail")


def test_a_checkout_that_is_not_installed_has_the_version_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert installed.version() == "0"
