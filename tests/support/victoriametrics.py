"""A real VictoriaMetrics for tests: started without a configuration, read back with every sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.ports import free_port
from tests.support.real_programs import RealProgram, find_program
from tests.support.waiting import bound_s

Series = tuple[str, frozenset[tuple[str, str]]]
"""The name of a metric, and its labels."""


class VictoriaMetrics(RealProgram):
    """One VictoriaMetrics on a port of its own, with its data in ``folder``."""

    name = "VictoriaMetrics"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._binary = find_program("victoriametrics", build=False)
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}/opentelemetry"

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        command = [
            str(self._binary),
            f"-storageDataPath={self._folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{self._port}",
            "-retentionPeriod=1y",
            "-opentelemetry.usePrometheusNaming",
        ]
        return command, {}

    def is_ready(self) -> bool:
        try:
            return self._get("/health") == b"OK"
        except OSError:
            return False

    def samples(self, service: str) -> dict[Series, dict[int, float]]:
        """Return all samples of a service by series and time in milliseconds, without the labels of its resource."""
        self._get("/internal/force_flush")  # otherwise new samples are visible after some seconds
        query = urlencode({"match[]": f'{{service_name="{service}"}}'})
        found: dict[Series, dict[int, float]] = {}
        for line in self._get(f"/api/v1/export?{query}").splitlines():
            one = json.loads(line)
            labels = {name: value for name, value in one["metric"].items() if name not in _RESOURCE}
            series = labels.pop("__name__"), frozenset(labels.items())
            found[series] = dict(zip(one["timestamps"], one["values"], strict=True))
        return found

    def ask(self, query: str, at_ms: int) -> float:
        """Return the value of a query with a single result."""
        answer: Any = json.loads(self._get(f"/api/v1/query?{urlencode({'query': query, 'time': at_ms / 1000})}"))
        (one,) = answer["data"]["result"]
        return float(one["value"][1])

    def _get(self, path: str) -> bytes:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=bound_s(30))
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


_RESOURCE = frozenset(
    ("service_name", "service_instance_id", "service_version", "host_name", "scope_name", "scope_version")
)
