"""The meaning of each answer of a receiver, as tables: statuses and codes, bodies that are not OTLP, settings."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # googleapis-common-protos ships no types
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_logtail.exporters.otlp.answer import HttpAnswer, Outcome, judge_grpc, judge_http
from otel_logtail.model import Delivered, Refused, Retry

PROTOBUF = "application/x-protobuf"
RESPONSES = [ExportMetricsServiceResponse, ExportTraceServiceResponse, ExportLogsServiceResponse]


def judged(
    status: int, kind: str = "text/plain", body: bytes = b"", response: Any = RESPONSES[0], *, retry_after: str = ""
) -> Outcome:
    headers = {"content-type": kind, "retry-after": retry_after}
    answer = HttpAnswer(status, {name: value for name, value in headers.items() if value}, body)
    return judge_http(answer, response, url="http://c/v1/x", now_s=0.0)


def rejecting(response: Any, field: str) -> bytes:
    message = response()
    setattr(message.partial_success, field, 3)
    return bytes(message.SerializeToString())


# --- statuses and codes -----------------------------------------------------------------------------------------------

RETRY, ISOLATE, REFUSED = "retry", "isolate", "refused"
STATUSES = {
    **dict.fromkeys((429, 502, 503, 504), RETRY),  # the specification's list
    **dict.fromkeys((301, 302, 307, 308), RETRY),  # an address that is wrong
    **dict.fromkeys((400, 409, 413, 422), REFUSED),
    **dict.fromkeys((401, 402, 403, 404, 405, 406, 407, 408, 410, 411, 415, 418, 421, 431, 451), ISOLATE),
    **dict.fromkeys((500, 501, 505, 507, 508, 511, 520, 599), ISOLATE),
}
CODES = {
    **dict.fromkeys(("CANCELLED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"), RETRY),
    "DEADLINE_EXCEEDED": ISOLATE,  # retryable, and a smaller request may be in time
    **dict.fromkeys(("INVALID_ARGUMENT", "FAILED_PRECONDITION"), REFUSED),
    **dict.fromkeys(("UNKNOWN", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "UNAUTHENTICATED"), ISOLATE),
    **dict.fromkeys(("RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "INTERNAL"), ISOLATE),
}


def word(outcome: Outcome) -> str:
    if isinstance(outcome, Retry):
        return ISOLATE if outcome.isolate else RETRY
    return type(outcome).__name__.lower()


@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
def test_what_a_status_means(status: int, expected: str) -> None:
    outcome = judged(status)
    assert word(outcome) == expected
    assert isinstance(outcome, Retry | Refused)
    assert f"answered {status}" in outcome.why


@pytest.mark.parametrize(("code", "expected"), CODES.items())
def test_what_a_code_means(code: str, expected: str) -> None:
    assert word(judge_grpc(code, "reason", target="c", delay_s=None)) == expected


def test_resource_exhausted_with_a_delay_is_only_busy() -> None:
    assert judge_grpc("RESOURCE_EXHAUSTED", "busy", target="c", delay_s=7.0) == Retry(
        "c answered RESOURCE_EXHAUSTED: busy", 7.0
    )


@pytest.mark.parametrize("status", [401, 404, 408, 429, 500, 502, 503, 504])
def test_the_delay_that_a_receiver_requests_is_passed_on_with_every_status(status: int) -> None:
    outcome = judged(status, retry_after="7")
    assert isinstance(outcome, Retry)
    assert outcome.after_s == 7.0


# --- successes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("kind", [PROTOBUF, "Application/X-Protobuf; charset=binary", ""])
def test_a_receiver_that_has_them_all_answers_with_an_empty_message(response: Any, kind: str) -> None:
    assert judged(200, kind, b"", response) == Delivered()


OTHER_SERVICES = [
    (200, "text/html; charset=utf-8", b"<html>Welcome to nginx!"),
    (200, "text/html", b""),
    (200, "text/plain", b""),
    (200, "text/plain", b"OK"),
    (200, "", b"OK"),
    (200, "", b"\x00"),
    (200, "application/json", b"{}"),
    (200, "application/json", b'{"partialSuccess":{}}'),
    (200, "application/grpc", b""),
    (200, "application/octet-stream", b""),
    (200, PROTOBUF, b"\xff\xff"),
    (200, PROTOBUF, b"<html>Welcome"),
    (200, PROTOBUF, b"{}"),
    (201, PROTOBUF, b""),
    (202, PROTOBUF, b""),
    (202, "application/json", b"{}"),
    (202, "", b""),
    (204, "text/plain", b""),
    (206, PROTOBUF, b""),
    (207, "text/xml", b"<x/>"),
]


@pytest.mark.parametrize(
    ("status", "kind", "body", "response"),
    [
        (*answer, response)
        for answer in OTHER_SERVICES
        for response in RESPONSES
        if (answer[0], response) != (204, ExportLogsServiceResponse)
    ],
)
def test_any_other_success_is_another_service_behind_the_port(
    status: int, kind: str, body: bytes, response: Any
) -> None:
    outcome = judged(status, kind, body, response)
    assert isinstance(outcome, Retry)
    assert not outcome.isolate
    assert "http://c/v1/x is not an OTLP receiver: it answered" in outcome.why


def test_no_content_is_a_success_for_log_records_alone() -> None:
    """Loki answers so, and Grafana's gateway in front of it."""
    assert [word(judged(204, "", b"", response)) for response in RESPONSES] == [RETRY, RETRY, "delivered"]


