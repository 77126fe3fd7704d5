"""The OTLP exporter over HTTP against a receiver that does everything wrong, one thing at a time."""

from __future__ import annotations

import gzip
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, time

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # googleapis-common-protos ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from otel_logtail.errors import UsageError
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.answer import MAX_AFTER_S, retry_after_s
from otel_logtail.exporters.otlp.exporter import OtlpExporter, make
from otel_logtail.model import Delivered, Delivery, Partial, Refused, Retry
from tests.support.certificates import Authority
from tests.support.otlp_items import T0, episode, episodes, intervals, point
from tests.support.waiting import bound_s

PROTOBUF = "application/x-protobuf"
BATCH = intervals(point([1, 2]))


class Receiver:
    """An HTTP server whose next answers are scripted; once they are used up it takes everything."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections: set[tuple[str, int]] = set()
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.arrived = threading.Event()
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                receiver.connections.add(self.client_address)
                receiver.arrived.set()
                answer = receiver.answers.pop(0) if receiver.answers else reply(200, b"", PROTOBUF)
                answer(self)

            def log_message(self, *_: object) -> None:
                """Nothing: pytest's output is for failures."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Nothing: that the other side hangs up is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self, tls: ssl.SSLContext | None = None) -> None:
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        self.released.wait(bound_s(30))
        handler.close_connection = True


