"""Receivers that never finish: an attempt ends at its timeout, and costs neither memory nor a core."""

from __future__ import annotations

import gzip
import resource
import ssl
import threading
import time
from pathlib import Path

import pytest

from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.exporter import OtlpExporter, make
from otel_logtail.exporters.otlp.http import MAX_ANSWER
from otel_logtail.model import Delivered, Refused, Retry
from tests.support.certificates import Authority
from tests.support.hostile import Answer, Hostile, Peer
from tests.support.otlp_items import T0, intervals, point
from tests.support.waiting import bound_s

BATCH = intervals(point([1, 2]))
TIMEOUT_S = 0.6
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_SLACK_S = 3.0
"""For a busy machine; each of these would take minutes or never end without a deadline."""
_BROKEN_OFF_S = 30.0


def exporter(endpoint: str, protocol: str = "http/protobuf", **variables: str) -> OtlpExporter:
    environ = {"OTEL_EXPORTER_OTLP_TIMEOUT": f"{TIMEOUT_S * 1000:.0f}", "NO_PROXY": "127.0.0.1", **variables}
    return make(ExporterContext(environ, {"otlp_endpoint": endpoint, "otlp_protocol": protocol}, host="box"))


def after_request(answer: Answer) -> Answer:
    def both(peer: Peer) -> None:
        peer.read()
        answer(peer)

    return both


NEVER_ENDING: dict[str, Answer] = {
    "nothing": after_request(lambda peer: peer.forever(b"", 0.05)),
    "a status line byte by byte": after_request(lambda peer: peer.drip(b"HTTP/1.1 200 " + b"O" * 9999)),
    "headers byte by byte": after_request(lambda peer: peer.drip(HEAD + b"X: " + b"x" * 9999)),
    "a body byte by byte": after_request(lambda peer: peer.drip(HEAD + b"Content-Length: 9999\r\n\r\n" + b"x" * 9999)),
    "a body in chunks byte by byte": after_request(lambda peer: peer.drip(CHUNKED + b"1\r\nx\r\n" * 9999)),
    "an error byte by byte": after_request(
        lambda peer: peer.drip(b"HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\n" + b"x" * 9999)
    ),
    "a continue now and then": after_request(lambda peer: peer.forever(b"HTTP/1.1 100 Continue\r\n\r\n", 0.1)),
}
ENDLESS: dict[str, Answer] = {
    "continue again and again": after_request(lambda peer: peer.forever(b"HTTP/1.1 100 Continue\r\n\r\n" * 200)),
    "a status line without end": after_request(lambda peer: peer.forever(b"HTTP/1.1 200 " + b"O" * 65536)),
    "headers without end": after_request(lambda peer: peer.forever(b"X: y\r\n" * 9999, first=HEAD)),
    "a header without end": after_request(lambda peer: peer.forever(b"y" * 65536, first=HEAD + b"X: ")),
    "a body without end": after_request(lambda peer: peer.forever(b"\0" * 65536, first=HEAD + b"\r\n")),
    "chunks without end": after_request(lambda peer: peer.forever(b"ffff\r\n" + b"x" * 65535 + b"\r\n", first=CHUNKED)),
    "the length of a chunk without end": after_request(lambda peer: peer.forever(b"0" * 65536, first=CHUNKED)),
    "a small body that unpacks to 64 MiB": after_request(
        lambda peer: peer.send(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(1 << 20)) * 64)
    ),
    "trailers without end": after_request(lambda peer: peer.forever(b"X: y\r\n" * 9999, first=CHUNKED + b"0\r\n")),
}


def attempt_s(one: OtlpExporter) -> tuple[object, float]:
    """The answer, and how long it took; an attempt that would never end is broken off, so that the test fails."""
    began = time.monotonic()
    watchdog = threading.Timer(_BROKEN_OFF_S, one.close)
    watchdog.start()
    try:
        return one.export(BATCH), time.monotonic() - began
    finally:
        watchdog.cancel()
        one.close()


