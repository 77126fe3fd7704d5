"""A real Prometheus for tests: started with this project's own configuration, asked over its HTTP API.

``find_prometheus()`` gives the binary, or skips the test with a word on how to get one (``REQUIRE_PROMETHEUS=1`` makes
that a failure, so that a build machine can't skip by accident).
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.collector import CONFIGS
from tests.support.ports import free_ports
from tests.support.real_programs import RealProgram, find_program
from tests.support.waiting import bound_s

Labels = frozenset[tuple[str, str]]


def find_prometheus() -> Path:
    """Prometheus's binary; skips or fails the test if there is none."""
    return find_program("prometheus")


class QueryFailed(Exception):
    """Prometheus would not answer."""


class Prometheus(RealProgram):
    """One Prometheus on a port of its own, with its data in ``folder``.

    ``config`` is the text of another configuration than this project's: empty for the defaults of Prometheus.
    """

    name = "Prometheus"
    every_s = 0.05

    def __init__(self, binary: Path, folder: Path, *flags: str, config: str | None = None) -> None:
        super().__init__(folder)
        self._binary = binary
        self._flags = flags
        self._config = config
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        for name in ("prometheus.yml", "prometheus-rules.yml"):
            shutil.copy(CONFIGS / name, self._folder / name)
        if self._config is not None:
            (self._folder / "prometheus.yml").write_text(self._config)
        command = [
            str(self._binary),
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--web.enable-remote-write-receiver",
            "--enable-feature=exemplar-storage",
            *self._flags,
        ]
        return command, {}

    def get(self, path: str, **parameters: object) -> Any:
        """The data of an answer of its API; raises QueryFailed."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=bound_s(60))
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            method, where, body = "GET", f"/api/v1/{path}", None
            if path.startswith("query"):
                method, body = "POST", urlencode(parameters)
            elif parameters:
                where += "?" + urlencode(parameters)
            connection.request(method, where, body, headers)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if answer["status"] != "success":
            raise QueryFailed(f"{answer.get('error')}: {parameters}")
        return answer["data"]

    def instant(self, query: str, at_s: float) -> dict[Labels, float]:
        """Return a query's answer at one time, by labels, without values that are not numbers.

        The value of a native histogram is its count.
        """
        data = self.get("query", query=query, time=at_s)
        if data["resultType"] == "scalar":
            return {frozenset(): float(data["result"][1])}
        found = {
            _labels(entry["metric"]): _number(entry.get("value") or entry["histogram"]) for entry in data["result"]
        }
        return {labels: value for labels, value in found.items() if not math.isnan(value)}

    def over(self, query: str, start_s: float, end_s: float, step_s: float) -> dict[Labels, dict[float, float]]:
        """Return a query's answers in a range, by labels and time, without values that are not numbers.

        The value of a native histogram is its count.
        """
        data = self.get("query_range", query=query, start=start_s, end=end_s, step=step_s)
        series = {
            _labels(entry["metric"]): {
                float(point[0]): _number(point)
                for point in (*entry.get("values", ()), *entry.get("histograms", ()))
                if not math.isnan(_number(point))
            }
            for entry in data["result"]
        }
        return {labels: values for labels, values in series.items() if values}

    def own(self, metric: str) -> float:
        """The sum of one of its own metrics over all its labels."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=bound_s(60))
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        finally:
            connection.close()
        return sum(float(line.split()[-1]) for line in lines if re.match(rf"{metric}[{{ ]", line))

    def is_ready(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=bound_s(5))
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def _number(point: Sequence[Any]) -> float:
    return float(point[1]["count"] if isinstance(point[1], dict) else point[1])


def _labels(metric: Mapping[str, str]) -> Labels:
    return frozenset(metric.items())