def reply(
    status: int, body: bytes = b"", kind: str = "text/plain", headers: Mapping[str, str] | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


taken = reply(200, b"", PROTOBUF)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def speak_http_2(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(bytes.fromhex("000006040000000000000500004000"))  # the first frame of a gRPC server
    handler.close_connection = True


def hang_up_in_the_middle(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", PROTOBUF)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"half of it")
    handler.close_connection = True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.start()
    yield receiver
    receiver.close()


Exporting = Callable[..., OtlpExporter]


@pytest.fixture
def exporting() -> Iterator[Exporting]:
    """Makes exporters, and closes them at the end; keywords are variables without their OTEL_EXPORTER_OTLP_."""
    made: list[OtlpExporter] = []

    def make_one(endpoint: str, **variables: str) -> OtlpExporter:
        environ = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in {"TIMEOUT": "5000", **variables}.items()}
        made.append(make(ExporterContext(environ, {"otlp_endpoint": endpoint}, host="box")))
        return made[-1]

    yield make_one
    for exporter in made:
        exporter.close()


def outcome(receiver: Receiver, exporting: Exporting, *answers: Callable[[BaseHTTPRequestHandler], None]) -> Delivery:
    receiver.answers.extend(answers)
    return exporting(receiver.url).export(BATCH)


# --- what is sent -----------------------------------------------------------------------------------------------


def test_metrics_and_traces_are_posted_to_their_paths(receiver: Receiver, exporting: Exporting) -> None:
    exporter = exporting(receiver.url + "/otlp/", HEADERS="authorization=Bearer%20t,content-type=x")
    assert exporter.export(BATCH) == Delivered()
    assert exporter.export(episodes(episode([600]))) == Delivered()
    assert [path for path, _, _ in receiver.requests] == ["/otlp/v1/metrics", "/otlp/v1/traces"]
    _, headers, body = receiver.requests[0]
    assert headers["content-type"] == PROTOBUF
    assert headers["authorization"] == "Bearer t"
    assert re.fullmatch(r"otel-logtail/\S+ OTel-OTLP-Exporter-Python/[0-9.]+", headers["user-agent"])
    assert "content-encoding" not in headers or headers["content-encoding"] == "identity"
    assert ExportMetricsServiceRequest.FromString(body).resource_metrics


def test_all_requests_of_a_signal_go_over_one_connection(receiver: Receiver, exporting: Exporting) -> None:
    exporter = exporting(receiver.url)
    for number in range(1, 20):
        assert exporter.export(intervals(point([1] * number, time_ns=T0 + number))) == Delivered()
    assert (len(receiver.requests), len(receiver.connections)) == (19, 1)
    assert len({body for _, _, body in receiver.requests}) == 19


def test_a_proxy_of_the_environment_is_used_unless_excluded(
    receiver: Receiver, exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", receiver.url)
    assert exporting("http://collector.example:4318").export(BATCH) == Delivered()
    assert [path for path, _, _ in receiver.requests] == ["http://collector.example:4318/v1/metrics"]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert exporting(receiver.url).export(BATCH) == Delivered()
    assert receiver.requests[-1][0] == "/v1/metrics"


def test_gzip_is_the_same_message_and_the_same_bytes_each_time(receiver: Receiver, exporting: Exporting) -> None:
    plain, zipped = exporting(receiver.url), exporting(receiver.url, COMPRESSION="gzip")
    for exporter in (plain, zipped, zipped):
        assert exporter.export(BATCH) == Delivered()
    (_, _, body), (_, headers, first), (_, _, second) = receiver.requests
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(first) == body
    assert first == second


def test_a_password_of_netrc_does_not_replace_the_header_that_the_user_set(
    receiver: Receiver, exporting: Exporting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password wrong\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert exporting(receiver.url, HEADERS="authorization=Bearer%20t").export(BATCH) == Delivered()
    assert receiver.requests[0][1]["authorization"] == "Bearer t"


def test_an_empty_batch_is_delivered_without_a_request(receiver: Receiver, exporting: Exporting) -> None:
    assert exporting(receiver.url).export(intervals()) == Delivered()
    assert receiver.requests == []


# --- what the answers mean --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_receiver_is_retried_no_sooner_than_requested(
    receiver: Receiver, exporting: Exporting, status: int
) -> None:
    answer = outcome(receiver, exporting, reply(status, b"later\x1b[31m", headers={"Retry-After": "7"}))
    assert isinstance(answer, Retry)
    assert answer.after_s == 7.0
    assert f"/v1/metrics answered {status}" in answer.why
    assert answer.why.endswith(": later [31m")


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407, 408, 415, 418, 500, 501, 505, 599])
def test_an_error_that_user_or_receiver_can_fix_is_retried(
    receiver: Receiver, exporting: Exporting, status: int
) -> None:
    answer = outcome(receiver, exporting, reply(status))
    assert isinstance(answer, Retry)
    assert answer.after_s == 0.0
    assert str(status) in answer.why


def test_a_404_asks_whether_it_is_an_otlp_endpoint(receiver: Receiver, exporting: Exporting) -> None:
    answer = outcome(receiver, exporting, reply(404))
    assert isinstance(answer, Retry)
    assert "is this an OTLP endpoint?" in answer.why


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_an_error_about_the_data_is_refused_with_the_receivers_reason(
    receiver: Receiver, exporting: Exporting, status: int
) -> None:
    body = Status(message="label too long").SerializeToString()
    answer = outcome(receiver, exporting, reply(status, body, PROTOBUF))
    assert isinstance(answer, Refused)
    assert str(status) in answer.why
    assert answer.why.endswith(": label too long")


@pytest.mark.parametrize(
    ("body", "kind", "hint"),
    [
        (b"Client sent an HTTP request to an HTTPS server.\n", "text/plain", "use https:// in the endpoint"),
        (b"<h1>Bad Request</h1>", "text/html; charset=utf-8", "is this an OTLP endpoint?"),
    ],
)
def test_a_400_about_the_address_quarantines_nothing(
    receiver: Receiver, exporting: Exporting, body: bytes, kind: str, hint: str
) -> None:
    answer = outcome(receiver, exporting, reply(400, body, kind))
    assert isinstance(answer, Retry)
    assert answer.why.endswith(hint)


def test_a_redirect_is_not_followed_and_named(receiver: Receiver, exporting: Exporting) -> None:
    answer = outcome(receiver, exporting, reply(301, headers={"Location": "https://elsewhere/v1/metrics"}))
    assert isinstance(answer, Retry)
    assert "redirect to https://elsewhere/v1/metrics" in answer.why
    assert len(receiver.requests) == 1


def test_a_redirect_to_bytes_that_are_not_utf_8_is_a_redirect(receiver: Receiver, exporting: Exporting) -> None:
    answer = outcome(receiver, exporting, reply(307, headers={"Location": "http://else\xc8where/"}))
    assert isinstance(answer, Retry)
    assert "a redirect to http://else" in answer.why


def test_rejected_points_are_delivered_and_counted_with_the_receivers_reason(
    receiver: Receiver, exporting: Exporting
) -> None:
    partial = ExportMetricsPartialSuccess(rejected_data_points=1, error_message="too old")
    body = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
    answer = outcome(receiver, exporting, reply(200, body, PROTOBUF))
    assert answer == Delivered(rejected=1, why="the receiver rejected 1 data points: too old")


def test_rejected_spans_are_counted_too(receiver: Receiver, exporting: Exporting) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=2)
    body = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    receiver.answers.append(reply(200, body, PROTOBUF))
    answer = exporting(receiver.url).export(episodes(episode([600])))
    assert answer == Delivered(rejected=2, why="the receiver rejected 2 spans: no reason given")


