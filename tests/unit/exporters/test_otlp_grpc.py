"""The OTLP exporter over gRPC against a receiver in this process with configurable answers."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage  # type: ignore[import-untyped]  # nor does protobuf
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # nor does googleapis-common-protos
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.exporter import OtlpExporter, make
from otel_logtail.model import Delivered, Delivery, Partial, Refused, Retry
from tests.support.certificates import Authority
from tests.support.otlp_items import T0, episode, episodes, intervals, point
from tests.support.waiting import bound_s

BATCH = intervals(point([1, 2]))

_Answer = Callable[[Any], Any]


class Receiver:
    """A gRPC server whose next answers are scripted; once they are used up it takes everything."""

    def __init__(self, credentials: Any = None) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[_Answer] = []
        self.arrived = threading.Event()
        self.released = threading.Event()
        self._pool = ThreadPoolExecutor(4)
        self._server = grpc.server(self._pool)
        receiver = self

        class Metrics(MetricsServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the protocol
                return receiver.answer(request, context, ExportMetricsServiceResponse())

        class Traces(TraceServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
                return receiver.answer(request, context, ExportTraceServiceResponse())

        add_MetricsServiceServicer_to_server(Metrics(), self._server)  # type: ignore[no-untyped-call]
        add_TraceServiceServicer_to_server(Traces(), self._server)  # type: ignore[no-untyped-call]
        if credentials is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.target = f"127.0.0.1:{port}"
        self._server.start()

    def answer(self, request: Any, context: Any, otherwise: Any) -> Any:
        self.requests.append((dict(context.invocation_metadata()), request.SerializeToString()))
        self.arrived.set()
        return self.answers.pop(0)(context) if self.answers else otherwise

    def hang(self, _context: Any) -> Any:
        self.released.wait(bound_s(30))
        return ExportMetricsServiceResponse()

    def close(self) -> None:
        self.released.set()
        self._server.stop(None).wait()
        self._pool.shutdown()


def fail(code: Any, details: str = "", delay_s: float | None = None) -> _Answer:
    def answer(context: Any) -> Any:
        if delay_s is not None:
            info = RetryInfo()
            info.retry_delay.FromNanoseconds(round(delay_s * 1e9))
            detail = AnyMessage()
            detail.Pack(info)
            status = Status(code=code.value[0], message=details, details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, details)

    return answer


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


Exporting = Callable[..., OtlpExporter]


@pytest.fixture
def exporting() -> Iterator[Exporting]:
    """Makes exporters, and closes them at the end; keywords are variables without their OTEL_EXPORTER_OTLP_."""
    made: list[OtlpExporter] = []

    def make_one(target: str, scheme: str = "http", **variables: str) -> OtlpExporter:
        environ = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in {"TIMEOUT": "5000", **variables}.items()}
        options = {"otlp_endpoint": f"{scheme}://{target}", "otlp_protocol": "grpc"}
        made.append(make(ExporterContext(environ, options, host="box")))
        return made[-1]

    yield make_one
    for exporter in made:
        exporter.close()


def outcome(receiver: Receiver, exporting: Exporting, answer: _Answer) -> Delivery:
    receiver.answers.append(answer)
    return exporting(receiver.target).export(BATCH)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_metrics_and_traces_are_delivered_with_the_users_headers(
    receiver: Receiver, exporting: Exporting, compression: str
) -> None:
    exporter = exporting(receiver.target, HEADERS="authorization=Bearer%20t", COMPRESSION=compression)
    assert exporter.export(BATCH) == Delivered()
    assert exporter.export(episodes(episode([600]))) == Delivered()
    for metadata, body in receiver.requests:
        assert metadata["authorization"] == "Bearer t"
        assert re.match(r"otel-logtail/\S+ OTel-OTLP-Exporter-Python/[0-9.]+ grpc", metadata["user-agent"])
        assert b"headroom-proxy" in body


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    ],
)
def test_a_temporary_or_fixable_error_is_retried(receiver: Receiver, exporting: Exporting, code: Any) -> None:
    answer = outcome(receiver, exporting, fail(code, "some reason"))
    assert isinstance(answer, Retry)
    assert answer.after_s == 0.0
    assert f"{receiver.target} answered {code.name}" in answer.why


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION])
def test_an_error_about_the_data_is_refused(receiver: Receiver, exporting: Exporting, code: Any) -> None:
    answer = outcome(receiver, exporting, fail(code, "out of order"))
    assert answer == Refused(f"{receiver.target} answered {code.name}: out of order")


def test_a_message_that_is_too_large_is_refused_so_that_it_is_halved(receiver: Receiver, exporting: Exporting) -> None:
    text = "grpc: received message larger than max (5000000 vs. 4194304)"
    answer = outcome(receiver, exporting, fail(grpc.StatusCode.RESOURCE_EXHAUSTED, text))
    assert isinstance(answer, Refused)


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_the_delay_of_retry_info_is_honoured(receiver: Receiver, exporting: Exporting, code: Any) -> None:
    answer = outcome(receiver, exporting, fail(code, "busy", delay_s=7.25))
    assert answer == Retry(f"{receiver.target} answered {code.name}: busy", 7.25)


def test_details_that_can_not_be_read_do_no_harm(receiver: Receiver, exporting: Exporting) -> None:
    def garbled(context: Any) -> Any:
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff"),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "busy")

    answer = outcome(receiver, exporting, garbled)
    assert answer == Retry(f"{receiver.target} answered UNAVAILABLE: busy", 0.0)


def test_rejected_points_are_delivered_and_counted_with_the_receivers_reason(
    receiver: Receiver, exporting: Exporting
) -> None:
    partial = ExportMetricsPartialSuccess(rejected_data_points=1, error_message="too old")
    answer = outcome(receiver, exporting, lambda _: ExportMetricsServiceResponse(partial_success=partial))
    assert answer == Delivered(rejected=1, why="the receiver rejected 1 data points: too old")


def test_items_accepted_before_a_refusal_are_partial(receiver: Receiver, exporting: Exporting) -> None:
    receiver.answers.append(lambda _: ExportMetricsServiceResponse())
    receiver.answers.append(fail(grpc.StatusCode.INVALID_ARGUMENT, "no"))
    batch = intervals(*(point([1] * n, id=n, time_ns=T0 - n) for n in (1, 2, 3)))
    answer = exporting(receiver.target).export(batch)
    assert answer == Partial(1, Refused(f"{receiver.target} answered INVALID_ARGUMENT: no"))
    assert len(receiver.requests) == 2


def test_a_missing_receiver_is_retried(exporting: Exporting) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        answer = exporting(f"127.0.0.1:{nobody.getsockname()[1]}").export(BATCH)
    assert isinstance(answer, Retry)
    assert "UNAVAILABLE" in answer.why


def test_a_silent_receiver_is_given_up_after_the_time_out(receiver: Receiver, exporting: Exporting) -> None:
    receiver.answers.append(receiver.hang)
    began = monotonic()
    answer = exporting(receiver.target, TIMEOUT="300").export(BATCH)
    assert answer == Retry(f"{receiver.target} answered DEADLINE_EXCEEDED: no answer within 300 ms", isolate=True)
    assert monotonic() - began < 3


def test_closing_ends_a_wait_in_another_thread(receiver: Receiver, exporting: Exporting) -> None:
    receiver.answers.append(receiver.hang)
    exporter = exporting(receiver.target, TIMEOUT="60000")
    answers: list[Delivery] = []
    thread = threading.Thread(target=lambda: answers.append(exporter.export(BATCH)))
    thread.start()
    assert receiver.arrived.wait(bound_s(10))
    exporter.close()
    thread.join(bound_s(10))
    assert not thread.is_alive()
    assert [type(answer) for answer in answers] == [Retry]


def test_a_closed_exporter_sends_nothing(receiver: Receiver, exporting: Exporting) -> None:
    exporter = exporting(receiver.target)
    exporter.close()
    assert exporter.export(BATCH) == Retry("the exporter is closed")
    assert receiver.requests == []


def test_tls_trusts_the_certificate_that_is_named_and_shows_its_own(tmp_path: Path, exporting: Exporting) -> None:
    authority = Authority(tmp_path / "authority")
    server, mine = authority.issue(), authority.issue("otel-logtail")
    pair = (server.key.read_bytes(), server.certificate.read_bytes())
    trust = authority.trust.read_bytes()
    receiver = Receiver(grpc.ssl_server_credentials([pair], trust, require_client_auth=True))
    try:
        own = {"CLIENT_CERTIFICATE": str(mine.certificate), "CLIENT_KEY": str(mine.key)}
        trusting = exporting(receiver.target, "https", CERTIFICATE=str(authority.trust), **own)
        assert trusting.export(BATCH) == Delivered()
        assert isinstance(exporting(receiver.target, "https", **own).export(BATCH), Retry)
        assert isinstance(exporting(receiver.target, "http").export(BATCH), Retry)
    finally:
        receiver.close()
    assert len(receiver.requests) == 1
