"""The contract suite over every exporter of ours, each with its real receiver."""

from __future__ import annotations

import json
import os
import re
import select
import sqlite3
import tempfile
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import Request, urlopen

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import msgspec
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage  # type: ignore[import-untyped]  # nor does protobuf
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # nor does googleapis-common-protos
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
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
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from websockets.sync.server import ServerConnection

from otel_logtail import plugins
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.exporters.console import exporter as console
from otel_logtail.exporters.hex.bus import HexExporter
from otel_logtail.exporters.hex.config import read_bus
from otel_logtail.exporters.hex.events import event_of, row_of
from otel_logtail.exporters.hex.link import Link
from otel_logtail.exporters.hex.telemetry import HexTelemetryExporter
from otel_logtail.exporters.jsonl import exporter as jsonl
from otel_logtail.exporters.otlp import exporter as otlp
from otel_logtail.exporters.otlp.encoding import Encoding
from otel_logtail.exporters.prometheus.exporter import PrometheusExporter
from otel_logtail.model import (
    BreachRecord,
    Delivered,
    Delivery,
    EpisodeRecord,
    ExportBatch,
    Instrument,
    Item,
    MarkRecord,
    Partial,
    PartRecord,
    Point,
    Refused,
    Retry,
    Stream,
)
from otel_logtail.option import Options
from otel_logtail.testing import RETRY_AFTER_S, ExporterContract, Fault, Receiver, Told
from tests.support.hex_engine import Engine
from tests.support.waiting import bound_s

STREAMS = {"metrics": Stream.INTERVALS, "traces": Stream.EPISODES, "logs": Stream.BREACHES}
INSTRUMENTS = {
    Instrument.DURATION: ("duration",),
    Instrument.STAGE: ("stage.duration",),
    Instrument.BREACHES: ("breaches",),
    Instrument.EPISODES: ("episodes", "episode.duration"),
    Instrument.EPISODE_TIME: ("episode.time",),
}

VALUES = {"sum": "asInt", "histogram": "count"}
MAXIMA = {Instrument.DURATION: "max_duration", Instrument.EPISODES: "episode.max_duration"}


# --- OTLP: the content of a request as JSON, for any transport --------------------------------------------------------


def value_of(point: Point) -> float:
    is_time = point.series.instrument is Instrument.EPISODE_TIME
    return point.total.sum_ns / 1e9 if is_time else point.total.count


def otlp_told(item: Item) -> Iterator[Told]:
    if isinstance(item, Point):
        for suffix in INSTRUMENTS[item.series.instrument]:
            attributes = tuple(sorted((key, str(value)) for key, value in item.series.attributes))
            yield (f"log.overhead.{suffix}", attributes, item.time_ns), (item.start_ns, value_of(item))
        maximum = MAXIMA.get(item.series.instrument)
        if maximum and item.delta.count:
            yield (f"log.overhead.{maximum}", attributes, item.time_ns), (0, item.delta.max_ns / 1e9)
    elif isinstance(item, EpisodeRecord):
        episode = item.episode
        yield (episode.trace_id.hex(), episode.span_id.hex()), (episode.start_ns, episode.end_ns, episode.count)
    elif isinstance(item, PartRecord):
        part = item.part
        yield (
            (item.trace_id.hex(), part.span_id.hex()),
            (item.parent_id.hex(), len(item.breaches), part.start_ns, part.end_ns, part.count),
        )
    elif isinstance(item, BreachRecord):
        yield item.uid.hex(), (item.time_ns, item.trace_id.hex(), item.span_id.hex())
    elif isinstance(item, MarkRecord):
        yield item.uid.hex(), (item.time_ns, item.text)


def otlp_lane(name: Hashable) -> Hashable:
    """A request sorts points by metric: the order that is kept is that of each series."""
    return name[:2] if isinstance(name, tuple) and len(name) == 3 else None


def attributes_of(holder: Mapping[str, Any]) -> dict[str, str]:
    return {a["key"]: str(next(iter(a["value"].values()))) for a in holder.get("attributes", [])}


