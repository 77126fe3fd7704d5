"""The Helm chart, rendered by a real Helm (``scripts/helm``)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # comes with kubernetes-validate

from tests.support.places import ROOT
from tests.support.waiting import bound_s

CHART = ROOT / "examples" / "helm" / "otel-logtail"


class Helm:
    """The program, with folders of its own."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._environ = {f"HELM_{kind}_HOME": str(folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}

    def run(self, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            [self._program, *map(str, arguments)],
            env={**os.environ, **self._environ},
            capture_output=True,
            text=True,
            timeout=bound_s(60),
            check=check,
        )

    def render(self, chart: Path = CHART, /, **values: str) -> dict[str, Any]:
        """Return the manifests by kind; dots of a value's name are written as two underscores."""
        chosen = [f"--set={name.replace('__', '.')}={value}" for name, value in values.items()]
        return self._manifests("template", "r", chart, *chosen)

    def render_file(self, values: Path) -> dict[str, Any]:
        """Return the manifests by kind, with the values of a file."""
        return self._manifests("template", "r", CHART, "--values", values)

    def _manifests(self, *arguments: object) -> dict[str, Any]:
        found = [one for one in yaml.safe_load_all(self.run(*arguments).stdout) if one]
        assert len({one["kind"] for one in found}) == len(found)
        return {one["kind"]: one for one in found}
