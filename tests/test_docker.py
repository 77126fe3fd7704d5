"""The Dockerfile: its steps replayed (tests/image.py), and what they make run as it is meant to be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image import Image, built, context, steps

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
CAPTURES = ROOT / "tests" / "captures"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with built(ROOT, tmp_path_factory.mktemp("image")) as made:
        made.read_only(logs=CAPTURES)
        yield made


def test_it_is_sent_what_the_wheel_is_made_of_and_nothing_else(tmp_path: Path) -> None:
    sent = {path.name for path in context(ROOT, tmp_path).iterdir()}
    assert sent == {"pyproject.toml", "README.md", "LICENSE", "otel_logtail"}
    assert not list(tmp_path.rglob("__pycache__"))


def test_its_bases_are_pinned_to_a_version_and_the_last_is_slim() -> None:
    bases = [step.rest.partition(" ")[0] for step in steps(DOCKERFILE) if step.name == "FROM"]
    assert all(re.fullmatch(r"python:3\.\d+\.\d+(-slim)?-\w+", base) for base in bases), bases
    assert "-slim-" in bases[-1]
    assert len({base.replace("-slim", "") for base in bases}) == 1, "the venv's Python must be the same in both"


def test_what_it_makes_reads_a_log_read_only_as_nobody_without_a_home(image: Image) -> None:
    assert image.entrypoint == ["otel-logtail"]
    assert image.user == "10001:0"
    options = ["--observer", "headroom", "--path", "/logs/0.42.0-stall.log", "--once"]
    done = image.run(*image.entrypoint, *options)
    assert "Traceback" not in done.stderr
    summary = json.loads(image.run(*image.entrypoint, "query", "summary", "--format", "json").stdout)
    assert (summary["count"], summary["degraded"] + summary["stall"]) == (111, 10)
    assert image.run("sh", "-c", "id -u; id -g").stdout.split() == ["10001", "0"]
    assert image.run("touch", "/opt/otel-logtail/x", check=False).returncode != 0
    assert "Read-only file system" in image.run("touch", "/tmp/x", check=False).stderr


def test_without_a_home_what_would_lie_there_has_to_be_named(image: Image) -> None:
    for options, hint in (
        (["--observer", "headroom"], "hint: name the log with --path"),
        (["--observer", "headroom", "--path", "/logs/0.42.0-stall.log", "--db", ""], "hint: name the store with --db"),
    ):
        clean = ["env", "-u", "OTEL_LOGTAIL_DB", *image.entrypoint] if "--db" in options else image.entrypoint
        done = image.run(*clean, *[word for word in options if word not in ("--db", "")], check=False)
        assert (done.returncode, done.stderr.splitlines()[1:]) == (2, [hint]), done.stderr


def test_its_health_is_asked_of_the_store(image: Image) -> None:
    assert image.run(*image.health).returncode == 0
    gone = image.run("env", "OTEL_LOGTAIL_DB=/var/lib/otel-logtail/none.db", *image.health, check=False)
    assert gone.returncode != 0, "a check that can't fail shows nothing"


def test_all_its_destinations_are_there(image: Image) -> None:
    listed = image.run(*image.entrypoint, "exporters", "--format", "json")
    assert "can't be loaded" not in listed.stdout
    modules = "import websockets, prometheus_client, otel_logtail; print(otel_logtail.__file__)"
    assert image.run("/opt/otel-logtail/bin/python", "-c", modules).stdout.startswith("/opt/otel-logtail/")


def test_without_arguments_it_says_what_there_is(image: Image) -> None:
    assert "--observer" in image.run(*image.entrypoint, *image.command).stdout
