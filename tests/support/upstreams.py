"""The two neighbors of a real proxy: a stub upstream with known delays, and a client that measures each request.

The proxy itself is a :class:`ListeningProgram`, and :class:`Follower` is the daemon that reads the proxy's log::

    with StubUpstream() as stub, ListeningProgram(folder, "nginx", command, [port]), Follower(folder, …) as daemon:
        took = measure(port, "/slow/300")
        (sample,) = daemon.wait_for_samples(1)

A delay is a property of the request here. Waits for a condition are in tests/support/waiting.py.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import pytest

from tests.support.daemon import Program
from tests.support.real_programs import RealProgram
from tests.support.waiting import CALM_S, bound_s

BUSY_NS = 200 * 10**6
"""How long a busy machine may stop a proxy between its last byte to the client and the time that it writes."""

SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin")))
"""Folders of programs that are not on the PATH of every user."""


def find_installed(name: str) -> Path:
    """Return a program that is installed on this machine; skip the test without it.

    ``REQUIRE_<NAME>=1`` makes that a failure, so that a build machine can't skip by accident.
    """
    folders = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS))
    found = shutil.which(name, path=folders)
    if found is not None:
        return Path(found)
    message = f"no {name} here"
    if os.environ.get(f"REQUIRE_{name.upper()}") == "1":
        pytest.fail(message)
    pytest.skip(message)


def find_packaged(package: str, name: str) -> Path:
    """Return a program that a wheel brings (``tests/upstreams.txt``); skip the test without it.

    ``REQUIRE_<NAME>=1`` makes that a failure, so that a build machine can't skip by accident.
    """
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        found = Path(os.path.abspath(str(file.locate())))
        if file.name == name and os.access(found, os.X_OK):
            return found
    message = f"needs {name}: pip install {package}"
    if os.environ.get(f"REQUIRE_{name.upper()}") == "1":
        pytest.fail(message)
    pytest.skip(message)


class StubUpstream:
    """An HTTP/1.1 server on a free port, which answers as the path requests; a context manager.

    ========================  =====================================================================
    ``/ok``                   200 at once, with three bytes
    ``/slow/MS``              the header after MS milliseconds
    ``/drip/MS``              the header at once, the end of the body after MS milliseconds
    ``/status/CODE``          this status at once; ``/status/CODE/MS`` after MS milliseconds
    ``/big/BYTES``            so many bytes at once
    ``/hang``                 no answer until the server ends
    ========================  =====================================================================

    A request's body is read to its end first. Parts of the path before these words are skipped, so a proxy may
    pass a prefix on.
    """

    def __init__(self) -> None:
        self._over = threading.Event()
        self._server = _Server(self._over)
        self.port = int(self._server.server_address[1])

    @property
    def received(self) -> int:
        """Return how many requests have arrived, answered or not."""
        return self._server.received

    def __enter__(self) -> StubUpstream:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join(bound_s())
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, over: threading.Event) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.over = over
        self.received = 0
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: a client that gives up is part of the tests."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.received += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        words = self.path.partition("?")[0].split("/")
        for at, word in enumerate(words):
            answer = getattr(self, f"_{word}", None) if word in _WORDS else None
            if answer is not None:
                answer(*map(int, words[at + 1 :]))
                return
        self._status(404)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def _wait(self, ms: int) -> None:
        self.server.over.wait(ms / 1000)  # the delay that the test requests

    def _head(self, code: int, length: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _ok(self) -> None:
        self._status(200)

    def _slow(self, ms: int) -> None:
        self._status(200, ms)

    def _drip(self, ms: int) -> None:
        self._head(200, 3)
        self.wfile.write(b"o")
        self._wait(ms)
        self.wfile.write(b"k\n")

    def _status(self, code: int, ms: int = 0) -> None:
        self._wait(ms)
        body = b"" if code < 200 or code in (204, 304) else b"ok\n"
        self._head(code, len(body))
        self.wfile.write(body)

    def _big(self, length: int) -> None:
        self._head(200, length)
        self.wfile.write(bytes(length))

    def _hang(self) -> None:
        self.server.over.wait()
        self.close_connection = True


for _name in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
    setattr(_Answer, f"do_{_name}", _Answer.do_GET)
_WORDS = ("ok", "slow", "drip", "status", "big", "hang")


class Measured(NamedTuple):
    """One request, as its client saw it; ``status`` is 0 if the client gave up. ``end_ns`` is the time of the clock."""

    status: int
    duration_ns: int
    end_ns: int


def measure(
    port: int,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    upload_s: float = 0.0,
    patience_s: float = CALM_S,
) -> Measured:
    """Send one request on a connection of its own, read the answer to its end, and measure all of it.

    The time starts before the connection does, so it is never shorter than what the server can measure.

    The second half of ``body`` is sent ``upload_s`` after the first one. The client gives up when no byte comes for
    ``patience_s``.
    """
    lines = [f"{method} {path} HTTP/1.1", "Host: example.test", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    half = len(body) // 2
    start_ns = time.monotonic_ns()
    with socket.create_connection(("127.0.0.1", port), timeout=bound_s()) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(head + body[:half])
        if half:
            time.sleep(upload_s)  # the slow upload that the test requests
        client.sendall(body[half:])
        answer = _read(client, patience_s)
        return Measured(_status_of(answer), time.monotonic_ns() - start_ns, time.time_ns())


def _read(client: socket.socket, patience_s: float) -> bytes:
    """Return the whole answer; nothing if the client gave up."""
    client.settimeout(patience_s)
    answer = bytearray()
    try:
        while piece := client.recv(1 << 16):
            answer += piece
    except TimeoutError:
        return b""
    return bytes(answer)


def _status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


_ORDERLY_S = 10.0


class ListeningProgram(RealProgram):
    """A real program that is ready as soon as all of its ports take connections."""

    def __init__(
        self, folder: Path, name: str, command: Sequence[object], ports: Sequence[int], **environ: str
    ) -> None:
        super().__init__(folder)
        self.name = name
        self.log = folder / f"{name}.out"
        self._command = [str(word) for word in command]
        self._ports = tuple(ports)
        self._environ = environ

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Return the command line, and further variables."""
        return self._command, self._environ

    def is_ready(self) -> bool:
        """Return whether something listens on each port."""
        return all(map(_listens, self._ports))

    def kill(self) -> None:
        """End it in order if it can, since its workers may outlive a killed master."""
        try:
            self.stop(_ORDERLY_S)
        except subprocess.TimeoutExpired:
            super().kill()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None, "it is not running"
        self._process.send_signal(number)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Follower(Program):
    """The daemon that follows logs of a real program, from their start."""

    def __init__(self, folder: Path, observer: str, *paths: Path, more: Sequence[object] = (), **environ: str) -> None:
        named = [word for path in paths for word in ("--path", path)]
        super().__init__(folder, "--observer", observer, *named, "--from-start", *more, environ=environ)

    def command(self, *more: object) -> list[str]:
        """Return the command line, with the store."""
        return [*super().command(*more), "--db", str(self.db)]

    def samples(self) -> list[dict[str, Any]]:
        """Return all samples in the store, in the order of their ends, as ``query samples`` prints them."""
        found: list[dict[str, Any]] = self.ask("query", "samples")
        return sorted(found, key=lambda sample: (sample["time_unix_nano"], sample["id"]))

    def line_of(self, sample: dict[str, Any]) -> bytes:
        """Return the line of a sample in its file."""
        with Path(sample["file"]).open("rb") as log:
            log.seek(sample["offset"])
            return log.readline()

    def wait_for_samples(self, number: int) -> list[dict[str, Any]]:
        """Wait until the store holds so many samples, and return them."""
        self.wait_until(lambda: self.rows("SELECT ifnull(sum(count), 0) FROM block") == [(number,)])
        return self.samples()
