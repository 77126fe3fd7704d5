from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.collector import FINDER
from tests.support.places import ROOT
from tests.support.waiting import bound_s


def find(tmp_path: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run the script in an environment with nothing in it but an empty home and PATH."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    environ = {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "bin"), **environ}
    command = [sys.executable, str(FINDER), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=bound_s(30))
    return done.returncode, done.stdout, done.stderr


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def cached(cache: Path) -> Path:
    digest = hashlib.sha256((ROOT / "collector-config" / "builder.yaml").read_bytes()).hexdigest()
    return cache / "otel-logtail" / f"collector-{digest[:16]}" / "otelcol"


@pytest.mark.parametrize("arguments", [(), ("--no-build",)])
def test_without_a_collector_and_without_go_it_prints_how_to_get_one(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    code, out, err = find(tmp_path, *arguments)
    assert (code, out) == (3, "")
    assert "How to get a collector" in err
    assert not (tmp_path / "home").exists()


def test_the_variable_wins_over_the_path_and_the_path_over_the_cache(tmp_path: Path) -> None:
    in_cache = program(cached(tmp_path / "home" / ".cache"))
    assert find(tmp_path) == (0, f"{in_cache}\n", "")
    contrib = program(tmp_path / "bin" / "otelcol-contrib")
    assert find(tmp_path) == (0, f"{contrib}\n", "")
    core = program(tmp_path / "bin" / "otelcol")
    assert find(tmp_path) == (0, f"{core}\n", "")
    named = program(tmp_path / "mine")
    assert find(tmp_path, OTELCOL=str(named)) == (0, f"{named}\n", "")


def test_the_cache_may_be_elsewhere(tmp_path: Path) -> None:
    in_cache = program(cached(tmp_path / "cache"))
    assert find(tmp_path, "--no-build", XDG_CACHE_HOME=str(tmp_path / "cache")) == (0, f"{in_cache}\n", "")


def test_a_variable_that_names_no_program_is_not_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "otelcol")
    code, out, err = find(tmp_path, OTELCOL=str(tmp_path / "absent"))
    assert (code, out) == (3, "")
    assert f"OTELCOL is set to {tmp_path / 'absent'}" in err
