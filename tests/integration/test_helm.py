"""The Helm chart: rendered by Helm, valid for Kubernetes, with a configuration that the program takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]  # comes with kubernetes-validate

from otel_logtail.daemon.config import read_config
from tests.support.forked import run
from tests.support.helm import CHART, Helm
from tests.support.places import RELEASED
from tests.support.real_programs import find_program

STORE = "/var/lib/otel-logtail"
KINDS: dict[str, dict[str, str]] = {
    "DaemonSet": {},
    "StatefulSet": {"kind": "StatefulSet", "logs__claim": "logs", "store__storageClassName": "fast"},
}
PARENT = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: program}
spec:
  serviceName: program
  selector: {matchLabels: {app: program}}
  template:
    metadata: {labels: {app: program}}
    spec:
      initContainers:
        {{- include "otel-logtail.container" (index .Subcharts "otel-logtail") | nindent 8 }}
      containers:
        - {name: program, image: program}
      volumes:
        {{- include "otel-logtail.configVolume" (index .Subcharts "otel-logtail") | nindent 8 }}
        - {name: workspace, emptyDir: {}}
        - {name: otel-logtail, emptyDir: {}}
"""


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(find_program("helm", build=False), tmp_path_factory.mktemp("helm"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (CHART / "README.md").read_text(), re.DOTALL)


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return spec


def check(manifests: dict[str, Any]) -> None:
    for manifest in manifests.values():
        for one in ("1.29", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(manifest, one, strict=True)


def check_configured(config_map: dict[str, Any], folder: Path) -> None:
    (text,) = config_map["data"].values()
    (folder / "c.toml").write_text(text)
    read_config(folder / "c.toml", {}, str(folder))


def check_container(spec: dict[str, Any], container: dict[str, Any]) -> None:
    """It is confined, writes only its store, and its mounts are volumes of its pod."""
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")] == [STORE]
    assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]
    defined: set[str] = set()
    for one in container["env"]:
        used = {part.partition(")")[0] for part in one.get("value", "").split("$(")[1:]}
        assert used <= defined, f"{one['name']} uses {used - defined}"
        defined.add(one["name"])
    (port,) = container["ports"]
    options = dict(word.removeprefix("--").split("=", 1) for word in container["args"])
    assert (options["health-port"], options["health-host"]) == (str(port["containerPort"]), "$(POD_IP)")
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": port["name"]}


def test_it_is_linted_and_has_the_version_of_the_newest_release(helm: Helm) -> None:
    helm.run("lint", "--strict", CHART)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == RELEASED


@pytest.mark.parametrize("kind", KINDS)
def test_a_pod_of_its_own(helm: Helm, kind: str, tmp_path: Path) -> None:
    manifests = helm.render(CHART, **KINDS[kind])
    assert set(manifests) == {"ConfigMap", kind}
    check(manifests)
    check_configured(manifests["ConfigMap"], tmp_path)
    spec = pod(manifests[kind])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    (container,) = spec["containers"]
    check_container(spec, container)
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    claims = manifests[kind]["spec"].get("volumeClaimTemplates", [])
    volumes = {one["name"] for one in spec["volumes"]} | {one["metadata"]["name"] for one in claims}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def host_paths(spec: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["hostPath"]["path"] for one in spec["volumes"] if "hostPath" in one}


@pytest.mark.parametrize(
    ("ids", "owner"),
    [
        ("{runAsUser: 1000700000, runAsGroup: 1000700001}", "1000700000:1000700001"),
        ("{runAsUser: 1000700000, runAsGroup: null}", "1000700000"),
        ("{runAsUser: null, runAsGroup: 1000700001}", ":1000700001"),
        ("{runAsUser: 0, runAsGroup: 0}", "0:0"),
    ],
    ids=["both", "user", "group", "root"],
)
def test_the_pods_user_owns_the_store(helm: Helm, tmp_path: Path, ids: str, owner: str) -> None:
    (tmp_path / "values.yaml").write_text(f"podSecurityContext: {ids}")
    manifests = helm.render_file(tmp_path / "values.yaml")
    check(manifests)
    (container,) = pod(manifests["DaemonSet"])["initContainers"]
    assert container["command"] == ["chown", owner, STORE]


def test_without_ids_the_store_keeps_its_owner(helm: Helm, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("podSecurityContext: {runAsUser: null, runAsGroup: null}")
    manifests = helm.render_file(tmp_path / "values.yaml")
    check(manifests)
    assert "initContainers" not in pod(manifests["DaemonSet"])


def test_each_release_on_a_node_has_a_store(helm: Helm) -> None:
    def store(release: str, *values: str) -> str:
        (found,) = [
            one
            for one in yaml.safe_load_all(helm.run("template", release, CHART, *values).stdout)
            if one["kind"] == "DaemonSet"
        ]
        return host_paths(pod(found))["store"]

    assert store("otel-logtail") == STORE
    assert store("web") == "/var/lib/web-otel-logtail"
    assert store("web", "--set=store.hostPath=/data/web") == "/data/web"


def test_the_program_takes_its_command_line(helm: Helm, tmp_path: Path) -> None:
    manifests = helm.render()
    (container,) = pod(manifests["DaemonSet"])["containers"]
    (tmp_path / "otel-logtail.toml").write_text(manifests["ConfigMap"]["data"]["otel-logtail.toml"])
    command = [word.replace("/etc/otel-logtail", str(tmp_path)) for word in container["args"]]
    run("service", "hex", *command, home=tmp_path)


def test_a_sidecar_of_another_chart(helm: Helm, tmp_path: Path) -> None:
    parent = tmp_path / "program"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts" / "otel-logtail").symlink_to(CHART)
    (parent / "templates").mkdir()
    (parent / "templates" / "program.yaml").write_text(PARENT)
    (parent / "Chart.yaml").write_text("{apiVersion: v2, name: program, version: 1.0.0}")
    (values,) = [block for block in blocks("yaml") if "kind: Sidecar" in block]
    (parent / "values.yaml").write_text(values)
    manifests = helm.render(parent)
    assert set(manifests) == {"ConfigMap", "StatefulSet"}
    check(manifests)
    check_configured(manifests["ConfigMap"], tmp_path)
    spec = pod(manifests["StatefulSet"])
    (container,) = spec["initContainers"]
    check_container(spec, container)
    assert container["restartPolicy"] == "Always"
    assert "readinessProbe" not in container, "it would take the program beside it out of its Service"
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert (mounts["/workspace"], mounts[STORE]) == ("workspace", "otel-logtail")
    assert set(mounts.values()) == {one["name"] for one in spec["volumes"]}


def test_the_readme_includes_the_sidecar_as_this_test_does() -> None:
    (block,) = [block for block in blocks("yaml") if "include" in block]
    lines = {re.sub(r" \| nindent \d+", "", line).strip() for line in block.splitlines() if "include" in line}
    assert lines == {re.sub(r" \| nindent \d+", "", line).strip() for line in PARENT.splitlines() if "include" in line}


def test_a_configuration_of_ones_own(helm: Helm, tmp_path: Path) -> None:
    (block,) = [block for block in blocks("yaml") if block.startswith("config:")]
    (tmp_path / "values.yaml").write_text(block)
    manifests = helm.render_file(tmp_path / "values.yaml")
    check(manifests)
    check_configured(manifests["ConfigMap"], tmp_path)
    (text,) = manifests["ConfigMap"]["data"].values()
    assert text.strip() == yaml.safe_load(block)["config"].strip()
    changed = pod(manifests["DaemonSet"])["volumes"]
    assert {"path": "/var/log/nginx", "type": "DirectoryOrCreate"} in [one.get("hostPath") for one in changed]


def test_headers_come_from_a_secret(helm: Helm) -> None:
    manifests = helm.render(otlp__headersSecret__name="otlp")
    check(manifests)
    (container,) = pod(manifests["DaemonSet"])["containers"]
    environ = {one["name"]: one for one in container["env"]}
    expected = {"secretKeyRef": {"name": "otlp", "key": "headers"}}
    assert environ["OTEL_EXPORTER_OTLP_HEADERS"]["valueFrom"] == expected
    assert environ["OTEL_EXPORTER_OTLP_ENDPOINT"]["value"] == "http://$(NODE_IP):4318"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("kind=Deployment", "kind"),
        ("paht=/x", "paht"),
        ("kind=StatefulSet", "logs.claim is required"),
        ("observer=", "observer or config is required"),
    ],
)
def test_a_wrong_value_is_an_error(helm: Helm, value: str, complaint: str) -> None:
    done = helm.run("template", "r", CHART, "--set", value, check=False)
    assert done.returncode == 1
    assert complaint in done.stderr