@pytest.mark.parametrize("name", NEVER_ENDING)
def test_a_slow_answer_ends_with_the_time_out(name: str) -> None:
    with Hostile(NEVER_ENDING[name]) as server:
        answer, took_s = attempt_s(exporter(f"http://127.0.0.1:{server.port}"))
    assert answer == Retry(f"http://127.0.0.1:{server.port}/v1/metrics gave no answer within 600 ms", isolate=True)
    assert TIMEOUT_S <= took_s < bound_s(TIMEOUT_S + _SLACK_S)


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_answer_is_bounded_in_time_and_memory(name: str) -> None:
    """It ends by its size, long before its timeout."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Hostile(ENDLESS[name]) as server:
        one = exporter(f"http://127.0.0.1:{server.port}", OTEL_EXPORTER_OTLP_TIMEOUT="30000")
        answer, took_s = attempt_s(one)
    assert isinstance(answer, Retry), answer
    assert "gave no answer" not in answer.why
    assert took_s < bound_s(25.0)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 8 * MAX_ANSWER


def test_an_endless_error_is_cut_off_and_counts_by_its_status() -> None:
    endless = after_request(lambda peer: peer.forever(b"x" * 65536, first=b"HTTP/1.1 400 No\r\n\r\n"))
    with Hostile(endless) as server:
        answer, took_s = attempt_s(exporter(f"http://127.0.0.1:{server.port}"))
    assert isinstance(answer, Refused)
    assert took_s < bound_s(TIMEOUT_S + _SLACK_S)


def test_a_receiver_that_does_not_read_is_given_up_with_the_time_out(tmp_path: Path) -> None:
    """More than the buffers between the two hold, and over TLS, where each record is a write of its own."""
    batch = intervals(*(point([n % 9 + 1] * 3, id=n, attributes=(("k", f"{n}" * 400),)) for n in range(1, 3000)))
    authority = Authority(tmp_path / "authority")
    pair = authority.issue()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)

    def sip(peer: Peer) -> None:
        while not peer.closed.wait(0.05):
            peer.read(2000)

    for scheme, context in (("http", None), ("https", tls)):
        with Hostile(sip, context) as server:
            one = exporter(f"{scheme}://127.0.0.1:{server.port}", OTEL_EXPORTER_OTLP_CERTIFICATE=str(authority.trust))
            began = time.monotonic()
            answer = one.export(batch)
            took_s = time.monotonic() - began
            one.close()
        assert isinstance(answer, Retry)
        assert "gave no answer within 600 ms" in answer.why
        assert took_s < bound_s(TIMEOUT_S + _SLACK_S + 2.0)  # encoding comes before


def test_a_tls_handshake_that_never_ends_is_given_up_with_the_time_out() -> None:
    with Hostile(lambda peer: peer.drip(b"\x16\x03\x03\x40\x00" + b"\0" * 9999)) as server:
        answer, took_s = attempt_s(exporter(f"https://127.0.0.1:{server.port}"))
    assert isinstance(answer, Retry)
    assert not answer.isolate  # no item was seen
    assert took_s < bound_s(TIMEOUT_S + 3 * _SLACK_S)


def test_a_proxy_that_never_answers_is_given_up_with_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile(after_request(lambda peer: peer.drip(b"HTTP/1.1 200 " + b"O" * 9999))) as server:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.port}")
        answer, took_s = attempt_s(exporter("https://collector.example:4318"))
    assert isinstance(answer, Retry)
    assert "gave no answer within 600 ms" in answer.why
    assert took_s < bound_s(TIMEOUT_S + _SLACK_S)


def test_a_large_partial_success_is_read_as_a_whole() -> None:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

    message = ExportMetricsServiceResponse()
    message.partial_success.rejected_data_points = 3
    message.partial_success.error_message = "x" * 1_000_000
    body = message.SerializeToString()
    with Hostile(
        after_request(lambda peer: peer.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body))
    ) as server:
        one = exporter(f"http://127.0.0.1:{server.port}", OTEL_EXPORTER_OTLP_TIMEOUT="9000")
        answer, _ = attempt_s(one)
    assert isinstance(answer, Delivered)
    assert answer.rejected == 3
    assert len(answer.why) < 500


def test_each_attempt_restarts_the_clock() -> None:
    with Hostile(serve_three) as server:
        one = exporter(f"http://127.0.0.1:{server.port}", OTEL_EXPORTER_OTLP_TIMEOUT="2000")
        batch = intervals(*(point([1] * n, id=n, time_ns=T0 + n) for n in (1, 2, 3)))
        assert one.export(batch) == Delivered()  # one connection, three requests, 0.9 s each
        one.close()


def serve_three(peer: Peer) -> None:
    while peer.read():
        peer.closed.wait(0.9)
        peer.send(HEAD + b"Content-Length: 0\r\n\r\n")


# --- gRPC -------------------------------------------------------------------------------------------------------------

SETTINGS, ACK = b"\0\0\0\4\0\0\0\0\0", b"\0\0\0\4\1\0\0\0\0"
GOAWAY = b"\0\0\x08\x07\0\0\0\0\0" + b"\0" * 8
PING = b"\0\0\x08\x06\0\0\0\0\0" + b"12345678"
GRPC: dict[str, Answer] = {
    "nothing": after_request(lambda peer: peer.forever(b"", 0.05)),
    "GOAWAY": after_request(lambda peer: peer.forever(b"", 1.0, first=SETTINGS + GOAWAY)),
    "GOAWAY, and hangs up": after_request(lambda peer: peer.send(SETTINGS + GOAWAY)),
    "settings byte by byte": after_request(lambda peer: peer.drip(SETTINGS[:-1] * 999, 0.05)),
    "settings, then nothing": after_request(lambda peer: peer.forever(b"", 0.05, first=SETTINGS)),
    "pings without end": after_request(lambda peer: peer.forever(PING * 99, first=SETTINGS + ACK)),
    "settings without end": after_request(lambda peer: peer.forever(SETTINGS * 99)),
    "HTTP/1.1": after_request(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "hangs up": lambda peer: None,
}


@pytest.mark.parametrize("name", GRPC)
def test_a_hostile_grpc_receiver_is_bounded_in_time_and_memory(name: str) -> None:
    with Hostile(GRPC[name]) as server:
        one = exporter(f"http://127.0.0.1:{server.port}", "grpc")
        assert isinstance(one.export(BATCH), Retry)  # memory that the library needs once is not growth
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer, took_s = attempt_s(one)
        connections = server.connections
    assert isinstance(answer, Retry)
    assert took_s < bound_s(TIMEOUT_S + _SLACK_S)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 32 * 1024 * 1024
    assert connections < 20
