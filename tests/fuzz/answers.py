"""Targets that read what another program sends: answers of receivers, and requests to our ports."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from functools import cache

from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # protobuf ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # nor does googleapis-common-protos
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_logtail import server
from otel_logtail.exporters.hex.events import judge, read_answer
from otel_logtail.exporters.otlp.answer import MAX_AFTER_S, RESPONSES, HttpAnswer, Outcome, judge_grpc, judge_http
from otel_logtail.exporters.otlp.config import Signal
from otel_logtail.exporters.otlp.grpc import _retry_delay_s
from otel_logtail.exporters.otlp.http import HttpSender
from otel_logtail.model import Delivered, Retry
from tests.fuzz.target import Target

_LONGEST_WHY = 2000
_SECRET = "token-of-the-user"  # noqa: S105 - not a real one


def _check(outcome: Outcome) -> None:
    """The reason is one short line that is safe on a terminal, and a delay has bounds."""
    assert outcome.why.isprintable() or not outcome.why
    assert len(outcome.why) < _LONGEST_WHY
    if isinstance(outcome, Retry):
        assert 0 <= outcome.after_s <= MAX_AFTER_S
    if isinstance(outcome, Delivered):
        assert outcome.rejected >= 0


def _judge_http(data: bytes) -> None:
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    status = int(first) if first.isascii() and first.isdecimal() and len(first) < 4 else 200
    headers = {name.lower(): value for name, _, value in (line.partition(":") for line in lines)}
    for response_type in RESPONSES.values():
        answer = HttpAnswer(status, headers, body)
        _check(judge_http(answer, response_type, url="http://receiver:4318/v1/metrics", now_s=1_795_608_000.0))


def _judge_grpc(data: bytes) -> None:
    code, _, rest = data.partition(b"\0")
    details, _, metadata = rest.partition(b"\0")
    delay_s = _retry_delay_s([("other", "x"), ("grpc-status-details-bin", metadata)])
    for one_s in (None, delay_s):
        words = code.decode("latin-1") if code.isupper() else "UNAVAILABLE"
        if words.isprintable():  # gRPC has a fixed set of codes
            _check(judge_grpc(words[:40], details.decode(errors="replace"), target="receiver:4317", delay_s=one_s))


def _judge_hex(data: bytes) -> None:
    for frame in (data, data.decode("latin-1")):
        answer = read_answer(frame)
        if answer is not None and answer.error is not None:
            _check(judge(answer.error, url="ws://engine"))


@cache
def _receiver() -> tuple[int, list[bytes]]:
    """Start a receiver that answers each request with the bytes in the list; return its port and the list."""
    listener, answers = socket.create_server(("127.0.0.1", 0)), [b""]
    threading.Thread(target=_serve, args=(listener, answers), daemon=True).start()
    return listener.getsockname()[1], answers


def _serve(listener: socket.socket, answers: list[bytes]) -> None:
    while True:
        client, _ = listener.accept()
        with client:
            try:
                client.recv(65536)
                client.sendall(answers[0])
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except OSError:
                pass  # the sender has had enough of the answer


def _send(data: bytes) -> None:
    """Any bytes on the wire are an outcome, and no secret of a header is in it."""
    port, answers = _receiver()
    answers[0] = data
    headers = (("authorization", _SECRET),)
    signal = Signal("http/protobuf", f"http://127.0.0.1:{port}/v1/metrics", False, 5.0, headers)
    sender = HttpSender(signal, RESPONSES["metrics"], user_agent="fuzz")
    try:
        outcome = sender.send(ExportMetricsServiceRequest())
    finally:
        sender.close()
    _check(outcome)
    assert _SECRET not in outcome.why or _SECRET.encode() in data


def _ask_server(data: bytes) -> None:
    """Any request has one answer with a status; the application sees no control characters in names of headers."""

    def app(environ: dict[str, object], start_response: object) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])  # type: ignore[operator]
        return [str(environ["PATH_INFO"]).encode(errors="replace")]

    answer = server.answer(app, data + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 ")
    assert answer.count(b"\r\n\r\n") >= 1


def _http() -> Iterator[bytes]:
    yield b"200\ncontent-type:application/x-protobuf\n\n"
    for response_type in RESPONSES.values():
        response = response_type()
        response.partial_success.error_message = "out of order sample"
        yield b"200\ncontent-type:application/x-protobuf\n\n" + response.SerializeToString()
    yield b"429\nretry-after:120\ncontent-type:text/plain\n\nslow down"
    yield b"503\nretry-after:Wed, 21 Oct 2026 07:28:00 GMT\n\n"
    yield b"400\ncontent-type:application/x-protobuf\n\n" + Status(code=3, message="bad").SerializeToString()
    yield b"302\nlocation:http://elsewhere/\x1b[31m\n\n"
    yield b"404\ncontent-type:text/html; charset=utf-8\n\n<html>"
    yield b"204\n\n"


def _grpc() -> Iterator[bytes]:
    status = Status(code=8, message="busy")
    info = RetryInfo()
    info.retry_delay.seconds = 7
    status.details.add().Pack(info)
    yield b"RESOURCE_EXHAUSTED\0busy\0" + status.SerializeToString()
    yield b"UNAVAILABLE\0failed to connect: Socket closed\0"
    yield b"INVALID_ARGUMENT\0unsupported temporality\0"


def _hex() -> Iterator[bytes]:
    yield b'{"type":"invocationresult","invocation_id":"a","error":{"code":"FORBIDDEN","message":"no\\u001b[31m"}}'
    yield b'{"type":"invocationresult","invocation_id":"a"}'
    yield b'{"type":"ping"}'


def _wire() -> Iterator[bytes]:
    ok = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
    yield ok + b"Content-Length: 0\r\n\r\n"
    packed = gzip.compress(bytes(1 << 20), mtime=0)
    yield ok + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    yield ok + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    yield b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\r\nbusy"
    yield b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    yield b"HTTP/1.1 100 Continue\r\n\r\n" + ok + b"\r\n"
    yield b"SSH-2.0-OpenSSH_9.2\r\n"


def _requests() -> Iterator[bytes]:
    yield b"GET /livez HTTP/1.1\r\nHost: localhost:8080"
    yield b"HEAD /status?x=%00%ff HTTP/1.0\r\nHost: [::1]\r\nAccept: */*"
    yield b"POST / HTTP/1.1\r\nContent-Length: 5"


TARGETS = (
    Target("answer-http", _judge_http, _http),
    Target("answer-grpc", _judge_grpc, _grpc),
    Target("answer-hex", _judge_hex, _hex),
    Target("answer-wire", _send, _wire, is_grown=False),
    Target("server", _ask_server, _requests),
)
