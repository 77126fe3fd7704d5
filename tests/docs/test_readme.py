"""README's commands work as printed."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.waiting import bound_s, wait_until

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


def test_the_commands_over_an_existing_log_all_answer(environ: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "captures", tmp_path / "tests" / "captures")
    outputs = {}
    for command in commands("once"):
        done = subprocess.run(
            shlex.split(command),
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=bound_s(60),
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        outputs[command] = done.stdout
    answers = [text for command, text in outputs.items() if re.search(r" (query|status|report|doctor)\b", command)]
    assert len(answers) == len(outputs) - 1
    assert all(text.strip() for text in answers)


def test_the_installation_works_as_printed(environ: dict[str, str], tmp_path: Path) -> None:
    """In a shell and an environment that the commands create; installed packages are not requested from an index."""
    checkout, tools = tmp_path / "checkout", tmp_path / "bin"
    ignored = shutil.ignore_patterns(".*", "*.so", "build", "*.egg-info", "__pycache__", "tests", "docs", "benchmarks")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    (tools / "otel-logtail").unlink()
    for name, script in {
        "python3": f'exec "{sys.executable}" "$@" --without-pip',  # pip is that of this interpreter
        "pip": f'exec "{sys.executable}" -m pip --python "$VIRTUAL_ENV/bin/python" "$@"',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    packages = os.pathsep.join(path for path in sys.path if path.endswith("-packages"))
    offline = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PYTHONPATH": packages}
    script = "\n".join(["set -e", *commands("install"), "which otel-logtail", "otel-logtail --version"])
    done = subprocess.run(
        ["sh", "-c", script], env={**environ, **offline}, cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *_, where, version = done.stdout.splitlines()
    assert where == str(checkout / ".venv" / "bin" / "otel-logtail")
    assert version.startswith("otel-logtail 0")


def test_the_daemon_starts_and_stops_as_printed(environ: dict[str, str], tmp_path: Path) -> None:
    """No collector is there: data is buffered."""
    (command,) = commands("follow")
    log = tmp_path / "daemon.log"
    with log.open("w") as stderr:
        daemon = subprocess.Popen(shlex.split(command), env=environ, cwd=tmp_path, stderr=stderr)
    try:
        wait_until(lambda: "waiting for one" in log.read_text())
        daemon.terminate()
        assert daemon.wait(timeout=bound_s(60)) == 0
    finally:
        daemon.kill()
        daemon.wait()


def test_each_command_runs_here_or_needs_another_program() -> None:
    shown = re.findall(r"^\$ (.*)$", README, re.MULTILINE)
    run = [command for block in ("install", "once", "follow", "service") for command in commands(block)]
    assert [command for command in shown if command not in run] == [
        "docker compose -f collector-config/compose.yaml up -d"  # needs Docker; test_docker checks the file
    ]


def test_it_fits_a_reader() -> None:
    assert len(README.splitlines()) <= 120


def test_service_units_are_printed_for_the_given_user(environ: dict[str, str], tmp_path: Path) -> None:
    printed = [
        subprocess.run(
            ["sh", "-c", command], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        for command in commands("service")
    ]
    me = pwd.getpwuid(os.getuid())
    assert f"User={me.pw_name}\n" in printed[0]
    assert f"{me.pw_dir}/.headroom/logs" in printed[0]
    assert "<plist" in printed[1]


def test_nothing_is_promised_from_an_index_that_does_not_have_it() -> None:
    """otel-logtail is not on PyPI: every command that installs it names a checkout."""
    texts = [
        ROOT / "README.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("otel_logtail/**/*.py"),
        *ROOT.glob("examples/**/*.md"),
    ]
    promise = re.compile(r"(?:pip|pipx|uv tool) install (?:--?[a-z-]+ )*['\"]?otel-logtail\b(?!/)")
    assert {path.name: promise.findall(path.read_text()) for path in texts if promise.search(path.read_text())} == {}


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
