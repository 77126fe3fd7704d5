"""Breaches as log records: what they look like, and that they arrive with the ids of their episode's span."""

from __future__ import annotations

import msgspec
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otel_logtail.errors import UsageError
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.answer import Outcome, judge_response
from otel_logtail.exporters.otlp.config import read_settings
from otel_logtail.exporters.otlp.encode import Request
from otel_logtail.exporters.otlp.encoding import Encoding, Events, ExportRequest
from otel_logtail.exporters.otlp.exporter import OtlpExporter, make
from otel_logtail.exporters.otlp.requests import requests
from otel_logtail.model import OVERFLOW, BreachRecord, Delivered, ExportBatch, MarkRecord, Retry, Stream
from otel_logtail.option import Options
from tests.support.collector import Collector
from tests.support.otlp_items import MS, SOURCE, T0, breach, episode, episodes

ENCODING = Encoding(version="1.2.3", host="box")


def breaches(*records: BreachRecord) -> ExportBatch:
    return ExportBatch(Stream.BREACHES, records)


def values(attributes: list[KeyValue]) -> dict[str, object]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value") or "") for a in attributes}


def only(batch: ExportBatch, encoding: Encoding = ENCODING) -> tuple[Request[ExportRequest], ExportLogsServiceRequest]:
    (request,) = requests(batch, encoding)
    assert isinstance(request.message, ExportLogsServiceRequest)
    return request, request.message


def test_a_breach_is_an_event_with_the_ids_of_its_span() -> None:
    request, message = only(breaches(breach(5, 600.5, time_ns=T0), breach(6, 2500, time_ns=T0 + MS)))
    assert request.count == 2
    (holder,) = message.resource_logs
    assert values(list(holder.resource.attributes)) == {
        "host.name": "box",
        "service.name": "headroom-proxy",
        "service.instance.id": "6f1c",
    }
    (logs,) = holder.scope_logs
    assert (logs.scope.name, logs.scope.version) == ("otel_logtail", "1.2.3")
    first, second = logs.log_records
    assert (first.event_name, first.time_unix_nano, second.time_unix_nano) == ("log.overhead", T0, T0 + MS)
    assert (first.severity_number, first.severity_text) == (13, "WARN")
    assert (second.severity_number, second.severity_text) == (17, "ERROR")
    assert (first.trace_id, first.span_id) == (bytes(range(1, 17)), bytes(range(1, 9)))
    assert values(list(first.attributes)) == {
        "headroom.path": "/v1/messages",
        "server.port": 8787,
        "severity": "degraded",
        "value_ms": 600.5,
        "cause": "compress",
        "stage": "deep_copy",
        "log.record.uid": (5).to_bytes(16, "big").hex(),
    }


def test_a_breach_beyond_the_limit_on_series_has_their_attribute() -> None:
    beyond = msgspec.structs.replace(breach(1, 600, time_ns=T0), attributes=OVERFLOW)
    _, message = only(breaches(beyond))
    (record,) = message.resource_logs[0].scope_logs[0].log_records
    assert values(list(record.attributes))["otel.metric.overflow"] is True


def test_each_source_has_its_resource() -> None:
    other = msgspec.structs.replace(SOURCE, name="other")
    third = msgspec.structs.replace(breach(3, 900, time_ns=T0), source=other)
    _, message = only(breaches(breach(1, 600, time_ns=T0), third, breach(2, 700, time_ns=T0)))
    names = [values(list(holder.resource.attributes))["service.name"] for holder in message.resource_logs]
    assert names == ["headroom-proxy", "other"]
    assert [len(holder.scope_logs[0].log_records) for holder in message.resource_logs] == [2, 1]


def test_many_breaches_are_split_and_keep_their_order() -> None:
    small = msgspec.structs.replace(ENCODING, max_bytes=1000)
    batch = breaches(*(breach(n, 600, time_ns=T0 + n) for n in range(1, 21)))
    found = list(requests(batch, small))
    assert len(found) > 5
    assert sum(request.count for request in found) == 20
    assert all(request.message.ByteSize() <= 1000 for request in found)
    times: list[int] = []
    for request in found:
        assert isinstance(request.message, ExportLogsServiceRequest)
        logs = request.message.resource_logs[0].scope_logs[0]
        times += [record.time_unix_nano - T0 for record in logs.log_records]
    assert times == list(range(1, 21))


def test_log_records_that_a_receiver_rejected_are_counted() -> None:
    partial = ExportLogsPartialSuccess(rejected_log_records=2, error_message="too old")
    answer = judge_response(ExportLogsServiceResponse(partial_success=partial))
    assert answer == Delivered(rejected=2, why="the receiver rejected 2 log records: too old")


@pytest.mark.parametrize(("events", "wanted"), [("span", False), ("log", True), ("both", True), ("LOG", True)])
def test_breaches_are_read_if_logs_are_sent(events: str, wanted: bool) -> None:
    exporter = make(ExporterContext({}, {"events": events}))
    try:
        assert (Stream.BREACHES in exporter.wants) is wanted
        assert Stream.MARKS in exporter.wants
    finally:
        exporter.close()


def test_another_word_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"--events 'events': expected span, log, both or spans") as caught:
        read_settings(Options({}, {"events": "events"}))
    assert caught.value.hint == "use span, log, both or spans"


