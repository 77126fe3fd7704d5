"""Turns the answer of a receiver into what it means for the items that were sent. Pure.

- The receiver has decided about the items, also if it rejected some: Delivered.
- The answer is about the data itself: Refused.
- The receiver may accept the same bytes later, because it recovers or because its configuration is fixed: Retry. A
  wrong URL, a missing header or a full disk of the receiver quarantines no item.

Only an answer that the specification defines is a success, with few exceptions (docs/decisions/0083). Any other answer
may be from another service on the port, which would discard all data.

A status that the specification calls permanent but that also occurs in outages (500, UNKNOWN, 404 ...) is ``Retry``
with ``isolate``: one item may be the cause.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import msgspec
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # nor does googleapis-common-protos
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_logtail.exporters.wording import printable
from otel_logtail.model import Delivered, Refused, Retry

Outcome = Delivered | Retry | Refused
ExportResponse = ExportMetricsServiceResponse | ExportTraceServiceResponse | ExportLogsServiceResponse

RESPONSES: dict[str, type[ExportResponse]] = {
    "metrics": ExportMetricsServiceResponse,
    "traces": ExportTraceServiceResponse,
    "logs": ExportLogsServiceResponse,
}
"""The message of a successful answer, by signal."""

_REJECTED: dict[type[ExportResponse], tuple[str, str]] = {
    ExportMetricsServiceResponse: ("rejected_data_points", "data points"),
    ExportTraceServiceResponse: ("rejected_spans", "spans"),
    ExportLogsServiceResponse: ("rejected_log_records", "log records"),
}

MAX_AFTER_S = 86_400.0
"""The longest delay that a receiver can request, in seconds."""

_PROTOBUF = "application/x-protobuf"
_NOT_OTLP = "is not an OTLP receiver"

_HTTP_REFUSED = frozenset({400, 409, 413, 422})
_HTTP_RETRYABLE = frozenset({429, 502, 503, 504})
"""The specification's list."""

_HTTP_HINTS = {
    401: "the receiver requires credentials: set OTEL_EXPORTER_OTLP_HEADERS",
    403: "these credentials may not write there: see OTEL_EXPORTER_OTLP_HEADERS",
    404: "is this an OTLP endpoint? /v1/metrics and /v1/traces are appended to --otlp-endpoint",
    405: "is this an OTLP endpoint? it accepts no POST",
    407: "a proxy requires credentials: see HTTPS_PROXY and NO_PROXY",
    415: "the receiver doesn't accept protobuf or gzip: see OTEL_EXPORTER_OTLP_COMPRESSION",
    500: "the receiver failed: see its log",
}
_GRPC_REFUSED = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION"})
_GRPC_RETRYABLE = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})
"""The specification's list; RESOURCE_EXHAUSTED is on it if the answer contains a delay (RetryInfo)."""

_GRPC_HINTS = {
    "UNAUTHENTICATED": "the receiver requires credentials: set OTEL_EXPORTER_OTLP_HEADERS",
    "PERMISSION_DENIED": "these credentials may not write there: see OTEL_EXPORTER_OTLP_HEADERS",
    "UNIMPLEMENTED": "is this an OTLP endpoint?",
    "NOT_FOUND": "is this an OTLP endpoint?",
}
_NO_SUCH_SIGNAL = frozenset({"404", "405", "501", "UNIMPLEMENTED"})
_WITHOUT: dict[type[ExportResponse], str] = {
    ExportMetricsServiceResponse: "",
    ExportTraceServiceResponse: "if the receiver accepts metrics only, set OTEL_TRACES_EXPORTER=none",
    ExportLogsServiceResponse: "if the receiver accepts no logs, set OTEL_LOGS_EXPORTER=none",
}
"""The setting for a receiver that does not accept a signal: Prometheus, a collector without such a pipeline."""

_HAS_LATER = re.compile("out of order sample|duplicate sample for timestamp")
"""The messages of prometheus/prometheus, storage/interface.go, for a sample of a series that has a later one. (The
messages "out of bounds" and "too old sample" concern the age of a sample: another setting may accept it.)"""

_HTTP_SPOKEN = "is this an HTTP port? then use --otlp-protocol http/protobuf"
_TLS_SPOKEN = "if this port uses TLS, use https:// in the endpoint"
_TEMPORALITY = "the receiver does not accept this temporality: set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"