def test_a_point_older_than_those_that_prometheus_has_is_rejected_and_not_quarantined(
    receiver: Receiver, exporting: Exporting
) -> None:
    late = reply(400, Status(message="out of order sample for series x").SerializeToString(), PROTOBUF)
    receiver.answers.extend([late, late])
    exporter = exporting(receiver.url)
    answer = exporter.export(intervals(point([1], id=1)))
    assert (type(answer), getattr(answer, "rejected", 0)) == (Delivered, 1)
    two = intervals(point([1], id=1), point([1], id=2, attributes=(("headroom.path", "/b"),)))
    assert isinstance(exporter.export(two), Refused)  # only one of them may be the late one


@pytest.mark.parametrize(
    ("message", "temporality"), [("out of bounds", "cumulative"), ("out of order sample", "delta")]
)
def test_a_refused_point_whose_counts_no_later_one_has_or_that_may_be_accepted_later_is_quarantined(
    receiver: Receiver, exporting: Exporting, message: str, temporality: str
) -> None:
    receiver.answers.append(reply(400, Status(message=message).SerializeToString(), PROTOBUF))
    exporter = exporting(receiver.url, METRICS_TEMPORALITY_PREFERENCE=temporality)
    assert isinstance(exporter.export(intervals(point([1], id=1, delta_ms=[1]))), Refused)


def test_rejections_of_several_requests_add_up(receiver: Receiver, exporting: Exporting) -> None:
    partials = [
        ExportMetricsPartialSuccess(rejected_data_points=1, error_message="too old"),
        ExportMetricsPartialSuccess(error_message="a warning"),
        ExportMetricsPartialSuccess(rejected_data_points=2, error_message="too new"),
    ]
    bodies = [ExportMetricsServiceResponse(partial_success=one).SerializeToString() for one in partials]
    batch = intervals(*(point([1] * n, id=n, time_ns=T0 - n) for n in (1, 2, 3, 4)))
    receiver.answers.extend(reply(200, body, PROTOBUF) for body in bodies)
    why = "the receiver rejected 2 data points: too new"
    assert exporting(receiver.url).export(batch) == Delivered(rejected=3, why=why)
    receiver.answers.extend([*(reply(200, body, PROTOBUF) for body in bodies), reply(503)])
    answer = exporting(receiver.url).export(batch)
    assert isinstance(answer, Partial)
    assert (answer.count, answer.rejected, answer.why, type(answer.rest)) == (3, 3, why, Retry)


def test_a_warning_without_a_rejection_is_delivered(receiver: Receiver, exporting: Exporting) -> None:
    partial = ExportMetricsPartialSuccess(error_message="please use another name")
    body = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
    answer = outcome(receiver, exporting, reply(200, body, PROTOBUF))
    assert answer == Delivered(why="please use another name")


def test_a_success_that_can_not_be_read_is_unclear_and_sent_again(receiver: Receiver, exporting: Exporting) -> None:
    assert isinstance(outcome(receiver, exporting, reply(200, b"\xff\xff", PROTOBUF)), Retry)


def test_an_answer_without_end_is_not_read_to_its_end(receiver: Receiver, exporting: Exporting) -> None:
    answer = outcome(receiver, exporting, reply(400, b"x" * 20_000_000))
    assert isinstance(answer, Refused)
    assert len(answer.why) < 500


