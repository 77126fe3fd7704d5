"""A receiver that does not accept everything: it is in front of the collector and decides by ids, the same each time.

* Of some requests it rejects a span, or a point of the durations (partial success), and passes the rest on.
* It answers each request that holds a certain span with 500: that item can never be delivered.

It records every rejection, so that the comparison can expect the collector's data.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.waiting import bound_s
from tests.torture.stored import number_of

REJECTED_OF = 7
"""One of so many spans is rejected, and one of so many points of durations."""
POISON_OF = 41
"""Each request with one of so many spans is answered 500."""

Series = tuple[str, str]


def chosen(key: bytes, one_of: int) -> bool:
    """Choose one of so many keys, always the same ones."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big") % one_of == 0


class Picky:
    """Listens on a port of its own and passes what it accepts to the collector's."""

    def __init__(self, port: int, durations: str) -> None:
        self.target = port
        self.durations = durations
        self.withheld: dict[str, set[int]] = {}
        """The spans that never reach the collector, and the lines that their events are about."""
        self.rejected_counts: dict[Series, int] = {}
        """The largest count that was rejected of each series of durations."""
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"picky": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="picky", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self, body: bytes) -> tuple[bytes, bytes] | None:
        """Return the request without what is rejected, and the answer; None: 500."""
        request = ExportTraceServiceRequest.FromString(body)
        scopes = [scope for group in request.resource_spans for scope in group.scope_spans]
        spans = [span for scope in scopes for span in scope.spans]
        poison = [span for span in spans if chosen(b"poison" + span.span_id, POISON_OF)]
        rejected = [span for span in spans if chosen(span.span_id, REJECTED_OF) and span not in poison]
        with self.lock:
            self.withheld |= {span.span_id.hex(): lines_of(span) for span in (*poison, *rejected)}
        if poison:
            return None
        for group in request.resource_spans:
            for scope in list(group.scope_spans):
                for span in [span for span in scope.spans if span in rejected]:
                    scope.spans.remove(span)
                if not scope.spans:
                    group.scope_spans.remove(scope)
        response = ExportTraceServiceResponse()
        if rejected:
            response.partial_success.rejected_spans = len(rejected)
            response.partial_success.error_message = "not these"
        return request.SerializeToString(), response.SerializeToString()

    def points(self, body: bytes) -> tuple[bytes, bytes]:
        """Return the request without what is rejected, and the answer."""
        request = ExportMetricsServiceRequest.FromString(body)
        number = 0
        for group in request.resource_metrics:
            for scope in group.scope_metrics:
                for metric in list(scope.metrics):
                    if metric.name != self.durations:
                        continue
                    points = metric.histogram.data_points
                    for point in [p for p in points if chosen(p.time_unix_nano.to_bytes(8, "big"), REJECTED_OF)]:
                        labels = {a.key: _text(a.value) for a in point.attributes}
                        key = (metric.name, str(sorted(labels.items())))
                        with self.lock:
                            self.rejected_counts[key] = max(self.rejected_counts.get(key, 0), point.count)
                        points.remove(point)
                        number += 1
                    if not points:
                        scope.metrics.remove(metric)
        response = ExportMetricsServiceResponse()
        if number:
            response.partial_success.rejected_data_points = number
            response.partial_success.error_message = "not these"
        return request.SerializeToString(), response.SerializeToString()


def lines_of(span: Span) -> set[int]:
    """Return the numbers of the lines that a span's events are about."""
    values = [a.value for event in span.events for a in event.attributes if a.key == "value_ms"]
    return {number_of(round((value.double_value or value.int_value) * 1e6)) for value in values}


def _text(value: object) -> object:
    name = value.WhichOneof("value")  # type: ignore[attr-defined]
    return getattr(value, name)


class _Handler(BaseHTTPRequestHandler):
    picky: ClassVar[Picky]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        try:
            self._post()
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # the torture test stops the collector and closes connections

    def _post(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        taken = self.picky.spans(body) if self.path == "/v1/traces" else self.picky.points(body)
        if taken is None:
            self._answer(500, b"")
            return
        accepted, answer = taken
        collector = http.client.HTTPConnection("127.0.0.1", self.picky.target, timeout=bound_s(30))
        try:
            collector.request("POST", self.path, accepted, {"Content-Type": "application/x-protobuf"})
            response = collector.getresponse()
            said = response.read()
        finally:
            collector.close()
        self._answer(response.status, answer if response.status == 200 else said)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""
