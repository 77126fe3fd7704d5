"""Builds of the package: without a compiler, and with a description for an index of packages."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.places import ROOT


def test_without_a_compiler_the_build_continues(tmp_path: Path) -> None:
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(
        ROOT / "otel_logtail", tmp_path / "otel_logtail", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "out", "--build-temp", "temp"],
        cwd=tmp_path,
        env={**os.environ, "CC": "false"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    assert "_hot" in built.stderr
    assert not list((tmp_path).rglob("*.so"))


def test_links_of_the_description_lead_to_files_of_this_version(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, str] = {}
    monkeypatch.setattr("setuptools.setup", lambda **keywords: given.update(keywords))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    links = re.findall(r"""(?:\]\(|(?:src|srcset|href)=")([^)"\s]+)""", given["long_description"])
    assert [link for link in links if not link.startswith(("https://", "http://localhost"))] == []
    ours = [re.fullmatch(r"(https://.*)/(?:blob|raw)/v([^/]+)/([^#]+)(?:#.*)?", link) for link in links]
    found = [match for match in ours if match]
    assert len(found) > 20
    assert {match[2] for match in found} == {version("otel-logtail")}
    assert [match[3] for match in found if not (ROOT / match[3]).exists()] == []
