"""One signal over OTLP/gRPC, through the generated stubs: the SDK's exporters hide the receiver's status."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

# none of these four ships types
import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from otel_logtail.exporters.otlp.answer import RESPONSES, Outcome, judge_grpc, judge_response
from otel_logtail.exporters.otlp.config import Signal
from otel_logtail.exporters.otlp.encoding import ExportRequest, SignalName
from otel_logtail.exporters.otlp.tls import ask, explain, read_tls
from otel_logtail.model import Retry

MAX_ANSWER = 4 * 1024 * 1024
"""The largest answer that is read: a partial success may be long."""

_STUBS: dict[SignalName, Any] = {"metrics": MetricsServiceStub, "traces": TraceServiceStub, "logs": LogsServiceStub}

_OPTIONS = (
    # no retries inside gRPC: it would call a receiver that answers with GOAWAY again as fast as it can, and each call
    # takes memory until the call's deadline (250 MB/s were measured)
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", MAX_ANSWER),
    # a channel waits between its attempts to connect, by default up to two minutes: delivery has its own backoff, and
    # an attempt after the wait should use the current state of the receiver
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


_GRACE_S = 0.5
"""The time after a call's own deadline at which it is given up: gRPC misses it while a receiver floods it."""


class GrpcSender:
    """Calls Export of one signal's service on one target."""

    def __init__(self, signal: Signal, name: SignalName, *, user_agent: str) -> None:
        self._signal = signal
        self._lock = Lock()
        self._closed = False
        self._closing: Thread | None = None
        options = (("grpc.primary_user_agent", user_agent), *_OPTIONS)
        compression = grpc.Compression.Gzip if signal.gzip else grpc.Compression.NoCompression
        if signal.tls:
            tls = read_tls(signal)
            credentials = grpc.ssl_channel_credentials(tls.roots, tls.key, tls.certificate)
            self._connect = partial(grpc.secure_channel, signal.endpoint, credentials, options, compression)
        else:
            self._connect = partial(grpc.insecure_channel, signal.endpoint, options, compression)
        self._name = name
        self._channel: Any = self._connect()
        self._export = _STUBS[name](self._channel).Export

    def send(self, message: ExportRequest) -> Outcome:
        """Call Export with one message."""
        signal = self._signal
        if not self._open():
            return Retry("the exporter is closed" if self._closed else f"{signal.endpoint} floods the connection")
        late = f"no answer within {signal.timeout_s * 1000:.0f} ms"
        try:
            call = self._export.future(message, timeout=signal.timeout_s, metadata=signal.headers)
            response = call.result(signal.timeout_s + _GRACE_S)
        except grpc.FutureTimeoutError:
            self._hang_up()
            return judge_grpc("DEADLINE_EXCEEDED", late, target=signal.endpoint, delay_s=None)
        except grpc.FutureCancelledError:
            return Retry("the exporter is closed")
        except grpc.RpcError as error:
            code, details = error.code().name, error.details() or ""
            if code == "DEADLINE_EXCEEDED":
                details = late
            if code == "UNAVAILABLE" and signal.tls:
                details = _tls_words(signal, details) or details
            delay_s = _retry_delay_s(error.trailing_metadata() or ())
            return judge_grpc(
                code, details, target=signal.endpoint, delay_s=delay_s, response_type=RESPONSES[self._name]
            )
        except ValueError:  # the only error that grpc has for a call on a closed channel
            return Retry("the exporter is closed")
        return judge_response(response)

    def close(self) -> None:
        """Close the channel: a call that another thread waits for ends as cancelled."""
        self._closed = True
        self._hang_up()

    def _hang_up(self) -> bool:
        """Close the channel; return whether it is closed: closing blocks while a receiver floods the connection."""
        with self._lock:
            if self._closing is None:
                self._closing = Thread(target=self._channel.close, daemon=True)
                self._closing.start()
        self._closing.join(_GRACE_S)
        return not self._closing.is_alive()

    def _open(self) -> bool:
        """Open a channel; return whether there is one: the last one may still be closing."""
        if self._closing is None:
            return True
        if self._closed or not self._hang_up():
            return False
        with self._lock:
            self._channel, self._closing = self._connect(), None
            self._export = _STUBS[self._name](self._channel).Export
        return True


def _tls_words(signal: Signal, details: str) -> str:
    """Return the problem with TLS, if that is the cause: gRPC does not report a receiver's alert."""
    address = urlsplit(f"//{signal.endpoint}")
    try:
        host, port = address.hostname, address.port
    except ValueError:  # a target in gRPC's own syntax, such as unix:///run/otel.sock
        host = port = None
    return (ask(signal, host, port) if host and port else "") or explain(signal, details)


def _retry_delay_s(metadata: Iterable[tuple[str, str | bytes]]) -> float | None:
    """Return the delay in the status details (google.rpc.RetryInfo) in seconds, or None."""
    for key, value in metadata:
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        try:
            details = Status.FromString(value).details
            for detail in details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
        except DecodeError:
            return None
    return None
