"""Only GitHub runs these files: these tests hold them to the project as far as that is possible without GitHub."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # comes with kubernetes-validate

from tests.support.real_programs import find_program

ROOT = Path(__file__).parents[2]
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


def test_the_release_checks_the_version_of_its_tag() -> None:
    (command,) = re.findall(r"test \"v\$\((sed .*)\)\" =", (ROOT / ".github/workflows/release.yml").read_text())
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == version("otel-logtail")
