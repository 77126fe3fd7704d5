"""The trace context of a slow line at each receiver: a link, and never the identity of what is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.console.exporter import lines
from otel_logtail.exporters.hex.events import event_of
from otel_logtail.exporters.jsonl import JSONL
from otel_logtail.exporters.otlp.encoding import Encoding
from otel_logtail.exporters.otlp.requests import requests
from otel_logtail.exporters.prometheus.shown import Shown
from otel_logtail.model import BreachRecord, EpisodeRecord, ExportBatch, Stream
from tests.support.otlp_items import MS, T0, breach, episode, episodes, intervals, point

EPISODE_IDS = (bytes(range(1, 17)), bytes(range(1, 9)))
TRACE, SPAN = b"\xa1" * 16, b"\xb2" * 8
ENCODING = Encoding(version="1.2.3", host="box")


def slow(number: int = 1, trace: bytes = TRACE + SPAN) -> BreachRecord:
    return msgspec.structs.replace(breach(number, 2500, time_ns=T0 - MS), trace=trace)


def of(traces: Sequence[bytes]) -> EpisodeRecord:
    """An episode whose breaches have these contexts."""
    record = episode([600] * len(traces))
    told = [msgspec.structs.replace(one, trace=trace) for one, trace in zip(record.breaches, traces, strict=True)]
    return msgspec.structs.replace(record, breaches=tuple(told))


def span_of(record: EpisodeRecord, encoding: Encoding = ENCODING) -> Span:
    (request,) = requests(episodes(record), encoding)
    assert isinstance(request.message, ExportTraceServiceRequest)
    span: Span = request.message.resource_spans[0].scope_spans[0].spans[0]
    return span


def attributes(pairs: Sequence[object]) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in pairs}  # type: ignore[attr-defined]


def test_the_span_of_an_episode_links_to_each_trace_once_and_keeps_its_own_ids() -> None:
    other = TRACE + b"\xc3" * 8
    span = span_of(of([TRACE + SPAN, b"", other, TRACE + SPAN]))
    assert (span.trace_id, span.span_id, span.parent_span_id) == (*EPISODE_IDS, b"")
    assert [(link.trace_id, link.span_id) for link in span.links] == [(TRACE, SPAN), (TRACE, b"\xc3" * 8)]
    assert span.dropped_links_count == 0


def test_links_are_sent_without_span_events_too() -> None:
    span = span_of(of([TRACE + SPAN]), msgspec.structs.replace(ENCODING, events="log"))
    assert (len(span.events), len(span.links)) == (0, 1)


def test_a_span_has_as_many_links_as_a_record_has_breaches() -> None:
    traces = [number.to_bytes(16, "big") + SPAN for number in range(1, 129)]
    assert [link.trace_id + link.span_id for link in span_of(of(traces)).links] == traces


def test_a_span_event_has_the_context_as_attributes() -> None:
    first, second = span_of(of([TRACE + SPAN, b""])).events
    told = attributes(first.attributes)
    assert (told["link.trace_id"], told["link.span_id"]) == (TRACE.hex(), SPAN.hex())
    assert not [name for name in attributes(second.attributes) if name.startswith("link.")]


def test_a_log_record_stays_with_its_episode_and_has_the_context_as_attributes() -> None:
    (request,) = requests(ExportBatch(Stream.BREACHES, (slow(),)), ENCODING)
    assert isinstance(request.message, ExportLogsServiceRequest)
    (record,) = request.message.resource_logs[0].scope_logs[0].log_records
    assert (record.trace_id, record.span_id) == EPISODE_IDS
    told = attributes(record.attributes)
    assert (told["link.trace_id"], told["link.span_id"]) == (TRACE.hex(), SPAN.hex())


@pytest.mark.parametrize("exponential", [False, True])
@pytest.mark.parametrize(("trace", "ids"), [(TRACE + SPAN, (TRACE, SPAN)), (b"", EPISODE_IDS)], ids=["own", "none"])
def test_an_exemplar_leads_to_the_trace_of_its_line_else_to_the_episode(
    exponential: bool, trace: bytes, ids: tuple[bytes, bytes]
) -> None:
    batch = intervals(msgspec.structs.replace(point([2500]), exemplars=(slow(trace=trace),)))
    (request,) = requests(batch, msgspec.structs.replace(ENCODING, exponential=exponential))
    assert isinstance(request.message, ExportMetricsServiceRequest)
    (metric,) = request.message.resource_metrics[0].scope_metrics[0].metrics
    histogram = metric.exponential_histogram if exponential else metric.histogram
    (exemplar,) = histogram.data_points[0].exemplars
    assert (exemplar.trace_id, exemplar.span_id) == ids


@pytest.mark.parametrize(("trace", "ids"), [(TRACE + SPAN, (TRACE, SPAN)), (b"", EPISODE_IDS)], ids=["own", "none"])
def test_so_does_an_exemplar_of_prometheus(trace: bytes, ids: tuple[bytes, bytes]) -> None:
    shown = Shown(ENCODING)
    shown.put((msgspec.structs.replace(point([2500]), exemplars=(slow(trace=trace),)),))
    found = [s.exemplar.labels for metric in shown.collect() for s in metric.samples if s.exemplar is not None]
    assert found == [{"trace_id": ids[0].hex(), "span_id": ids[1].hex()}]


def test_a_line_of_the_console_ends_with_it() -> None:
    (line,) = lines(slow())
    assert line.endswith(f" trace={EPISODE_IDS[0].hex()} link={TRACE.hex()}")
    assert "link=" not in "".join(lines(slow(trace=b"")))


def test_an_event_for_hex_has_it() -> None:
    data = msgspec.to_builtins(event_of(slow()).data)
    assert (data["link_trace_id"], data["link_span_id"]) == (TRACE.hex(), SPAN.hex())
    assert "link_trace_id" not in msgspec.to_builtins(event_of(slow(trace=b"")).data)


def test_json_lines_have_the_ids_of_links_in_hex(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    exporter = JSONL.make(ExporterContext(options={"jsonl_file": str(file)}))
    exporter.export(episodes(of([TRACE + SPAN])))
    exporter.close()
    span = json.loads(file.read_text())["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    (link,) = span["links"]
    assert (link["traceId"], link["spanId"]) == (TRACE.hex(), SPAN.hex())