def test_logs_have_variables_of_their_own() -> None:
    environ = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs:1/x", "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "a=b"}
    settings = read_settings(Options(environ, {"events": "both"}))
    assert settings.logs is not None
    assert (settings.logs.endpoint, settings.logs.headers) == ("http://logs:1/x", (("a", "b"),))
    assert (settings.traces.endpoint, settings.traces.headers) == ("http://localhost:4318/v1/traces", ())


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize(("events", "span_events"), [("log", 0), ("both", 2)])
def test_log_records_and_spans_arrive_at_a_real_collector_with_the_same_ids(
    collector: Collector, protocol: str, events: str, span_events: int
) -> None:
    endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
    options = {"otlp_endpoint": endpoint, "otlp_protocol": protocol, "events": events}
    exporter = make(ExporterContext({}, options, host="box"))
    stall = episode([600, 2500])
    try:
        assert exporter.export(breaches(*stall.breaches)) == Delivered()
        assert exporter.export(episodes(stall)) == Delivered()
    finally:
        exporter.close()
    collector.wait_until(lambda: len(collector.lines()) >= 2)
    (line,) = [line for line in collector.lines() if "resourceLogs" in line]
    records = line["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    (span,) = collector.spans()
    assert [(r["traceId"], r["spanId"]) for r in records] == [(span.trace_id, span.span_id)] * 2
    assert [(r["eventName"], int(r["timeUnixNano"])) for r in records] == [
        ("log.overhead", one.time_ns) for one in stall.breaches
    ]
    assert (len(span.events), span.dropped_events) == (span_events, 0)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("events", ["span", "log", "spans"])
def test_marks_arrive_at_a_real_collector_for_any_form_of_breaches(
    collector: Collector, protocol: str, events: str
) -> None:
    endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
    options = {"otlp_endpoint": endpoint, "otlp_protocol": protocol, "events": events}
    exporter = make(ExporterContext({}, options, host="box"))
    marks = tuple(MarkRecord(n, SOURCE, bytes([n]) * 16, T0 + n * MS, f"version 1.{n} started") for n in (1, 2))
    try:
        assert exporter.export(ExportBatch(Stream.MARKS, marks)) == Delivered()
    finally:
        exporter.close()
    collector.wait_until(lambda: collector.lines())
    (line,) = [line for line in collector.lines() if "resourceLogs" in line]
    records = line["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert [(r["eventName"], r["severityText"], int(r["timeUnixNano"]), r["body"]["stringValue"]) for r in records] == [
        ("log.overhead.mark", "INFO", mark.time_ns, mark.text) for mark in marks
    ]
    assert [a["value"]["stringValue"] for r in records for a in r["attributes"]] == [mark.uid.hex() for mark in marks]
    assert not any(r.get("traceId") or r.get("spanId") for r in records)


@pytest.mark.parametrize("events", ["span", "log"])
def test_no_marks_are_sent_if_logs_are_switched_off(events: str) -> None:
    exporter = make(ExporterContext({"OTEL_LOGS_EXPORTER": "none"}, {"events": events}))
    try:
        assert not exporter.wants & {Stream.MARKS, Stream.BREACHES}
    finally:
        exporter.close()


def test_logging_settings_of_other_programs_are_not_an_error() -> None:
    environ = {"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/json"}
    assert read_settings(Options(environ, {})).logs is None
    assert read_settings(Options(environ, {"events": "log"})) == read_settings(
        Options({}, {"events": "log"})
    )  # with a warning


class Answers:
    """A sender that always has this outcome."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def send(self, message: ExportRequest) -> Outcome:
        return self.outcome

    def close(self) -> None:
        pass


MISSING = Retry("http://h/v1/logs answered 404 Not Found: is this an OTLP endpoint?", isolate=True)
BUSY = Retry("http://h/v1/logs answered 503 Service Unavailable: upstream answered 404")


@pytest.mark.parametrize(
    ("metrics", "traces", "logs", "events", "is_rejected"),
    [
        pytest.param(Delivered(), Delivered(), MISSING, "span", True, id="no-logs"),
        pytest.param(MISSING, Delivered(), MISSING, "spans", True, id="traces-only"),
        pytest.param(MISSING, MISSING, MISSING, "span", False, id="nothing-is-accepted-now"),
        pytest.param(Delivered(), Delivered(), BUSY, "span", False, id="logs-are-busy"),
        pytest.param(Delivered(), Delivered(), MISSING, "both", False, id="logs-were-asked-for"),
    ],
)
def test_a_mark_is_rejected_only_if_a_receiver_that_works_has_no_logs(
    metrics: Outcome, traces: Outcome, logs: Outcome, events: Events, is_rejected: bool
) -> None:
    senders = {Stream.INTERVALS: Answers(metrics), Stream.EPISODES: Answers(traces), Stream.MARKS: Answers(logs)}
    exporter = OtlpExporter(senders, msgspec.structs.replace(ENCODING, events=events))
    marks = tuple(MarkRecord(number, SOURCE, bytes(16), T0, "started") for number in (1, 2))
    delivery = exporter.export(ExportBatch(Stream.MARKS, marks))
    if is_rejected:
        assert isinstance(delivery, Delivered)
        assert delivery.rejected == 2
        assert delivery.why.endswith("set OTEL_LOGS_EXPORTER=none")
    else:
        assert delivery == logs
