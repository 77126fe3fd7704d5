"""The Kubernetes manifests: by Kubernetes' own schema, confined, and with a command line that the program takes."""

from __future__ import annotations

import os
import re
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]  # comes with kubernetes-validate

from tests.support import forked
from tests.support.places import RELEASED, ROOT

FOLDER = ROOT / "examples" / "kubernetes"
MANIFESTS = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
STORE = "/var/lib/otel-logtail"


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = MANIFESTS[name]["spec"]["template"]["spec"]
    return spec


def containers(name: str) -> list[dict[str, Any]]:
    return [*pod(name).get("initContainers", []), *pod(name)["containers"]]


def ours(name: str) -> dict[str, Any]:
    (found,) = [one for one in containers(name) if one["name"] == "otel-logtail"]
    return found


def test_both_kinds_are_there() -> None:
    assert {name: manifest["kind"] for name, manifest in MANIFESTS.items()} == {
        "daemonset.yaml": "DaemonSet",
        "sidecar.yaml": "StatefulSet",
    }


def test_the_image_has_the_version_of_the_newest_release() -> None:
    guide = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    texts = [guide, *(path.read_text() for path in FOLDER.glob("*.yaml"))]
    tags = [re.findall(r"registry\.example\.com/otel-logtail:(\S+)", text) for text in texts]
    assert all(tags)
    assert {tag for found in tags for tag in found} == {RELEASED}


@pytest.mark.parametrize("name", MANIFESTS)
@pytest.mark.parametrize("version", ["1.29", "1.31", "1.33", kubernetes_validate.latest_version()])
def test_kubernetes_own_schema_takes_it(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


def test_the_schema_finds_a_typo() -> None:
    wrong = yaml.safe_load((FOLDER / "daemonset.yaml").read_text().replace("readOnlyRootFilesystem", "readOnlyRoot"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_it_runs_unprivileged_and_writes_only_its_store(name: str) -> None:
    whole, mine = pod(name)["securityContext"], ours(name)["securityContext"]
    assert whole["runAsNonRoot"] is True and whole["runAsUser"] != 0
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert mine == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [mount["mountPath"] for mount in ours(name)["volumeMounts"] if not mount.get("readOnly")]
    assert writable == [STORE]
    for container in containers(name):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_its_log_and_its_store_lie_where_volumes_are_mounted(name: str) -> None:
    mounts = {mount["mountPath"]: mount for mount in ours(name)["volumeMounts"]}
    (path,) = [word.removeprefix("--path=") for word in ours(name)["args"] if word.startswith("--path=")]
    assert any(path.startswith(f"{place}/") and mount.get("readOnly") for place, mount in mounts.items())
    environ = {one["name"]: one.get("value") for one in ours(name)["env"]}
    assert environ["OTEL_LOGTAIL_DB"] == f"{STORE}/otel-logtail.db"
    volumes = {one["name"] for one in pod(name)["volumes"]}
    claims = {one["metadata"]["name"] for one in MANIFESTS[name]["spec"].get("volumeClaimTemplates", [])}
    assert {mount["name"] for mount in mounts.values()} <= volumes | claims
    kept = mounts[STORE]["name"]
    assert kept in claims or "hostPath" in next(one for one in pod(name)["volumes"] if one["name"] == kept)


@pytest.mark.parametrize("name", MANIFESTS)
def test_no_service_of_the_name_space_sets_its_variables(name: str) -> None:
    assert pod(name)["enableServiceLinks"] is False


@pytest.mark.parametrize("name", MANIFESTS)
def test_its_probes_ask_the_port_on_which_it_answers(name: str) -> None:
    container = ours(name)
    options = dict(word.removeprefix("--").split("=", 1) for word in container["args"] if "=" in word)
    (port,) = container["ports"]
    assert (port["name"], str(port["containerPort"])) == ("health", options["health-port"])
    assert options["health-host"] == "$(POD_IP)", "the kubelet asks the pod's address"
    probes = {kind: container[kind]["httpGet"] for kind in container if kind.endswith("Probe")}
    expected = {"livenessProbe": {"path": "/livez", "port": "health"}}
    if name == "daemonset.yaml":  # a sidecar that is not ready takes the program beside it out of its Service
        expected["readinessProbe"] = {"path": "/readyz", "port": "health"}
    assert probes == expected


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_program_takes_its_command_line(name: str) -> None:
    done = forked.completed(("service", "hex", *ours(name)["args"]), os.environ)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", MANIFESTS)
def test_what_kubernetes_fills_in_is_defined_before_it_is_used(name: str) -> None:
    known: set[str] = set()
    for one in ours(name)["env"]:
        used = {part.partition(")")[0] for part in one.get("value", "").split("$(")[1:]}
        assert used <= known, f"{one['name']} uses {used - known}"
        known.add(one["name"])
    for word in ours(name)["args"]:
        assert {part.partition(")")[0] for part in word.split("$(")[1:]} <= known
