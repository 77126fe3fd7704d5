"""A real Prometheus for tests: started with this project's own configuration, asked over its HTTP API.

``find_prometheus()`` gives the binary, or skips the test with a word on how to get one (``REQUIRE_PROMETHEUS=1`` makes
that a failure, so that a build machine can't skip by accident).
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.collector import CONFIGS
from tests.support.places import ROOT
from tests.support.ports import free_ports
from tests.support.waiting import CALM_S, bound_s, wait_until

FINDER = ROOT / "scripts" / "prometheus"
Labels = frozenset[tuple[str, str]]


def find_prometheus() -> Path:
    """Prometheus's binary; skips the test (or fails it, with REQUIRE_PROMETHEUS=1) if there is none."""
    # a build, where there is Go and no Prometheus yet, takes minutes, and is kept for the next time
    found = subprocess.run([sys.executable, str(FINDER)], capture_output=True, text=True, check=False, timeout=1200)
    if found.returncode == 0:
        return Path(found.stdout.strip())
    message = found.stderr.strip() or f"{FINDER} ended with {found.returncode}"
    if os.environ.get("REQUIRE_PROMETHEUS") == "1":
        pytest.fail(message)
    pytest.skip(message)


class QueryFailed(Exception):
    """Prometheus would not answer."""


class Prometheus:
    """One Prometheus on a port of its own, with its data in ``folder``; a context manager. It can be started again.

    ``config`` is the text of another configuration than this project's: empty for the defaults of Prometheus.
    """

    def __init__(self, binary: Path, folder: Path, *flags: str, config: str | None = None) -> None:
        self._binary = binary
        self._folder = folder
        self._flags = flags
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self.log = folder / "prometheus.log"

    def __enter__(self) -> Prometheus:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, timeout: float = CALM_S) -> None:
        """Start it, on the same port and data as before, and wait until it is ready."""
        if self._process is not None:
            raise RuntimeError("it is running")
        for name in ("prometheus.yml", "prometheus-rules.yml"):
            shutil.copy(CONFIGS / name, self._folder / name)
        if self._config is not None:
            (self._folder / "prometheus.yml").write_text(self._config)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._binary),
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                    "--web.enable-remote-write-receiver",
                    "--enable-feature=exemplar-storage",
                    *self._flags,
                ],
                cwd=self._folder,
                env={**os.environ, "GOGC": "800"},  # short runs: memory for processor time
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.wait_until(self._ready, timeout)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float = CALM_S) -> None:
        """End it in order (SIGTERM)."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(bound_s(timeout))
            self._process = None

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wait_until(self, predicate: Callable[[], object], timeout: float = CALM_S) -> None:
        """Wait until ``predicate()`` is true; fail if the process ends instead."""

        def holds_while_running() -> object:
            ended = None if self._process is None else self._process.poll()
            holds = predicate()
            if not holds and ended is not None:
                pytest.fail(f"Prometheus ended with {ended}:\n{self._log_tail()}")
            return holds

        wait_until(holds_while_running, timeout, told=self._log_tail, every_s=0.05)

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
        """Return a query's answer at one time, by labels, without values that are not numbers."""
        data = self.get("query", query=query, time=at_s)
        if data["resultType"] == "scalar":
            return {frozenset(): float(data["result"][1])}
        found = {_labels(entry["metric"]): float(entry["value"][1]) for entry in data["result"]}
        return {labels: value for labels, value in found.items() if not math.isnan(value)}

    def over(self, query: str, start_s: float, end_s: float, step_s: float) -> dict[Labels, dict[float, float]]:
        """Return a query's answers in a range, by labels and time, without values that are not numbers."""
        data = self.get("query_range", query=query, start=start_s, end=end_s, step=step_s)
        series = {
            _labels(entry["metric"]): {
                float(at): float(value) for at, value in entry["values"] if not math.isnan(float(value))
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

    def _ready(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=bound_s(5))
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def _labels(metric: Mapping[str, str]) -> Labels:
    return frozenset(metric.items())