@pytest.mark.parametrize(
    ("response", "field", "what"),
    [
        (ExportMetricsServiceResponse, "rejected_data_points", "data points"),
        (ExportTraceServiceResponse, "rejected_spans", "spans"),
        (ExportLogsServiceResponse, "rejected_log_records", "log records"),
    ],
)
def test_what_is_rejected_is_delivered_and_counted(response: Any, field: str, what: str) -> None:
    outcome = judged(200, PROTOBUF, rejecting(response, field), response)
    assert outcome == Delivered(rejected=3, why=f"the receiver rejected 3 {what}: no reason given")


# --- settings, and not the data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    ['invalid temporality and type combination for metric "x"', "Temporality DELTA is not supported"],
)
def test_a_wrong_temporality_is_a_setting_and_not_bad_data(message: str) -> None:
    outcomes = [
        judged(400, "text/plain", message.encode()),
        judged(500, "text/plain", message.encode()),  # Prometheus
        judged(400, PROTOBUF, Status(message=message).SerializeToString()),
        judge_grpc("INVALID_ARGUMENT", message, target="c", delay_s=None),
        judge_grpc("INTERNAL", message, target="c", delay_s=None),
    ]
    for outcome in outcomes:
        assert isinstance(outcome, Retry)
        assert not outcome.isolate
        assert outcome.why.endswith(": set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")


WITHOUT = {
    ExportTraceServiceResponse: "if the receiver accepts metrics only, set OTEL_TRACES_EXPORTER=none",
    ExportLogsServiceResponse: "if the receiver accepts no logs, set OTEL_LOGS_EXPORTER=none",
}


@pytest.mark.parametrize("response", WITHOUT)
@pytest.mark.parametrize("status", [404, 405, 501, "UNIMPLEMENTED"])
def test_an_unsupported_signal_is_reported_with_its_setting(status: int | str, response: type[Any]) -> None:
    if isinstance(status, str):
        outcome: Any = judge_grpc(status, "no", target="c", delay_s=None, response_type=response)
        metrics: Any = judge_grpc(status, "no", target="c", delay_s=None)
    else:
        outcome = judged(status, response=response)
        metrics = judged(status)
    assert outcome.why.endswith(WITHOUT[response])
    assert "EXPORTER=none" not in metrics.why
