"""A real Jaeger for tests: it keeps spans in memory, and returns them over its HTTP API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.support.ports import free_ports
from tests.support.real_programs import RealProgram, find_program
from tests.support.waiting import bound_s


class Jaeger(RealProgram):
    """One Jaeger on ports of its own; a stop deletes its data."""

    name = "Jaeger"
    every_s = 0.05

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._binary = find_program("jaeger", build=False)  # a build takes longer than a test may
        self._query, query_grpc, otlp_http, otlp_grpc = free_ports(4)
        self.endpoints = {"http": f"http://127.0.0.1:{otlp_http}", "grpc": f"http://127.0.0.1:{otlp_grpc}"}
        self._config = {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query"],
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
                "telemetry": {"metrics": {"level": "none"}},  # otherwise it listens on port 8888
            },
            "extensions": {
                "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 10_000}}}},
                "jaeger_query": {
                    "storage": {"traces": "memory"},
                    "http": {"endpoint": f"127.0.0.1:{self._query}"},
                    "grpc": {"endpoint": f"127.0.0.1:{query_grpc}"},
                },
            },
            "receivers": {
                "otlp": {
                    "protocols": {
                        "http": {"endpoint": f"127.0.0.1:{otlp_http}"},
                        "grpc": {"endpoint": f"127.0.0.1:{otlp_grpc}"},
                    }
                }
            },
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
        }

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        config = self._folder / "jaeger.yaml"
        config.write_text(json.dumps(self._config))
        return [str(self._binary), f"--config={config}"], {}

    def is_ready(self) -> bool:
        try:
            return self._get("/api/services")[0] == 200
        except OSError:
            return False

    def trace(self, trace_id: str) -> list[Any]:
        """Return the spans of a trace; none if there is no such trace."""
        status, text = self._get(f"/api/traces/{trace_id}")
        if status == 404:
            return []
        (trace,) = json.loads(text)["data"]
        return list(trace["spans"])

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self._query, timeout=bound_s(30))
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def values(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return tags of a span or fields of a log by name."""
    return {pair["key"]: pair["value"] for pair in pairs}
