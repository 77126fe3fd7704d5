"""The real program beside a log and a receiver of ours, for tests that break one of them.

``Daemon`` runs ``python -m otel_logtail --observer headroom`` on a log that the test writes with ``line()``; each line
has a duration of its own, so each can be found again in the store and at the receiver. ``receiving()`` is an OTLP
receiver, over HTTP or gRPC, whose answers a test decides; ``Wire`` cuts connections to it in their midst.

Nothing sleeps but ``wait_until``, which looks again until a condition holds or its bound is over.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone, tzinfo
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage  # type: ignore[import-untyped]  # nor does protobuf
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # nor does googleapis-common-protos
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tests.support.certificates import Pair

MS = 10**6
T0 = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=1)
"""When the log begins: not long ago, so that nothing is too old to be kept."""
SLOW_MS = 600
PROTOBUF = "application/x-protobuf"


def wait_until(holds: Callable[[], object], within_s: float = 20.0, *, told: Callable[[], str] = str) -> None:
    """Look again until it holds; fails with what ``told`` says when the bound is over."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s\n{told()}")
        time.sleep(0.01)


# --- the log ----------------------------------------------------------------------------------------------------------


def line(
    number: int, *, ms: int = 20, at: datetime | None = None, zone: tzinfo = timezone.utc, more: str = ""
) -> bytes:
    """A line as headroom writes it, for a request that took ``ms`` and ``number`` microseconds and ended at ``at``.

    Without ``at`` lines are 10 ms apart. ``zone`` is that of headroom's machine; ``more`` goes into the payload.
    """
    at = at or T0 + number * timedelta(milliseconds=10)
    total_ms = ms + number / 1000
    began_s = int((at - timedelta(milliseconds=total_ms)).timestamp())
    request_id = f"hr_{began_s}_{number:06d}"
    local = at.astimezone(zone)
    stages = f'{{"pre_upstream_wait": {total_ms:.3f}, "read_request_json": null, "total_pre_upstream": {total_ms:.3f}}}'
    return (
        f"{local:%Y-%m-%d %H:%M:%S},{local.microsecond // 1000:03d} - headroom.proxy - INFO - [{request_id}]"
        ' STAGE_TIMINGS {"event": "stage_timings", "path": "anthropic_messages",'
        f' "request_id": "{request_id}", {more}"stages": {stages}}}\n'
    ).encode()


def lines(first: int, end: int, *, ms: int = 20) -> bytes:
    """The lines of these numbers."""
    return b"".join(line(number, ms=ms) for number in range(first, end))


def durations(first: int, end: int, *, ms: int = 20) -> Counter[int]:
    """What the store holds (ns) when it has read the lines of these numbers, each once."""
    return Counter(ms * MS + number * 1000 for number in range(first, end))


# --- the program ------------------------------------------------------------------------------------------------------


