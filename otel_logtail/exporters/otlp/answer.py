"""What a receiver's answer means for the items that were sent: pure.

Three questions decide. Does the receiver have them? Delivered. Could the same bytes be taken later, because the
receiver recovers or because somebody mends the configuration? Retry: nothing is ever set aside for a wrong URL, a
missing header or a full disk over there. Does the answer speak of the data itself? Refused.
"""

from __future__ import annotations

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

_REJECTED: dict[type[ExportResponse], tuple[str, str]] = {
    ExportMetricsServiceResponse: ("rejected_data_points", "data points"),
    ExportTraceServiceResponse: ("rejected_spans", "spans"),
    ExportLogsServiceResponse: ("rejected_log_records", "log records"),
}

MAX_AFTER_S = 86_400.0
"""A receiver that asks for more than a day of patience gets a day."""

_HTTP_REFUSED = frozenset({400, 409, 413, 422})
_HTTP_HINTS = {
    401: "the receiver wants credentials: set OTEL_EXPORTER_OTLP_HEADERS",
    403: "these credentials may not write there: see OTEL_EXPORTER_OTLP_HEADERS",
    404: "is this an OTLP endpoint? /v1/metrics and /v1/traces are appended to --otlp-endpoint",
    405: "is this an OTLP endpoint? it takes no POST",
    407: "a proxy wants credentials: see HTTPS_PROXY and NO_PROXY",
    415: "the receiver doesn't know protobuf or gzip: see OTEL_EXPORTER_OTLP_COMPRESSION",
    500: "the receiver failed: see its log",
}
_GRPC_REFUSED = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION"})
_GRPC_HINTS = {
    "UNAUTHENTICATED": "the receiver wants credentials: set OTEL_EXPORTER_OTLP_HEADERS",
    "PERMISSION_DENIED": "these credentials may not write there: see OTEL_EXPORTER_OTLP_HEADERS",
    "UNIMPLEMENTED": "is this an OTLP endpoint, with a pipeline for this signal?",
    "NOT_FOUND": "is this an OTLP endpoint?",
}
_HTTP_SPOKEN = "is this an HTTP port? then use --otlp-protocol http/protobuf"
_TLS_SPOKEN = "does this port speak TLS? then use https:// in the endpoint"


class HttpAnswer(msgspec.Struct, frozen=True):
    """What came back over HTTP. The names of ``headers`` are lower case; ``body`` may have been cut off."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def judge_response(response: ExportResponse) -> Delivered | Refused:
    """What a success means: a receiver may accept a request and reject some of what is in it."""
    partial = response.partial_success
    field, what = _REJECTED[type(response)]
    rejected = getattr(partial, field)
    if rejected <= 0:
        return Delivered()
    message = printable(partial.error_message) or "no reason given"
    return Refused(f"the receiver rejected {rejected} {what}: {message}")


def judge_http(answer: HttpAnswer, response_type: type[ExportResponse], *, url: str, now_s: float) -> Outcome:
    """What an answer over HTTP means; ``now_s`` (seconds since the epoch) is for a Retry-After that is a date."""
    status = answer.status
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    html = kind == "text/html"
    if 200 <= status < 300:
        if html:
            return Retry(f"{url} answered with a web page: is this an OTLP endpoint?")
        if kind != "application/x-protobuf":
            return Delivered()
        try:
            return judge_response(response_type.FromString(answer.body))
        except DecodeError:
            return Retry(f"{url} answered {status} with something that is not OTLP: is this an OTLP endpoint?")
    why = f"{url} answered {_status(status)}"
    if 300 <= status < 400:
        location = printable(answer.headers.get("location", "")) or "nowhere"
        return Retry(f"{why}, a redirect to {location}: give that address as the endpoint, if it is the right one")
    message = printable(_message(kind, answer.body))
    hint = _HTTP_HINTS.get(status, "")
    misplaced = html or "HTTPS" in message
    if misplaced and status in _HTTP_REFUSED:
        hint = "is this an OTLP endpoint?" if html else "use https:// in the endpoint"
    why = ": ".join(part for part in (why, "" if html else message, hint) if part)
    if status in _HTTP_REFUSED and not misplaced:
        return Refused(why)
    return Retry(why, retry_after_s(answer.headers.get("retry-after", ""), now_s))


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
    """The seconds that a Retry-After header (seconds, or a date) asks for; 0 if it can't be read."""
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(min(int(value[:12]), MAX_AFTER_S))
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return min(max(0.0, date.timestamp() - now_s), MAX_AFTER_S)


def judge_grpc(code: str, details: str, *, target: str, delay_s: float | None) -> Retry | Refused:
    """What a failed call means; ``code`` is the name of its status, ``delay_s`` its RetryInfo (None: it had none)."""
    message = printable(details)
    hint = _GRPC_HINTS.get(code, "")
    if code in ("UNAVAILABLE", "INTERNAL", "UNKNOWN") and "http1" in message.lower().replace("/", "").replace(".", ""):
        hint = _HTTP_SPOKEN
    if "failed to connect" in message and message.endswith("Socket closed"):
        hint = _TLS_SPOKEN
    why = ": ".join(part for part in (f"{target} answered {code}", message, hint) if part)
    # our own side speaks of sizes too ("CLIENT: ..."): then it was the answer that was too large, not the request
    too_large = code == "RESOURCE_EXHAUSTED" and "larger than max" in message and not message.startswith("CLIENT:")
    if code in _GRPC_REFUSED or (too_large and delay_s is None):
        return Refused(why)
    return Retry(why, min(max(0.0, delay_s or 0.0), MAX_AFTER_S))