def in_request(data: Mapping[str, Any]) -> Iterator[tuple[Stream, Told]]:
    """Return the content of a request as OTLP's JSON."""
    for resource in data.get("resourceMetrics", []):
        for metric in resource["scopeMetrics"][0]["metrics"]:
            (kind,) = {"sum", "histogram", "gauge"} & set(metric)
            for point in metric[kind]["dataPoints"]:
                name = (metric["name"], tuple(sorted(attributes_of(point).items())), int(point["timeUnixNano"]))
                # JSON leaves out what is 0
                has_double = kind == "gauge" or metric["name"].endswith(".time")
                value = point.get("asDouble", 0.0) if has_double else int(point.get(VALUES[kind], 0))
                yield Stream.INTERVALS, (name, (int(point.get("startTimeUnixNano", 0)), value))
    for resource in data.get("resourceSpans", []):
        for span in resource["scopeSpans"][0]["spans"]:
            times = (int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
            count = int(attributes_of(span)["count"])
            ids, parent, events = (span["traceId"], span["spanId"]), span.get("parentSpanId"), span.get("events", [])
            if parent:
                yield Stream.PARTS, (ids, (parent, len(events), *times, count))
            else:
                yield Stream.EPISODES, (ids, (*times, count))
    for resource in data.get("resourceLogs", []):
        for record in resource["scopeLogs"][0]["logRecords"]:
            uid, time_ns = attributes_of(record)["log.record.uid"], int(record["timeUnixNano"])
            if record["eventName"] == "log.overhead.mark":
                yield Stream.MARKS, (uid, (time_ns, record["body"]["stringValue"]))
            else:
                yield Stream.BREACHES, (uid, (time_ns, record["traceId"], record["spanId"]))


class OtlpReceiver(Receiver):
    """A receiver's acceptance and answers; the two subclasses below add the transport."""

    def __init__(self) -> None:
        self._fault: Fault | None = None
        self._poison: set[Hashable] = set()
        self._taken: list[tuple[Stream, Told]] = []
        self._before = 0
        self._lock = threading.Lock()
        self._released = threading.Event()

    @abstractmethod
    def options(self) -> dict[str, str]: ...

    def exporter(self) -> Exporter:
        made = otlp.make(ExporterContext({}, {**self.options(), "events": "both"}, host="box", version="1.2.3"))
        # a batch is several requests
        made.encoding = msgspec.structs.replace(made.encoding, max_records=16)
        return made

    def told(self, item: Item) -> Iterable[Told]:
        return otlp_told(item)

    def lane(self, name: Hashable) -> Hashable:
        return otlp_lane(name)

    def received(self, stream: Stream) -> Sequence[Told]:
        return [told for of, told in self._taken if of is stream]

    def play(self, fault: Fault, item: Item | None = None) -> None:
        self._fault = fault
        self._poison = set() if item is None else {name for name, _ in otlp_told(item)}
        self._before = len(self._taken)

    def recover(self) -> None:
        self._fault = None
        self._released.set()

    def close(self) -> None:
        self.recover()

    def take(self, message: Any) -> tuple[Fault | None, int]:
        """Accept a request, or fail as played (None: no fault); returns the number of rejected items, too."""
        inside = list(in_request(json.loads(jsonl.to_json(message))))
        with self._lock:
            fault = self._fault
            if fault is Fault.PARTIAL and any(of is inside[0][0] for of, _ in self._taken[self._before :]):
                return Fault.LATER, 0
            healthy = [(of, told) for of, told in inside if told[0] not in self._poison]
            if fault in (Fault.REFUSE, Fault.REJECT, Fault.FAIL) and healthy == inside:
                fault = None
            if fault in (None, Fault.UNCLEAR, Fault.PARTIAL, Fault.REJECT):
                self._taken += healthy if fault is Fault.REJECT else inside
        if fault is Fault.HANG:
            self._released.wait(bound_s(30))
        if fault is Fault.REJECT:
            return None, len(inside) - len(healthy)
        return None if fault is Fault.PARTIAL else fault, 0


def rejecting(response: Any, count: int) -> Any:
    """Return a response that rejects so many data points, spans or log records."""
    if count:
        (field,) = (
            name.name for name in response.partial_success.DESCRIPTOR.fields if name.name.startswith("rejected")
        )
        setattr(response.partial_success, field, count)
        response.partial_success.error_message = "poison"
    return response


class HttpReceiver(OtlpReceiver):
    def __init__(self) -> None:
        super().__init__()
        receiver = self
        kinds: dict[str, Any] = {
            "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
            "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
            "/v1/logs": (ExportLogsServiceRequest, ExportLogsServiceResponse),
        }

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request, response = kinds[self.path]
                fault, count = receiver.take(request.FromString(body))
                answer = rejecting(response(), count).SerializeToString()
                if fault in (Fault.UNCLEAR, Fault.HANG):
                    self.close_connection = True
                    return
                statuses = {None: 200, Fault.REFUSE: 400, Fault.FAIL: 500, Fault.LATER: 503, Fault.RETRY_AFTER: 429}
                self.send_response(statuses[fault])
                self.send_header("Content-Length", f"{len(answer)}")
                self.send_header("Content-Type", "application/x-protobuf")
                if fault is Fault.RETRY_AFTER:
                    self.send_header("Retry-After", f"{RETRY_AFTER_S:.0f}")
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def options(self) -> dict[str, str]:
        return {"otlp_endpoint": f"http://127.0.0.1:{self._server.server_address[1]}", "otlp_protocol": "http/protobuf"}

    def close(self) -> None:
        super().close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class TestOtlpOverHttp(ExporterContract):
    def receiver(self) -> Receiver:
        return HttpReceiver()


class GrpcReceiver(OtlpReceiver):
    def __init__(self) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool)
        receiver = self

        class Metrics(MetricsServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the protocol
                return receiver.answer(request, context, ExportMetricsServiceResponse())

        class Traces(TraceServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
                return receiver.answer(request, context, ExportTraceServiceResponse())

        class Logs(LogsServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
                return receiver.answer(request, context, ExportLogsServiceResponse())

        add_MetricsServiceServicer_to_server(Metrics(), self._server)  # type: ignore[no-untyped-call]
        add_TraceServiceServicer_to_server(Traces(), self._server)  # type: ignore[no-untyped-call]
        add_LogsServiceServicer_to_server(Logs(), self._server)  # type: ignore[no-untyped-call]
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def options(self) -> dict[str, str]:
        return {"otlp_endpoint": f"http://127.0.0.1:{self._port}", "otlp_protocol": "grpc"}

    def answer(self, request: Any, context: Any, otherwise: Any) -> Any:
        fault, count = self.take(request)
        if fault is Fault.RETRY_AFTER:
            info = RetryInfo()
            info.retry_delay.FromNanoseconds(round(RETRY_AFTER_S * 1e9))
            detail = AnyMessage()
            detail.Pack(info)
            status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="enough", details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
        elif fault is Fault.REFUSE:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "poison")
        elif fault is Fault.FAIL:
            context.abort(grpc.StatusCode.INTERNAL, "poison")
        elif fault is not None:
            context.abort(grpc.StatusCode.UNAVAILABLE, fault.name)
        return rejecting(otherwise, count)

    def close(self) -> None:
        super().close()
        self._server.stop(None).wait()
        self._pool.shutdown()


class TestOtlpOverGrpc(ExporterContract):
    def receiver(self) -> Receiver:
        return GrpcReceiver()


# --- the hex bus ------------------------------------------------------------------------------------------------------


class PlayedEngine(Engine):
    """An engine that asks what to do with each call."""

    def __init__(self, choose: Callable[[dict[str, Any]], str]) -> None:
        super().__init__()
        self._choose = choose

    def _set(self, connection: ServerConnection, frame: dict[str, Any]) -> None:
        self.script = iter([self._choose(frame["data"]["value"])])
        super()._set(connection, frame)


class HexReceiver(Receiver):
    def __init__(self) -> None:
        self._fault: Fault | None = None
        self._poison = ""
        self._before = 0
        self._engine = PlayedEngine(self._choose)
        self._engine.start()

    def _choose(self, value: dict[str, Any]) -> str:
        if self._fault is Fault.PARTIAL:
            return "ok" if len(self._engine.stored) == self._before else "SET_ERROR"
        if self._fault in (Fault.REFUSE, Fault.FAIL):
            word = "FORBIDDEN" if self._fault is Fault.REFUSE else "INTERNAL"
            return word if value["data"]["id"] == self._poison else "ok"
        words = {None: "ok", Fault.LATER: "SET_ERROR", Fault.UNCLEAR: "drop", Fault.HANG: "mute"}
        return words[self._fault]

    def exporter(self) -> Exporter:
        return HexExporter(Link(read_bus(Options({}, {"hex_url": self._engine.url})), timeout_s=20.0), None)

    def told(self, item: Item) -> Iterable[Told]:
        assert isinstance(item, BreachRecord | EpisodeRecord)
        data = json.loads(msgspec.json.encode(event_of(item)))
        return [(data["data"]["id"], data)]

    def received(self, stream: Stream) -> Sequence[Told]:
        length = {Stream.BREACHES: 32, Stream.EPISODES: 16}[stream]  # a uid, a span id
        return [(value["data"]["id"], value) for value in self._engine.stored if len(value["data"]["id"]) == length]

    def play(self, fault: Fault, item: Item | None = None) -> None:
        self._fault = fault
        self._poison = "" if item is None else next(str(name) for name, _ in self.told(item))
        self._before = len(self._engine.stored)

    def recover(self) -> None:
        self._fault = None

    def close(self) -> None:
        self._engine.stop()


class TestHex(ExporterContract):
    cannot: ClassVar = {
        Fault.RETRY_AFTER: "an answer of the engine holds no time to wait",
        Fault.REJECT: "a call holds one event, so an answer is about that event alone",
    }

    def receiver(self) -> Receiver:
        return HexReceiver()


class FolderReceiver(Receiver):
    """A folder, which is moved away while nothing can be taken."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._there, self._away = Path(self._folder.name, "there"), Path(self._folder.name, "away")
        self._there.mkdir()

    def play(self, fault: Fault, item: Item | None = None) -> None:
        assert fault is Fault.LATER
        self._there.rename(self._away)

    def recover(self) -> None:
        self._away.rename(self._there)

    def close(self) -> None:
        self._folder.cleanup()


class TelemetryReceiver(FolderReceiver):
    """Hex's folder."""

    def __init__(self) -> None:
        super().__init__()
        (self._there / ".hex").mkdir()
        self._path = self._there / ".hex" / "telemetry" / "events.db"

    def exporter(self) -> Exporter:
        return HexTelemetryExporter(self._path)

    def told(self, item: Item) -> Iterable[Told]:
        assert isinstance(item, BreachRecord | EpisodeRecord)
        row = row_of(item)
        return [(row.detail, (row.ts, row.source, row.event, row.status, row.duration_ms))]

    def received(self, stream: Stream) -> Sequence[Told]:
        with closing(sqlite3.connect(self._path)) as db:
            columns = "detail, ts, source, event, status, duration_ms"
            rows = db.execute(f"SELECT {columns} FROM events ORDER BY id").fetchall()
        event = {Stream.BREACHES: "overhead", Stream.EPISODES: "stall_episode"}[stream]
        return [(detail, tuple(values)) for detail, *values in rows if values[2] == event]


class TestHexTelemetry(ExporterContract):
    cannot: ClassVar = {
        Fault.RETRY_AFTER: "a database asks for nothing",
        Fault.UNCLEAR: "a commit is known to have happened, or not to have",
        Fault.REFUSE: "it takes what is a row; a table of another shape has a test of its own",
        Fault.REJECT: "a batch is one transaction",
        Fault.FAIL: "a database fails at all rows or none",
        Fault.PARTIAL: "a batch is one transaction",
        Fault.HANG: "a lock is waited for two seconds, whatever comes; it has a test of its own",
    }

    def receiver(self) -> Receiver:
        return TelemetryReceiver()


# --- a file -----------------------------------------------------------------------------------------------------------


class JsonlReceiver(FolderReceiver):
    """A folder for files."""

    def __init__(self) -> None:
        super().__init__()
        file = str(self._there / "x.jsonl")
        self._options = {"jsonl_file": file, "events": "both", "jsonl_max_size": "4kB", "jsonl_keep": "200"}

    def exporter(self) -> Exporter:
        return jsonl.make(ExporterContext({}, self._options, host="box", version="1.2.3"))

    def told(self, item: Item) -> Iterable[Told]:
        return otlp_told(item)

    def lane(self, name: Hashable) -> Hashable:
        return otlp_lane(name)

    def received(self, stream: Stream) -> Sequence[Told]:
        files = sorted(
            self._there.iterdir(), key=lambda path: -int(path.suffix[1:] if path.suffix[1:].isdigit() else 0)
        )
        assert len(files) > 1
        lines = [line for path in files for line in path.read_bytes().splitlines()]
        return [told for line in lines for of, told in in_request(json.loads(line)) if of is stream]


class TestJsonl(ExporterContract):
    cannot: ClassVar = {
        Fault.RETRY_AFTER: "a disk asks for nothing",
        Fault.UNCLEAR: "the system says what was written",
        Fault.REFUSE: "a disk does not look at what it is given",
        Fault.REJECT: "a disk does not look at what it is given",
        Fault.FAIL: "a disk does not look at what it is given",
        Fault.PARTIAL: "what does not go in as a whole is cut off again; a disk that is full has a test of its own",
        Fault.HANG: "a write to a disk can't be given up",
    }

    def receiver(self) -> Receiver:
        return JsonlReceiver()


# --- standard output --------------------------------------------------------------------------------------------------


class ConsoleReceiver(Receiver):
    """The reader of a pipe: it reads, stops reading, or leaves (another one can take its place)."""

    def __init__(self) -> None:
        self._text = b""
        self._reader, self._fd = os.pipe()
        self._reading = threading.Event()
        self._stop = False
        self._start()

    def _start(self) -> None:
        self._stop = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _end(self) -> None:
        self._stop = True
        self._thread.join()

    def _read(self) -> None:
        while select.select([self._reader], [], [], 0 if self._stop else 0.01)[0] or not self._stop:
            if select.select([self._reader], [], [], 0)[0]:
                self._text += os.read(self._reader, 65536)

    def exporter(self) -> Exporter:
        return console.ConsoleExporter(self._fd)

    def told(self, item: Item) -> Iterable[Told]:
        return [(line, "") for line in console.lines(item)]

    def received(self, stream: Stream) -> Sequence[Told]:
        deadline = time.monotonic() + bound_s(10)
        while select.select([self._reader], [], [], 0)[0] and time.monotonic() < deadline:
            time.sleep(0.001)  # written data is in the pipe to our own reader
        self._end()
        self._start()
        word = f" {stream.value.removesuffix('es' if stream is Stream.BREACHES else 's')}: "
        return [(line, "") for line in self._text.decode().split("\n")[:-1] if word in line]

    def play(self, fault: Fault, item: Item | None = None) -> None:
        self._end()
        if fault is Fault.LATER:
            os.close(self._reader)
        else:
            assert fault is Fault.HANG
            os.set_blocking(self._fd, False)
            try:
                while True:
                    os.write(self._fd, b"\n" * 512)  # the pipe is full, of lines without text
            except BlockingIOError:
                os.set_blocking(self._fd, True)

    def recover(self) -> None:
        if not self._thread.is_alive() and select.select([], [self._fd], [], 0)[1]:
            self._reader, writer = os.pipe()
            os.dup2(writer, self._fd)
            os.close(writer)
        self._start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._end()
        for fd in (self._reader, self._fd):
            os.close(fd)


class TestConsole(ExporterContract):
    cannot: ClassVar = {
        Fault.RETRY_AFTER: "a reader asks for nothing",
        Fault.UNCLEAR: "the system says what was written",
        Fault.REFUSE: "a reader does not answer",
        Fault.REJECT: "a reader does not answer",
        Fault.FAIL: "a reader does not answer",
        Fault.PARTIAL: "it has a test of its own: how much a pipe takes is the system's affair",
    }

    def receiver(self) -> Receiver:
        return ConsoleReceiver()


# --- a scrape endpoint ------------------------------------------------------------------------------------------------


class WatchedPrometheus(PrometheusExporter):
    """Read it once more before it exits."""

    def __init__(self, scraper: Scraper) -> None:
        super().__init__("127.0.0.1", 0, Encoding(version="1.2.3", host="box"))
        self._scraper = scraper

    @property
    def alive(self) -> bool:
        return self._server.is_alive

    def close(self) -> None:
        if self.alive:
            self._scraper.look(self)
        super().close()


class Scraper(Receiver):
    """A Prometheus: it scrapes when it chooses, and gets the newest values."""

    OTHERS = re.compile("job$|instance$|otel_scope_")
    """Labels of the source and of the program."""

    def __init__(self) -> None:
        self._shown: WatchedPrometheus | None = None
        self._seen: Sequence[Told] = ()

    def look(self, exporter: PrometheusExporter) -> None:
        self._seen = self._scrape(exporter)

    def exporter(self) -> Exporter:
        self._shown = WatchedPrometheus(self)
        return self._shown

    def told(self, item: Item) -> Iterable[Told]:
        assert isinstance(item, Point)
        for suffix in INSTRUMENTS[item.series.instrument]:
            ends = {"breaches": "_total", "episodes": "_total", "episode.time": "_seconds_total"}
            name = "log_overhead_" + suffix.replace(".", "_") + ends.get(suffix, "_seconds_count")
            labels = {key.replace(".", "_"): str(value) for key, value in item.series.attributes}
            yield (name, tuple(sorted(labels.items()))), float(value_of(item))

    def received(self, stream: Stream) -> Sequence[Told]:
        assert stream is Stream.INTERVALS
        shown = self._shown
        return self._scrape(shown) if shown is not None and shown.alive else self._seen

    def _scrape(self, exporter: PrometheusExporter) -> Sequence[Told]:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        with urlopen(
            Request(f"http://127.0.0.1:{exporter.port}/metrics", headers=accept), timeout=bound_s(10)
        ) as answer:
            text = answer.read().decode()
        return [
            (
                (sample.name, tuple(sorted((k, v) for k, v in sample.labels.items() if not self.OTHERS.match(k)))),
                sample.value,
            )
            for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
            for sample in family.samples
            if sample.name.startswith("log_overhead") and sample.name.endswith(("_total", "_count"))
        ]

    def play(self, fault: Fault, item: Item | None = None) -> None:
        raise AssertionError("it can't fail")

    def recover(self) -> None:
        """Nothing to recover from."""

    def close(self) -> None:
        """Nothing is open."""


class TestPrometheus(ExporterContract):
    newest_only = True
    cannot: ClassVar = dict.fromkeys(Fault, "nothing is sent: a scraper asks")

    def receiver(self) -> Receiver:
        return Scraper()


EVERY = (
    TestOtlpOverHttp,
    TestOtlpOverGrpc,
    TestHex,
    TestHexTelemetry,
    TestJsonl,
    TestConsole,
    TestPrometheus,
)


def test_every_exporter_of_ours_passes_it() -> None:
    made = set()
    for contract in EVERY:
        receiver = contract().receiver()
        exporter = receiver.exporter()
        made.add(exporter.name)
        exporter.close()
        receiver.close()
    assert made | {"sdk"} == set(plugins.names(plugins.EXPORTERS))  # test_sdk has its contract


def test_what_an_exporter_cannot_do_is_left_out_and_all_else_is_not() -> None:
    everything = {name for name in vars(ExporterContract) if name.startswith("test_")}
    for contract in EVERY:
        left = {name for name in everything if getattr(contract, name) is None}
        needs = {name: vars(ExporterContract)[name].__dict__.get("needs") for name in everything}
        assert left == {name for name, fault in needs.items() if fault in contract.cannot}
    assert set(Fault) == {fault for fault in needs.values() if fault is not None}


# --- the suite itself -------------------------------------------------------------------------------------------------


class Memory(Receiver):
    """A list, and an exporter that can be made to do one thing wrong."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong
        self.taken: list[tuple[Stream, Told]] = []
        self.fault: Fault | None = None
        self.poison: Item | None = None
        self.released = threading.Event()

    def exporter(self) -> Exporter:
        return ToMemory(self)

    def told(self, item: Item) -> Iterable[Told]:
        count = item.total.count if isinstance(item, Point) else 1
        return [] if isinstance(item, Point) and not item.id else [((type(item).__name__, item.id), count)]

    def received(self, stream: Stream) -> Sequence[Told]:
        return [told for of, told in self.taken if of is stream]

    def play(self, fault: Fault, item: Item | None = None) -> None:
        self.fault, self.poison = fault, item

    def recover(self) -> None:
        self.fault = None
        self.released.set()

    def close(self) -> None:
        self.recover()


class ToMemory(Exporter):
    name = "memory"
    wants = frozenset({Stream.INTERVALS, Stream.EPISODES, Stream.BREACHES, Stream.MARKS})

    def __init__(self, receiver: Memory) -> None:
        self._to = receiver
        self._sent = 0

    def export(self, batch: ExportBatch) -> Delivery:
        to, items = self._to, list(batch.items)
        wrong, fault = to.wrong, to.fault
        if wrong == "forgets" and len(items) > 1:
            items.pop()
        if wrong == "reverses":
            items.reverse()
        if fault in (Fault.LATER, Fault.RETRY_AFTER):
            after_s = RETRY_AFTER_S if fault is Fault.RETRY_AFTER and wrong != "hasty" else 0.0
            return Delivered() if wrong == "swallows" else Retry("later", after_s)
        if fault is Fault.HANG:
            to.released.wait(30.0 if wrong == "stubborn" else 0.6)  # a call with its own timeout
            return Retry("no answer")
        if fault is Fault.REFUSE and to.poison in items:
            return Refused("poison") if wrong != "impatient" else Delivered()
        if fault is Fault.FAIL and to.poison in items:
            return Retry("poison", isolate=wrong != "stuck")
        rejected = 1 if fault is Fault.REJECT and to.poison in items else 0
        if rejected:
            items = [item for item in items if item != to.poison]
        if fault is Fault.PARTIAL:
            to.fault = Fault.LATER
            items = items[:2]
        for item in items:
            self._sent += 1
            for name, value in to.told(item):
                told = name if wrong != "renames" else (name, self._sent)
                to.taken.append((batch.stream, (told, value if wrong != "counts" else self._sent)))
        if fault is Fault.PARTIAL:
            return Partial(2, Retry("full")) if wrong != "whole" else Retry("full")
        return Retry("no word") if fault is Fault.UNCLEAR else Delivered(rejected=0 if wrong == "silent" else rejected)

    def close(self) -> None:
        """Nothing is open."""


class TestMemory(ExporterContract):
    def receiver(self) -> Receiver:
        return Memory()


@pytest.mark.parametrize(
    ("wrong", "seen_by"),
    [
        ("forgets", "test_every_item_arrives_in_its_order"),
        ("reverses", "test_every_item_arrives_in_its_order"),
        ("counts", "test_small_batches_have_the_same_result"),
        ("renames", "test_what_is_sent_again_has_the_same_names_and_values"),
        ("counts", "test_a_restart_needs_nothing_but_the_store"),
        ("swallows", "test_nothing_is_lost_while_the_receiver_accepts_nothing"),
        ("hasty", "test_a_requested_delay_is_passed_on"),
        ("renames", "test_after_an_unknown_outcome_the_same_is_sent_again"),
        ("impatient", "test_a_refused_item_is_quarantined_and_all_others_arrive"),
        ("silent", "test_a_rejected_item_is_counted_and_nothing_is_sent_again"),
        ("stuck", "test_an_item_that_always_fails_delays_no_other_item"),
        ("whole", "test_items_accepted_before_a_failure_are_not_sent_again"),
        ("stubborn", "test_a_stop_while_sending_ends_soon_and_loses_nothing"),
    ],
)
def test_the_contract_sees_an_exporter_that_breaks_it(wrong: str, seen_by: str) -> None:
    class Broken(ExporterContract):
        patience_s = 1.0

        def receiver(self) -> Receiver:
            return Memory(wrong)

    broken = Broken()
    broken.setup_method()
    try:
        with pytest.raises(AssertionError):
            getattr(broken, seen_by)()
    finally:
        broken.teardown_method()