class Daemon:
    """The real command on one log, in a home of its own; ``with`` ends it however the test ends.

    A start goes on where the last one stopped; ``said`` is all that was ever said on standard error.
    """

    def __init__(self, folder: Path, *arguments: object, endpoint: str = "", **environ: str) -> None:
        self.folder = folder
        self.log = folder / "logs" / "proxy-8787.log"
        self.log.parent.mkdir(exist_ok=True)
        self.db = folder / "store.db"
        self._arguments = [*map(str, arguments), *(["--otlp-endpoint", endpoint] if endpoint else [])]
        self._environ = environ
        self._stderr = folder / "stderr.txt"
        self._stderr.touch()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if kind is None:
            self._check_words()

    def write(self, *data: bytes) -> None:
        """Append to the log, in one write for each piece."""
        with self.log.open("ab", buffering=0) as log:
            for piece in data:
                log.write(piece)

    def command(self, *more: object) -> list[str]:
        """The command line; ``--path`` is the log, unless it is among the arguments."""
        path = [] if "--path" in self._arguments else ["--path", str(self.log)]
        start = [sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--db", str(self.db)]
        return [*start, *path, *self._arguments, *map(str, more)]

    def environ(self) -> dict[str, str]:
        """The environment without what the machine says about telemetry; UTC unless the test says otherwise."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "HEADROOM"))}
        home = {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state"), "TZ": "UTC"}
        return {**own, **home, **self._environ}

    def start(self) -> None:
        """Start it, and wait until it follows: from then on it knows its signals."""
        said = len(self.said())
        self.launch()
        self.wait_until(lambda: ": observer headroom, store" in self.said()[said:])

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(self.command(), env=self.environ(), stderr=stderr, cwd=self.folder)

    def once(self, *, code: int = 0) -> str:
        """Run it with ``--once``; returns what it said."""
        command = self.command("--once")
        done = subprocess.run(command, env=self.environ(), capture_output=True, text=True, timeout=60, check=False)
        with self._stderr.open("a") as stderr:
            stderr.write(done.stderr)
        self._check_words()
        assert done.returncode == code, done.stderr
        return done.stderr

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._running().send_signal(number)

    def ends(self, within_s: float = 30.0) -> int:
        """Wait for its end; returns its exit code (negative: the signal that it died of)."""
        code = self._running().wait(within_s)
        self._process = None
        self._check_words()
        return code

    def exit_code(self) -> int | None:
        """What it has ended with, or None while it runs."""
        return self._running().poll()

    def stop(self) -> None:
        """End it in order."""
        self.signal(signal.SIGTERM)
        assert self.ends() == 0, self.said()

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)
        assert self.ends() == -signal.SIGKILL

    def wait_until(self, holds: Callable[[], object], within_s: float = 20.0) -> None:
        """Wait for something that it does; fails if it ends instead."""

        def holds_while_running() -> object:
            found = holds()
            if not found and (code := self._running().poll()) is not None:
                pytest.fail(f"it ended with {code}\n{self.said()}")
            return found

        wait_until(holds_while_running, within_s, told=self.said)

    def wait_for(self, expected: Counter[int]) -> None:
        """Wait until the store holds so many samples, and see that they are these."""
        self.wait_until(lambda: self.rows("SELECT ifnull(sum(count), 0) FROM block") == [(expected.total(),)])
        assert self.samples() == expected

    def wait_for_more_than(self, number: int) -> None:
        """Wait until the store holds more samples than this."""
        self.wait_until(lambda: self.samples().total() > number)

    def said(self) -> str:
        """All that it has said."""
        return self._stderr.read_text(errors="replace")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the store answers; nothing while there is none."""
        try:
            with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=10)) as connection:
                return connection.execute(sql).fetchall()
        except sqlite3.OperationalError as problem:
            if "no such table" in str(problem) or "unable to open" in str(problem):
                return []
            raise

    def samples(self) -> Counter[int]:
        """How often each duration (ns) is in the store."""
        return Counter(
            row[0]
            for row in self.rows("SELECT json_extract(s.value, '$[2]') FROM block, json_each(block.samples) AS s")
        )

    def rejected(self) -> dict[str, int]:
        """How many lines were rejected, by reason."""
        return dict(self.rows("SELECT reason, count FROM rejected"))

    def counter(self, name: str) -> int:
        """One of the source's counters: drift, oversized, ignored, bytes, samples."""
        ((value,),) = self.rows(f"SELECT {name} FROM source")
        return int(value)

    def peak_mib(self) -> float:
        """The most memory that it has had so far."""
        status = Path(f"/proc/{self._running().pid}/status").read_text()
        (kib,) = [row.split()[1] for row in status.splitlines() if row.startswith("VmHWM:")]
        return int(kib) / 1024

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it is not running"
        return self._process

    def _check_words(self) -> None:
        said = self.said()
        assert "Traceback" not in said, said
        assert "internal error" not in said, said


# --- the receiver -----------------------------------------------------------------------------------------------------


class Take(NamedTuple):
    """It has them all."""


class Partly(NamedTuple):
    """It took the request, and threw away some of what is in it."""

    rejected: int
    why: str = "too strange"


class Fail(NamedTuple):
    """An error, in the words of both protocols; ``after_s`` is the delay that it asks for."""

    status: int
    code: str
    after_s: int | None = None
    location: str = ""


class Hang(NamedTuple):
    """No answer, until the receiver is closed."""


