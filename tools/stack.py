"""Run a collector and a Prometheus on a growing log, without Docker, until Ctrl-C (``make stack``).

The log starts with a day of captures that ends now, and grows at the original speed. otel-logtail follows it and sends
to the collector, which writes to Prometheus. A page shows the dashboards of collector-config without Grafana; it names
the panels that it cannot show (traces, exemplars).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tools import dashboards, replay

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "collector-config"
PAGE = Path(__file__).with_name("viewer.html")
START_S = 30.0


class Failed(Exception):
    """A program did not start; the message is the reason."""


def find(what: str) -> Path:
    """Return the program that scripts/<what> finds or builds."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / what)], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"there is no {what}")
    return Path(done.stdout.strip())


def port(usual: int) -> int:
    """Return the usual port if it is free, otherwise another free one."""
    for number in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Failed("there is no free port")


def start(stack: ExitStack, name: str, command: Sequence[str], folder: Path, **environ: str) -> subprocess.Popen[bytes]:
    """Start a server that stops with the stack; its output goes to a file."""
    log = stack.enter_context((folder / f"{name}.log").open("wb"))
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    stack.callback(end, process)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process with SIGTERM, or with SIGKILL if it does not exit."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until_ready(process: subprocess.Popen[bytes], number: int, path: str, log: Path) -> None:
    """Wait until a server answers 200."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", number, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise Failed(f"it did not start: see {log}:\n{log.read_text(errors='replace')[-2000:]}")


class Viewer(BaseHTTPRequestHandler):
    """Serve the page and the dashboards that it draws."""

    def __init__(self, prometheus_url: str, *arguments: object) -> None:
        self._files = {
            "/": (PAGE.read_bytes(), "text/html"),
            "/dashboards.json": (
                json.dumps({"prometheus": prometheus_url, "dashboards": _dashboards()}).encode(),
                "application/json",
            ),
        }
        super().__init__(*arguments)  # type: ignore[arg-type]  # what the server gives

    def do_GET(self) -> None:
        """Answer with the page or the dashboards."""
        body, kind = self._files.get(self.path, (b"", ""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", f"{kind or 'text/plain'}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


def _dashboards() -> list[object]:
    return [json.loads(text) for _, text in dashboards.files()]


def grow(path: Path, stop: threading.Event) -> None:
    """Append captures from now on, each line when it is due."""
    with path.open("ab", buffering=0) as growing:
        for log in replay.day(int(time.time())):
            for due_s, line in replay.due(log):
                if stop.wait(max(0.0, due_s - time.time())):
                    return
                growing.write(line)


def _start_prometheus(stack: ExitStack, folder: Path) -> str:
    """Start Prometheus and return its address."""
    at = port(9090)
    for name in ("prometheus.yml", "prometheus-rules.yml"):
        shutil.copy(CONFIGS / name, folder)
    flags = ("--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage")
    command = [
        str(find("prometheus")),
        *("--config.file=prometheus.yml", "--storage.tsdb.path=data", *flags),
        f"--web.listen-address=127.0.0.1:{at}",
    ]
    process = start(stack, "prometheus", command, folder)
    until_ready(process, at, "/-/ready", folder / "prometheus.log")
    return f"http://127.0.0.1:{at}"


def _start_collector(stack: ExitStack, folder: Path, prometheus: str, **ports: str) -> None:
    health, scrape = port(13133), port(8889)
    configs = [f"--config={CONFIGS / name}" for name in ("collector.yaml", "to-prometheus.yaml")]
    environ: Mapping[str, str] = {
        **ports,
        "HEALTH_PORT": str(health),
        "PROMETHEUS_PORT": str(scrape),
        "OTLP_FILE": str(folder / "otel-logtail.jsonl"),
        "PROMETHEUS_URL": prometheus,
    }
    process = start(stack, "collector", [str(find("collector")), *configs], folder, **environ)
    until_ready(process, health, "/", folder / "collector.log")


def serve(folder: Path, say: Callable[[str], None], ended: threading.Event) -> None:
    """Start everything, print the addresses, and wait. Everything is stopped when this returns."""
    with ExitStack() as stack:
        http, grpc, viewer = map(port, (4318, 4317, 3000))
        url = _start_prometheus(stack, folder)
        _start_collector(stack, folder, url, OTLP_HTTP_PORT=str(http), OTLP_GRPC_PORT=str(grpc))
        log, db = folder / "proxy-8787.log", folder / "store.db"
        log.write_bytes(b"".join(replay.day(int(time.time()) - replay.DAY_S)))
        own = [sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(log), "--from-start"]
        to = ["--db", str(db), "--otlp-endpoint", f"http://127.0.0.1:{http}"]
        follower = start(stack, "otel-logtail", [*own, *to], folder, TZ="UTC")

        stop = threading.Event()
        writer = threading.Thread(target=grow, args=(log, stop), daemon=True)
        writer.start()
        stack.callback(writer.join, 5)
        stack.callback(stop.set)
        server = ThreadingHTTPServer(("127.0.0.1", viewer), partial(Viewer, url))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)

        say(
            f"dashboards  http://127.0.0.1:{viewer}\n"
            f"Prometheus  {url}\n"
            f"OTLP        http://127.0.0.1:{http} (http/protobuf), http://127.0.0.1:{grpc} (grpc)\n"
            f"the log     {log}\n"
            f"the store   {sys.executable} -m otel_logtail query summary --db {db}\n"
            f"messages    {folder}/*.log\n\n"
            "A day of captures is being sent (a minute or two); the log then grows live. Ctrl-C stops everything."
        )
        while not ended.wait(0.5):
            if follower.poll() is not None:
                raise Failed(f"otel-logtail exited: see {folder / 'otel-logtail.log'}")


def main() -> int:
    """Run until Ctrl-C or SIGTERM and return the exit code."""
    parser = argparse.ArgumentParser(description="Run a collector and a Prometheus on a growing log, until Ctrl-C.")
    parser.add_argument("--folder", type=Path, help="directory for all files; default: a new one, removed at the end")
    arguments = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="otel-logtail-stack-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        serve(folder.resolve(), lambda text: print(text, flush=True), ended)
    except Failed as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    if arguments.folder is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
