"""The modules that a command imports: a library that it does not need costs memory, and time at each start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.places import CAPTURES

NETWORK = {"opentelemetry", "google.protobuf", "requests", "urllib3", "grpc", "http.server", "ssl", "asyncio"}
UNUSED = {
    *NETWORK,
    *("watchdog", "prometheus_client", "websockets", "importlib.metadata", "email", "platformdirs", "tomllib"),
}
UNUSED_BY_A_RUN = {"rich", "typer", "hashlib", "gzip", "bz2", "lzma"}
PRINTS = "import sys; from otel_logtail.cli.main import _run; _run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
LOG = str(CAPTURES / "0.42.0-stall.log")


def imported(folder: Path, *words: str) -> set[str]:
    command = [sys.executable, "-c", PRINTS, *words, "--db", str(folder / "store.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


def test_a_run_without_an_exporter_and_a_question_import_no_network(tmp_path: Path) -> None:
    once = imported(tmp_path, "--once", "--observer", "headroom", "--path", LOG)
    assert "otel_logtail.daemon.loop" in once
    assert once & {*UNUSED, *UNUSED_BY_A_RUN} == set()
    question = imported(tmp_path, "query", "summary", "--format", "json")
    assert "otel_logtail.query.reader" in question
    assert question & {*UNUSED, "rich", "otel_logtail.daemon.loop", "otel_logtail.exporters.otlp"} == set()