class HttpAnswer(msgspec.Struct, frozen=True):
    """An answer over HTTP. The names of ``headers`` are lower case; ``body`` may be incomplete."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def lacks_signal(outcome: Outcome) -> bool:
    """Return whether an answer is that of a receiver without the signal, such as a collector without its pipeline."""
    statuses = "|".join(sorted(_NO_SUCH_SIGNAL))
    return isinstance(outcome, Retry) and re.match(rf"\S+ answered ({statuses})\b", outcome.why) is not None


def has_later_points(refused: Refused) -> bool:
    """Return whether the receiver has a later point of a series, and accepts no earlier one (Prometheus' wording)."""
    return _HAS_LATER.search(refused.why) is not None


def judge_response(response: ExportResponse) -> Delivered:
    """Return the meaning of a success: the receiver has decided, also about the items that it rejects."""
    partial = response.partial_success
    field, what = _REJECTED[type(response)]
    rejected = max(0, getattr(partial, field))
    message = printable(partial.error_message)
    if rejected:
        why = f"the receiver rejected {rejected} {what}: {message or 'no reason given'}"
        return Delivered(rejected=rejected, why=why)
    return Delivered(why=message)


def judge_http(answer: HttpAnswer, response_type: type[ExportResponse], *, url: str, now_s: float) -> Outcome:
    """Return the meaning of an answer; ``now_s`` (seconds since the epoch) is for a Retry-After that is a date."""
    status = answer.status
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if 200 <= status < 300:
        return _judge_success(answer, kind, response_type, url)
    why = f"{url} answered {_status(status)}"
    if 300 <= status < 400:
        location = printable(answer.headers.get("location", "")) or "nowhere"
        return Retry(f"{why}, a redirect to {location}: give that address as the endpoint, if it is the right one")
    html = kind == "text/html"
    message = printable(_message(kind, answer.body))
    hint = _hint(str(status), _HTTP_HINTS.get(status, ""), response_type)
    setting = True
    if status not in _HTTP_RETRYABLE and not html and _is_temporality(message):
        hint = _TEMPORALITY
    elif status in _HTTP_REFUSED and (html or "HTTPS" in message):
        hint = "is this an OTLP endpoint?" if html else "use https:// in the endpoint"
    else:
        setting = False
    why = ": ".join(part for part in (why, "" if html else message, hint) if part)
    if status in _HTTP_REFUSED and not setting:
        return Refused(why)
    after_s = retry_after_s(answer.headers.get("retry-after", ""), now_s)
    return Retry(why, after_s, isolate=status not in _HTTP_RETRYABLE and not setting)


def _judge_success(answer: HttpAnswer, kind: str, response_type: type[ExportResponse], url: str) -> Outcome:
    """Return the meaning of a 2xx: data counts as delivered only if an OTLP receiver answered."""
    if answer.status == 200 and (kind == _PROTOBUF or not (kind or answer.body)):
        # an empty message is an empty body, for which many servers omit the content type (Prometheus)
        try:
            return judge_response(response_type.FromString(answer.body))
        except DecodeError:
            return Retry(f"{url} {_NOT_OTLP}: it answered 200 OK with a body that is not an OTLP response")
    if answer.status == 204 and response_type is ExportLogsServiceResponse:
        return Delivered()  # Loki, and gateways in front of it
    expected = "a receiver answers 200 OK with application/x-protobuf"
    with_ = f" with {printable(kind)}" if kind else ""
    return Retry(f"{url} {_NOT_OTLP}: it answered {_status(answer.status)}{with_}; {expected}")


def _hint(status: str, hint: str, response_type: type[ExportResponse]) -> str:
    """Return the setting that turns off a signal which the receiver does not accept."""
    without = _WITHOUT[response_type] if status in _NO_SUCH_SIGNAL else ""
    return f"is this an OTLP endpoint? {without}" if without else hint


def _is_temporality(message: str) -> bool:
    """Return whether an error about the data (or a failure: Prometheus) is about the temporality, a setting."""
    return "temporality" in message.lower()


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _message(kind: str, body: bytes) -> str:
    if kind == "application/x-protobuf":
        try:
            return str(Status.FromString(body).message)
        except DecodeError:
            return ""
    return body.decode("utf-8", "replace")


def retry_after_s(value: str, now_s: float) -> float:
    """Return the delay in a Retry-After header (seconds, or a date) in seconds; 0 if it can't be read."""
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(min(int(value[:12]), MAX_AFTER_S))
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return min(max(0.0, date.timestamp() - now_s), MAX_AFTER_S)


def judge_grpc(
    code: str,
    details: str,
    *,
    target: str,
    delay_s: float | None,
    response_type: type[ExportResponse] = ExportMetricsServiceResponse,
) -> Retry | Refused:
    """Return the meaning of a failed call; ``code`` is the name of its status, ``delay_s`` its RetryInfo or None."""
    message = printable(details)
    hint = _hint(code, _GRPC_HINTS.get(code, ""), response_type)
    if code in ("UNAVAILABLE", "INTERNAL", "UNKNOWN") and "http1" in message.lower().replace("/", "").replace(".", ""):
        hint = _HTTP_SPOKEN
    if "failed to connect" in message and message.endswith("Socket closed"):
        hint = _TLS_SPOKEN
    setting = code not in _GRPC_RETRYABLE and _is_temporality(message)
    if setting:
        hint = _TEMPORALITY
    why = ": ".join(part for part in (f"{target} answered {code}", message, hint) if part)
    # an error about sizes from our own side ("CLIENT: ...") is about the answer, not about the request
    too_large = code == "RESOURCE_EXHAUSTED" and "larger than max" in message and not message.startswith("CLIENT:")
    if (code in _GRPC_REFUSED and not setting) or (too_large and delay_s is None):
        return Refused(why)
    asked = code == "RESOURCE_EXHAUSTED" and delay_s is not None
    # a request that takes too long is sent again in smaller ones
    isolate = code == "DEADLINE_EXCEEDED" or not (code in _GRPC_RETRYABLE or asked or setting)
    return Retry(why, min(max(0.0, delay_s or 0.0), MAX_AFTER_S), isolate)
