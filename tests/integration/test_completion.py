"""Completion in the real shells: each one loads its script and completes words, names of the store included."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.store_builder import NOON, Written, make_file
from tests.support.waiting import bound_s

CASES = {
    "otel-logtail rep": "report",
    "otel-logtail query sl": "slowest",
    "otel-logtail report --comp": "--compare",
    "otel-logtail --observer head": "headroom",
    "otel-logtail observers show pos": "postgresql",
    "otel-logtail report --source fro": "frontend",
    "otel-logtail query samples --sort dur": "duration_ms",
}
"""A line that is typed, and the word that completes its last one."""

LOAD = 'eval "$(otel-logtail --show-completion)"'
SCRIPTS = {
    "bash": (
        LOAD,
        "COMP_WORDS=({line}); COMP_CWORD={last}; COMPREPLY=(); _otel_logtail_completion otel-logtail;"
        ' echo "${{COMPREPLY[@]}}"',
    ),
    "zsh": (
        'compdef() {}; _arguments() { print -r -- "$@" }; ' + LOAD,
        "words=({line}); CURRENT={count}; _otel_logtail_completion",
    ),
    "fish": ("otel-logtail --show-completion | source", "complete -C '{line}'"),
}
"""Commands that load the script, and that complete a line."""

SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name} here"))
    for name in SCRIPTS
]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A home directory of its own, and a store of two sources."""
    samples = [Written(NOON, 10**6, source=name) for name in ("frontend", "billing")]
    return {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OTEL_LOGTAIL_DB": str(make_file(tmp_path / "store.db", samples)),
    }


def output_of(shell: str, script: str, environ: dict[str, str]) -> str:
    command = [shell, *(["-f"] if shell == "zsh" else []), "-c", f"{script}\ntrue"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=bound_s(60), check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_words(shell: str, environ: dict[str, str]) -> None:
    load, complete = SCRIPTS[shell]
    lines = [
        complete.format(line=line, last=len(line.split()) - 1, count=len(line.split())) + "\necho NEXT"
        for line in CASES
    ]
    answers = output_of(shell, "\n".join([load, *lines]), environ).split("NEXT\n")
    for (line, expected), answer in zip(CASES.items(), answers, strict=False):
        assert expected in answer.replace('"', " ").replace("\\", "").split(), (line, answer)
    assert len(answers) == len(CASES) + 1


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_installed_for_the_current_shell(shell: str, environ: dict[str, str], tmp_path: Path) -> None:
    assert f"{shell} completion installed in" in output_of(shell, "otel-logtail --install-completion", environ)
    written = [path for path in tmp_path.rglob("*otel-logtail*") if path.is_file()]
    assert any(f"complete_{shell}" in path.read_text() for path in written)


def test_a_store_that_cannot_be_read_completes_nothing(environ: dict[str, str]) -> None:
    own = {
        **environ,
        "OTEL_LOGTAIL_DB": "/nowhere.db",
        "_OTEL_LOGTAIL_COMPLETE": "complete_bash",
        "COMP_WORDS": "otel-logtail report --source f",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(["otel-logtail"], env=own, capture_output=True, text=True, timeout=bound_s(60), check=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
