"""The Dockerfile: its steps replayed (tests/support/image.py), and what they make run as it is meant to be."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # comes with kubernetes-validate

from otel_logtail.server import Server
from tests.support.image import Image, built, context, steps
from tests.support.places import RELEASED, ROOT
from tests.support.ports import free_port
from tests.support.waiting import bound_s

DOCKERFILE = (ROOT / "Dockerfile").read_text()
CAPTURES = ROOT / "tests" / "captures"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with built(ROOT, tmp_path_factory.mktemp("image")) as made:
        made.read_only(logs=CAPTURES)
        made.run(*made.entrypoint, "--observer", "headroom", "--path", "/logs/0.42.0-stall.log", "--once")
        yield made


def test_it_is_sent_what_the_wheel_is_made_of_and_nothing_else(tmp_path: Path) -> None:
    sent = {path.name for path in context(ROOT, tmp_path).iterdir()}
    assert sent == {
        "pyproject.toml",
        "setup.py",
        "MANIFEST.in",
        "constraints.txt",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "otel_logtail",
    }
    assert not [*tmp_path.rglob("__pycache__"), *tmp_path.rglob("*.so")]


def test_its_bases_are_pinned_to_a_version_and_the_last_is_slim() -> None:
    bases = [step.rest.partition(" ")[0] for step in steps(DOCKERFILE) if step.name == "FROM"]
    assert all(re.fullmatch(r"python:3\.\d+\.\d+(-slim)?-\w+", base) for base in bases), bases
    assert "-slim-" in bases[-1]
    assert len({base.replace("-slim", "") for base in bases}) == 1, "the venv's Python must be the same in both"


def test_the_image_reads_a_log_read_only_as_an_unknown_user_without_a_home(image: Image) -> None:
    assert image.entrypoint == ["otel-logtail"]
    assert image.user == "10001:0"
    summary = json.loads(image.run(*image.entrypoint, "query", "summary", "--format", "json").stdout)
    assert (summary["count"], summary["degraded"] + summary["stall"]) == (111, 10)
    assert image.run("sh", "-c", "id -u; id -g").stdout.split() == ["10001", "0"]
    assert image.run("touch", "/opt/otel-logtail/x", check=False).returncode != 0
    assert "Read-only file system" in image.run("touch", "/tmp/x", check=False).stderr


def test_without_a_home_what_would_lie_there_has_to_be_named(image: Image) -> None:
    log = ["--path", "/logs/0.42.0-stall.log"]
    for options, hint in (([], "hint: name the log with --path"), (log, "hint: pass the store with --db")):
        clean = ["env", "-u", "OTEL_LOGTAIL_DB"] if options else ["env"]
        done = image.run(*clean, *image.entrypoint, "--observer", "headroom", *options, check=False)
        assert (done.returncode, done.stderr.splitlines()[1:3]) == (2, ["", hint]), done.stderr


def test_its_health_is_asked_of_the_daemon_and_without_another_python(image: Image) -> None:
    assert image.health[0] == "bash"
    port = f"OTEL_LOGTAIL_HEALTH_PORT={free_port()}"
    follow = [*image.entrypoint, "--observer", "headroom", "--path", "/logs/0.42.0-stall.log"]
    both = f"{shlex.join(follow)} & until {shlex.join(image.health)}; do sleep 0.1; done; kill $!; wait $!"
    image.run("env", port, "bash", "-c", both)
    gone = image.run("env", port, *image.health, check=False)
    assert gone.returncode != 0, "a check that can't fail shows nothing"


def test_no_collector_beside_it_has_its_health_port() -> None:
    (environ,) = [step.rest for step in steps(DOCKERFILE) if step.name == "ENV" and "HEALTH_PORT" in step.rest]
    ours = re.findall(r"OTEL_LOGTAIL_HEALTH_PORT=(\d+)", environ)
    assert len(ours) == 1
    for file in (ROOT / "collector-config").glob("*.yaml"):
        ports = set(re.findall(r"(?<!\d)\d{4,5}(?!\d)", file.read_text()))
        assert not ports & {*ours}, f"with --network host both listen on the same addresses: {file.name}"


def checked_health(port: int, **environ: str) -> int:
    """Return the exit code of the check."""
    (check,) = [step.rest for step in steps(DOCKERFILE) if step.name == "HEALTHCHECK"]
    environ |= {"PATH": os.environ["PATH"], "OTEL_LOGTAIL_HEALTH_PORT": str(port)}
    command = json.loads(check.partition("CMD ")[2])
    return subprocess.run(command, env=environ, check=False, timeout=bound_s(60)).returncode


@pytest.mark.parametrize("host", ["", "127.0.0.2", "0.0.0.0"])  # noqa: S104
def test_its_health_is_asked_at_the_address_that_the_daemon_listens_on(host: str) -> None:
    def app(_environ: dict[str, object], start: Callable[..., object]) -> list[bytes]:
        start("200 OK", [])
        return [b"ok\n"]

    server = Server("health", host or "127.0.0.1", 0, app)
    server.start()
    try:
        assert checked_health(server.port, OTEL_LOGTAIL_HEALTH_HOST=host) == 0
    finally:
        server.close()


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("503 Service Unavailable", 1)])
def test_its_health_is_the_status_of_the_answer(status: str, code: int) -> None:
    def app(environ: dict[str, object], start: Callable[..., object]) -> list[bytes]:
        start(status if environ["PATH_INFO"] == "/livez" else "404 Not Found", [])
        return [b"hung: 200\n"]

    server = Server("health", "127.0.0.1", 0, app)
    server.start()
    try:
        assert checked_health(server.port) == code
    finally:
        server.close()


def test_its_labels_are_those_of_the_package(image: Image) -> None:
    """The image is built without git, so its version is that of the changelog."""
    assert image.run(*image.entrypoint, "--version").stdout == f"otel-logtail {RELEASED}\n"
    about = metadata("otel-logtail")
    source = dict(url.split(", ") for url in about.get_all("Project-URL") or [])["Source"]
    expected = {
        "title": about["Name"],
        "description": about["Summary"],
        "version": RELEASED,
        "licenses": about["License-Expression"],
        "source": source,
    }
    assert image.labels == {f"org.opencontainers.image.{name}": value for name, value in expected.items()}


def test_it_lists_its_packages(image: Image) -> None:
    listed = json.loads(image.run("cat", "/opt/otel-logtail/sbom.cdx.json").stdout)
    names = {component["name"] for component in listed["components"]}
    assert listed["bomFormat"] == "CycloneDX"
    assert {"otel-logtail", "opentelemetry-sdk", "websockets", "prometheus_client"} <= names
    assert "cyclonedx-bom" not in names


def test_all_its_destinations_are_there(image: Image) -> None:
    listed = image.run(*image.entrypoint, "exporters", "--format", "json")
    assert "can't be loaded" not in listed.stdout
    modules = "import websockets, prometheus_client, otel_logtail; print(otel_logtail.__file__)"
    assert image.run("/opt/otel-logtail/bin/python", "-c", modules).stdout.startswith("/opt/otel-logtail/")


def test_the_helpers_in_c_are_there(image: Image) -> None:
    compiled = "from otel_logtail import native; assert native.module('engine._hot')"
    assert image.run("/opt/otel-logtail/bin/python", "-c", compiled).returncode == 0


def test_without_arguments_it_prints_the_help(image: Image) -> None:
    assert "--observer" in image.run(*image.entrypoint, *image.command).stdout


def test_compose_runs_it_as_it_is_meant_to_be_run() -> None:
    compose = yaml.safe_load((ROOT / "collector-config" / "compose.yaml").read_text())
    service = compose["services"]["otel-logtail"]
    assert service["profiles"] == ["follow"], "docker compose up alone starts what looks at the data"
    assert (ROOT / "collector-config" / service["build"] / "Dockerfile").exists()
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["user"] == "${LOG_UID:-10001}:0", "the group to which the store's folder belongs"
    (volume,) = [step.rest for step in steps(DOCKERFILE) if step.name == "VOLUME"]
    mounts = [mount.rsplit(":", 1)[0] if mount.endswith(":ro") else mount for mount in service["volumes"]]
    assert f"store:{volume}" in mounts
    assert "store" in compose["volumes"]
    done = subprocess.run(
        [sys.executable, "-m", "otel_logtail", "service", "hex", *service["command"]], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_owner_of_the_log_can_be_the_user(image: Image) -> None:
    """``--user 1000:0``: another user than the image's, in the group 0; with a store of its own."""
    image.user = "1000:0"
    try:
        db = "/var/lib/otel-logtail/other.db"
        image.run(*image.entrypoint, "--observer", "headroom", "--path", "/logs/0.42.0-stall.log", "--once", "--db", db)
    finally:
        image.user = "10001:0"
