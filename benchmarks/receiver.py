"""A receiver of OTLP over HTTP that accepts everything and keeps nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.forks import Fork


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read the request and accept it."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def receiver() -> Iterator[int]:
    """Run one in a process of its own; yields its port."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        fork = Fork(server.serve_forever, stops=True)
        try:
            yield server.server_address[1]
        finally:
            fork.stop()
            fork.cpu_s()
