"""Only GitHub runs these files: these tests hold them to the project as far as that is possible without GitHub."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # comes with kubernetes-validate

from tests.support.places import RELEASED, ROOT
from tests.support.real_programs import find_program

WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="zizmor requires Python 3.11")
def test_a_checker_of_workflows_finds_nothing() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "zizmor", "--offline", "--no-progress", ".github"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_another_checker_finds_no_wrong_key_expression_or_input() -> None:
    checker = find_program("actionlint")
    done = subprocess.run([checker, *WORKFLOWS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_workflows_use_targets_and_scripts_that_exist() -> None:
    text = "\n".join(path.read_text() for path in WORKFLOWS)
    targets = set(re.findall(r"\bmake ([a-z]+)", text))
    assert targets
    assert targets <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for script in re.findall(r"(?<![\w/.])(?:scripts|\.ci)/\w+", text):
        assert (ROOT / script).exists(), script


def test_the_core_runs_on_each_python_that_the_package_names() -> None:
    named = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    core = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["core"]
    assert set(named) <= set(core["strategy"]["matrix"]["python"])


def release_step(job: str, part: str) -> str:
    """The line that contains a part of a text, of the steps of a job of the release."""
    steps = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"][job]["steps"]
    (found,) = [line for step in steps for line in step.get("run", "").splitlines() if part in line]
    return str(found)


@pytest.mark.parametrize(("tag", "passes"), [(f"v{RELEASED}", True), (f"v{RELEASED}0", False), (RELEASED, False)])
def test_a_release_needs_the_tag_that_the_changelog_names(tag: str, passes: bool) -> None:
    done = subprocess.run(
        ["sh", "-c", release_step("source", "CHANGELOG.md")], cwd=ROOT, env={**os.environ, "GITHUB_REF_NAME": tag}
    )
    assert (done.returncode == 0) == passes


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("otel_logtail-4.5.6.tar.gz", True),
        ("otel_logtail-4.5.6-cp311-abi3-manylinux_2_17_x86_64.whl", True),
        ("otel_logtail-4.5.60.tar.gz", False),
        ("otel_logtail-4.5.5+g1a2b3c4d-cp310-cp310-macosx_11_0_arm64.whl", False),
    ],
)
def test_a_release_needs_files_with_the_version_of_the_tag(name: str, passes: bool, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / name).touch()
    line = release_step("check", "find dist")
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env={**os.environ, "GITHUB_REF_NAME": "v4.5.6"})
    assert (done.returncode == 0) == passes
