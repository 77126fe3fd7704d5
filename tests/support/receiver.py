"""An OTLP receiver over HTTP or gRPC, whose answers a test decides."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
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

from otel_logtail.model import HEALTH_NAMES
from tests.support.certificates import Pair
from tests.support.lines import MS
from tests.support.waiting import bound_s

PROTOBUF = "application/x-protobuf"


class Take(NamedTuple):
    """It has them all."""


class Partly(NamedTuple):
    """It took the request, and threw away some of what is in it."""

    rejected: int
    why: str = "too strange"


class Fail(NamedTuple):
    """An error in both protocols; ``after_s`` is the requested delay."""

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
        """Return whether a request has only the daemon's own health metrics."""
        if self.signal != "metrics":
            return False
        scopes = [scope for resource in self.message.resource_metrics for scope in resource.scope_metrics]
        return all(metric.name.startswith(HEALTH_NAMES) for scope in scopes for metric in scope.metrics)

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
    """Received requests and their outcomes: ``judge`` is called for each request, and may be changed while it runs."""

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
            return Take()  # arrives at any time and is not counted here
        answer = self.judge(request)
        self.asked.append((request, answer))
        if isinstance(answer, Hang):
            self.released.wait(bound_s(60))
        return answer

    @property
    def taken(self) -> list[Request]:
        """The requests that it took whole."""
        return [request for request, answer in list(self.asked) if isinstance(answer, Take)]

    def counted(self) -> int:
        """Return the number of samples in the newest totals, and check the totals."""
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
    """A receiver over ``http`` or ``grpc``; it accepts everything until its judge is replaced."""
    receiver = Receiver()
    with _http(receiver, tls) if protocol == "http" else _grpc(receiver, tls):
        receiver.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{receiver.port}"
        try:
            yield receiver
        finally:
            receiver.released.set()


def flags(protocol: str) -> list[str]:
    """Return the variables that select the protocol and make the program deliver soon after a line was written."""
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
