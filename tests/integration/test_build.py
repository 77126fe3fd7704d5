"""Builds of the package: without a compiler, with a description for an index of packages, and with a version."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from tests.support.places import RELEASED, ROOT


def test_without_a_compiler_the_build_continues(tmp_path: Path) -> None:
    for name in ("setup.py", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
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


def setup_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the arguments that setup.py passes in a folder."""
    given: dict[str, str] = {}
    monkeypatch.setattr("setuptools.setup", lambda **keywords: given.update(keywords))
    monkeypatch.chdir(folder)
    runpy.run_path("setup.py")
    return given


@pytest.mark.parametrize("tag", ["", f"v{RELEASED}"])
def test_links_of_the_description_lead_to_files_of_this_version(
    tag: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tag:
        git(checkout, "tag", tag)
    description = setup_of(checkout, monkeypatch)["long_description"]
    links = re.findall(r"""(?:\]\(|(?:src|srcset|href)=")([^)"\s]+)""", description)
    assert [link for link in links if not link.startswith(("https://", "http://localhost"))] == []
    ours = [re.fullmatch(r"(https://.*)/(?:blob|raw)/([^/]+)/([^#]+)(?:#.*)?", link) for link in links]
    found = [match for match in ours if match]
    assert len(found) > 20
    assert {match[2] for match in found} == {tag or "main"}
    assert [match[3] for match in found if not (ROOT / match[3]).exists()] == []


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the files that the version needs, one commit and no tag."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    (folder / "otel_logtail").mkdir()
    (folder / "otel_logtail" / "__init__.py").touch()
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    return folder


def commit_of(folder: Path) -> str:
    return git(folder, "rev-parse", "--short=8", "HEAD")


def test_a_tagged_commit_has_the_version_of_its_tag(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(checkout, "tag", "v4.5.6")
    assert setup_of(checkout, monkeypatch)["version"] == "4.5.6"


def test_a_commit_behind_a_tag_has_its_distance_and_its_hash(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(checkout, "tag", "--annotate", "--message=a release", "v4.5.6")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=second")
    git(checkout, "tag", "another")
    version = setup_of(checkout, monkeypatch)["version"]
    assert version == f"4.5.6.post1+g{commit_of(checkout)}"
    assert Version("4.5.6") < Version(version) < Version("4.5.7.dev0")


def test_a_clone_without_tags_has_the_newest_release_and_its_hash(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(checkout, "tag", "v4.5.6")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=second")
    git(tmp_path, "clone", "--quiet", "--depth=1", "--no-tags", checkout.as_uri(), "shallow")
    version = setup_of(tmp_path / "shallow", monkeypatch)["version"]
    assert version == f"{RELEASED}+g{commit_of(checkout)}"
    assert str(Version(version)) == version


def test_an_archive_inside_of_another_repository_has_the_newest_release(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(checkout / ".git")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=of a packager")
    git(tmp_path, "tag", "v9.9.9")
    assert setup_of(checkout, monkeypatch)["version"] == RELEASED


@pytest.mark.parametrize("why", ["git is not installed", "git refuses", "no commit"])
def test_a_checkout_that_git_does_not_describe_has_the_newest_release(
    why: str, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "no commit":
        shutil.rmtree(checkout / ".git")
        git(checkout, "init", "--quiet")
    else:
        (tmp_path / "bin").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if why == "git refuses":
        (tmp_path / "bin" / "git").write_text("#!/bin/sh\necho 'fatal: detected dubious ownership' >&2; exit 128\n")
        (tmp_path / "bin" / "git").chmod(0o755)
    assert setup_of(checkout, monkeypatch)["version"] == RELEASED


def test_a_source_distribution_keeps_its_version(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=second")
    subprocess.run([sys.executable, "setup.py", "-q", "sdist"], cwd=checkout, capture_output=True, check=True)
    (archive,) = (checkout / "dist").glob("*.tar.gz")
    version = f"{RELEASED}+g{commit_of(checkout)}"
    assert archive.name == f"otel_logtail-{version}.tar.gz"
    shutil.unpack_archive(archive, tmp_path, filter="data")
    assert setup_of(tmp_path / f"otel_logtail-{version}", monkeypatch)["version"] == version
