"""README's commands do what it says, run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def commands(block: str) -> list[str]:
    """The lines behind ``$`` of the console block that is marked ``<!-- run: NAME -->``."""
    match = re.search(rf"<!-- run: {block} -->\n```console\n(.*?)```", README, re.DOTALL)
    assert match, f"README has no block {block}"
    found = [line.removeprefix("$ ") for line in match[1].splitlines() if line.startswith("$ ")]
    assert found
    return found


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A new user's: an empty home, and otel-logtail on the path."""
    home, tools = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    tools.mkdir()
    script = tools / "otel-logtail"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m otel_logtail "$@"\n')
    script.chmod(0o755)
    return {"HOME": str(home), "PATH": f"{tools}:{os.environ['PATH']}", "TZ": "UTC"}


def test_the_commands_over_a_log_that_lies_there_all_answer(environ: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "captures", tmp_path / "tests" / "captures")
    outputs = {}
    for command in commands("once"):
        done = subprocess.run(
            shlex.split(command), env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        outputs[command] = done.stdout
    answers = [text for command, text in outputs.items() if re.search(r" (query|status|report|doctor)\b", command)]
    assert len(answers) == len(outputs) - 1
    assert all(text.strip() for text in answers)


def test_the_make_targets_that_it_names_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:\$ |`)make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_links_that_stay_in_the_project_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_it_names_every_option_and_command_as_the_program_does(environ: dict[str, str]) -> None:
    text = "".join(
        subprocess.run(
            ["otel-logtail", *command, "--help"],
            env={**environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command in ([], ["query", "samples"], ["report"], ["doctor"], ["service", "systemd"])
    )
    used = set(re.findall(r"(--[a-z][a-z-]+)", README))
    assert used
    for flag in used:
        assert flag in text, flag