Answer = Take | Partly | Fail | Hang
BAD_DATA = Fail(400, "INVALID_ARGUMENT")
UNAVAILABLE = Fail(503, "UNAVAILABLE")


class Request(NamedTuple):
    """One export as it arrived; ``at_s`` is monotonic."""

    signal: str
    message: Any
    at_s: float

    @property
    def is_health(self) -> bool:
        """Whether it only tells of the daemon itself."""
        if self.signal != "metrics":
            return False
        scopes = [scope for resource in self.message.resource_metrics for scope in resource.scope_metrics]
        return all(metric.name.startswith("otel_logtail.") for scope in scopes for metric in scope.metrics)

    @property
    def spans(self) -> list[Any]:
        """Its spans."""
        if self.signal != "traces":
            return []
        scopes = [scope for resource in self.message.resource_spans for scope in resource.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    @property
    def points(self) -> list[tuple[str, Any]]:
        """The points of its duration histograms, by series."""
        if self.signal != "metrics":
            return []
        scopes = [scope for resource in self.message.resource_metrics for scope in resource.scope_metrics]
        metrics = [m for scope in scopes for m in scope.metrics if m.name == "log.overhead.duration"]
        return [(str(p.attributes), p) for metric in metrics for p in metric.histogram.data_points]


def take(_request: Request) -> Answer:
    """The answer of a receiver that works."""
    return Take()


class Receiver:
    """What came, and what becomes of it: ``judge`` is asked for each request, and may be changed while it runs."""

    def __init__(self) -> None:
        self.judge: Callable[[Request], Answer] = take
        self.asked: list[tuple[Request, Answer]] = []
        self.healthy = 0
        """How often the daemon's own numbers came."""
        self.released = threading.Event()
        self.endpoint = ""
        self.port = 0

    def answer(self, name: str, message: Any) -> Answer:
        """Judge a request and note it."""
        request = Request(name, message, time.monotonic())
        if request.is_health:
            self.healthy += 1
            return Take()  # comes when it comes, and is nobody's business here
        answer = self.judge(request)
        self.asked.append((request, answer))
        if isinstance(answer, Hang):
            self.released.wait(60)
        return answer

    @property
    def taken(self) -> list[Request]:
        """The requests that it took whole."""
        return [request for request, answer in list(self.asked) if isinstance(answer, Take)]

    def counted(self) -> int:
        """How many samples it knows of: the newest totals. On the way what it was told is checked."""
        told: dict[str, dict[int, Any]] = {}
        for request in self.taken:
            for series, point in request.points:
                known = told.setdefault(series, {}).setdefault(point.time_unix_nano, point)
                assert point == known, "what comes again is the same"
        total = 0
        for points in told.values():
            in_order = [points[time_ns] for time_ns in sorted(points)]
            counts = [point.count for point in in_order]
            assert counts == sorted(counts), "a total that went down"
            assert len({point.start_time_unix_nano for point in in_order}) == 1, "a reset"
            total += counts[-1]
        return total

    def breaches(self) -> Counter[int]:
        """The breaches (ns) in the spans that it has, each span counted once however often it came."""
        spans = {span.span_id: span for request in self.taken for span in request.spans}
        values: dict[str, int] = {}
        for span in spans.values():
            for event in span.events:
                own = {a.key: a.value for a in event.attributes}
                assert own["log.record.uid"].string_value not in values, "one breach in two spans"
                values[own["log.record.uid"].string_value] = round(own["value_ms"].double_value * MS)
        return Counter(values.values())


@contextmanager
def receiving(protocol: str, tls: Pair | None = None) -> Iterator[Receiver]:
    """A receiver that speaks ``http`` or ``grpc``; it takes everything until its judge is another one."""
    receiver = Receiver()
    with _http(receiver, tls) if protocol == "http" else _grpc(receiver, tls):
        receiver.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{receiver.port}"
        try:
            yield receiver
        finally:
            receiver.released.set()


def flags(protocol: str) -> list[str]:
    """What tells the program the protocol, and makes it deliver soon after a line was written."""
    name = "http/protobuf" if protocol == "http" else "grpc"
    return ["--otlp-protocol", name, "--export-interval", "100ms", "--quiet-ms", "50"]


@contextmanager
def _http(receiver: Receiver, tls: Pair | None) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            name = self.path.rpartition("/")[2]
            if name == "logs":  # as over gRPC, where there is no such service
                self._reply(404, b"")
                return
            kind = ExportMetricsServiceRequest if name == "metrics" else ExportTraceServiceRequest
            answer = receiver.answer(name, kind.FromString(body))
            if isinstance(answer, Hang):
                return
            if isinstance(answer, Fail):
                self._reply(answer.status, b"", after_s=answer.after_s, location=answer.location)
            else:
                self._reply(200, _response(name, answer).SerializeToString())

        def _reply(self, status: int, body: bytes, *, after_s: int | None = None, location: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", PROTOBUF)
            self.send_header("Content-Length", str(len(body)))
            if after_s is not None:
                self.send_header("Retry-After", str(after_s))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: pytest's output is for failures."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Nothing: that the other side hangs up is what some tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        if tls is not None:
            server.socket = tls.context().wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            receiver.released.set()
            server.shutdown()
            thread.join()


@contextmanager
def _grpc(receiver: Receiver, tls: Pair | None) -> Iterator[None]:
    def export(name: str, message: Any, context: Any) -> Any:
        answer = receiver.answer(name, message)
        if isinstance(answer, Fail):
            if answer.after_s is not None:
                info, detail = RetryInfo(), AnyMessage()
                info.retry_delay.FromSeconds(answer.after_s)
                detail.Pack(info)
                code = getattr(grpc.StatusCode, answer.code).value[0]
                status = Status(code=code, details=[detail]).SerializeToString()
                context.set_trailing_metadata((("grpc-status-details-bin", status),))
            context.abort(getattr(grpc.StatusCode, answer.code), "as the test wants it")
        return _response(name, answer)

    class Metrics(MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the protocol
            return export("metrics", request, context)

    class Traces(TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            return export("traces", request, context)

    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool)
        add_MetricsServiceServicer_to_server(Metrics(), server)  # type: ignore[no-untyped-call]
        add_TraceServiceServicer_to_server(Traces(), server)  # type: ignore[no-untyped-call]
        if tls is None:
            receiver.port = server.add_insecure_port("127.0.0.1:0")
        else:
            own = grpc.ssl_server_credentials([(tls.key.read_bytes(), tls.certificate.read_bytes())])
            receiver.port = server.add_secure_port("127.0.0.1:0", own)
        server.start()
        try:
            yield
        finally:
            receiver.released.set()
            server.stop(None).wait()


def _response(name: str, answer: Answer) -> Any:
    response = ExportMetricsServiceResponse() if name == "metrics" else ExportTraceServiceResponse()
    if isinstance(answer, Partly):
        what = "rejected_data_points" if name == "metrics" else "rejected_spans"
        setattr(response.partial_success, what, answer.rejected)
        response.partial_success.error_message = answer.why
    return response


class Wire:
    """What lies between the program and a receiver, and can break: a port that passes bytes on, until it is cut.

    ``up_bytes``: after so many bytes towards the receiver a connection is closed; None passes all. It holds for
    connections that are made from then on.
    """

    def __init__(self, port: int) -> None:
        self.up_bytes: int | None = None
        self.cuts = 0
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._closed = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self.cut()
        _end(self._server)
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Close all connections that are open now."""
        for one in list(self._open):
            _end(one)

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            self._open |= {near, far}
            for source, target, most in ((near, far, self.up_bytes), (far, near, None)):
                thread = threading.Thread(target=self._pass, args=(source, target, most))
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, target: socket.socket, most: int | None) -> None:
        passed = 0
        try:
            while data := source.recv(65536):
                if most is not None and passed + len(data) > most:
                    target.sendall(data[: most - passed])
                    self.cuts += 1
                    break
                target.sendall(data)
                passed += len(data)
        except OSError:
            pass  # the other direction was cut
        for one in (source, target):
            _end(one)
            self._open.discard(one)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is down already
    connection.close()


def free_port() -> int:
    """A port where nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