def test_items_accepted_before_a_failure_are_partial(receiver: Receiver, exporting: Exporting) -> None:
    receiver.answers.extend([taken, taken, reply(503), taken])
    batch = intervals(
        point([1], id=1, time_ns=T0),
        point([1], id=2, attributes=(("headroom.path", "/b"),)),
        point([1, 1], id=3, time_ns=T0 - 1),
        point([1, 1, 1], id=4, time_ns=T0 - 2),
        point([1, 1, 1, 1], id=5, time_ns=T0 - 3),
    )
    answer = exporting(receiver.url).export(batch)
    assert isinstance(answer, Partial)
    assert (answer.count, type(answer.rest)) == (3, Retry)
    assert len(receiver.requests) == 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", 0.0),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("9" * 5000, MAX_AFTER_S),
        (formatdate(1_000_030, usegmt=True), 30.0),
        (formatdate(999_000, usegmt=True), 0.0),
        ("Wed, 99 Foo 2026 99:99:99 GMT", 0.0),
        ("Wed, 21 Oct 20288888885 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, expected: float) -> None:
    assert retry_after_s(value, 1_000_000.0) == expected


def test_retry_after_as_a_date_is_counted_from_now(receiver: Receiver, exporting: Exporting) -> None:
    headers = {"Retry-After": formatdate(time() + 100, usegmt=True)}
    answer = outcome(receiver, exporting, reply(503, headers=headers))
    assert isinstance(answer, Retry)
    assert 90 < answer.after_s <= 100


# --- no answer --------------------------------------------------------------------------------------------------


def test_a_missing_receiver_is_retried_with_a_plain_message(exporting: Exporting) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        answer = exporting(f"http://127.0.0.1:{port}").export(BATCH)
    assert isinstance(answer, Retry)
    assert answer.why == f"http://127.0.0.1:{port}/v1/metrics can't be reached: [Errno 111] Connection refused"


def test_a_silent_receiver_is_given_up_after_the_time_out(receiver: Receiver, exporting: Exporting) -> None:
    receiver.answers.append(receiver.hang)
    began = monotonic()
    answer = exporting(receiver.url, TIMEOUT="300").export(BATCH)
    assert answer == Retry(f"{receiver.url}/v1/metrics gave no answer within 300 ms", isolate=True)
    assert monotonic() - began < 3


@pytest.mark.parametrize("fault", [hang_up, hang_up_in_the_middle])
def test_a_connection_that_closes_is_an_unclear_end_and_the_next_try_is_the_same_bytes(
    receiver: Receiver, exporting: Exporting, fault: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    receiver.answers.append(fault)
    exporter = exporting(receiver.url)
    assert isinstance(exporter.export(BATCH), Retry)
    assert exporter.export(BATCH) == Delivered()
    (_, _, first), (_, _, second) = receiver.requests
    assert first == second


def test_a_receiver_without_http_may_be_a_grpc_port(receiver: Receiver, exporting: Exporting) -> None:
    for fault in (speak_http_2, hang_up):
        answer = outcome(receiver, exporting, fault)
        assert isinstance(answer, Retry)
        assert ": if it is a gRPC port, use --otlp-protocol grpc" in answer.why


def test_closing_ends_a_wait_in_another_thread(receiver: Receiver, exporting: Exporting) -> None:
    receiver.answers.append(receiver.hang)
    exporter = exporting(receiver.url, TIMEOUT="60000")
    answers: list[Delivery] = []
    thread = threading.Thread(target=lambda: answers.append(exporter.export(BATCH)))
    thread.start()
    assert receiver.arrived.wait(bound_s(10))
    exporter.close()
    thread.join(bound_s(10))
    assert not thread.is_alive()
    assert [type(answer) for answer in answers] == [Retry]


def test_a_closed_exporter_sends_nothing(receiver: Receiver, exporting: Exporting) -> None:
    exporter = exporting(receiver.url)
    exporter.close()
    assert exporter.export(BATCH) == Retry("the exporter is closed")
    assert receiver.requests == []


# --- TLS --------------------------------------------------------------------------------------------------------


def test_tls_trusts_the_certificate_that_is_named_and_shows_its_own(tmp_path: Path, exporting: Exporting) -> None:
    authority = Authority(tmp_path / "authority")
    server, mine = authority.issue(), authority.issue("otel-logtail")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    context.load_verify_locations(authority.trust)
    context.verify_mode = ssl.CERT_REQUIRED
    receiver = Receiver()
    receiver.start(context)
    try:
        url = receiver.url.replace("http:", "https:")
        own = {"CLIENT_CERTIFICATE": str(mine.certificate), "CLIENT_KEY": str(mine.key)}
        assert exporting(url, CERTIFICATE=str(authority.trust), **own).export(BATCH) == Delivered()
        stranger = exporting(url, **own).export(BATCH)
    finally:
        receiver.close()
    assert isinstance(stranger, Retry)
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in stranger.why


def test_https_to_a_port_with_plain_http_is_reported(receiver: Receiver, exporting: Exporting) -> None:
    answer = exporting(receiver.url.replace("http:", "https:")).export(BATCH)
    assert isinstance(answer, Retry)
    assert "use http:// in the endpoint" in answer.why


@pytest.mark.parametrize("variable", ["CERTIFICATE", "CLIENT_CERTIFICATE"])
def test_a_certificate_file_that_can_not_be_used_is_a_usage_error_that_names_its_variable(
    exporting: Exporting, tmp_path: Path, variable: str
) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("not a certificate")
    for path in (wrong, tmp_path, tmp_path / "absent.pem"):
        with pytest.raises(UsageError) as caught:
            exporting("https://127.0.0.1:1", **{variable: str(path)})
        assert f"OTEL_EXPORTER_OTLP_{variable}: {str(path)!r}" in str(caught.value)
        assert "PEM" in caught.value.hint
