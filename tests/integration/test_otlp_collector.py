"""The OTLP exporter against a real collector, over both protocols, compared to the last number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.exporter import OtlpExporter, make
from otel_logtail.model import Delivered, Instrument, Retry
from tests.support.collector import Collector
from tests.support.otlp_items import BOUNDS, LABELS, MS, T0, episode, episodes, intervals, point, real_points

PROTOCOLS = ["http/protobuf", "grpc"]


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Exporting = Callable[..., OtlpExporter]


@pytest.fixture
def exporting(collector: Collector, protocol: str) -> Iterator[Exporting]:
    """Makes exporters to the collector, and closes them at the end; keywords are options."""
    made: list[OtlpExporter] = []

    def make_one(environ: dict[str, str] | None = None, **options: str) -> OtlpExporter:
        endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
        options = {"otlp_endpoint": endpoint, "otlp_protocol": protocol, **options}
        made.append(make(ExporterContext(environ or {}, options, host="box")))
        return made[-1]

    yield make_one
    for exporter in made:
        exporter.close()


def test_every_number_of_an_interval_arrives(collector: Collector, exporting: Exporting) -> None:
    batch = intervals(
        point([100, 500, 501, 2000]),
        point([25], instrument=Instrument.STAGE, attributes=(("headroom.path", "/v1/messages"), ("stage", "read"))),
        point([600, 700, 2500], instrument=Instrument.BREACHES, attributes=LABELS),
        point([3000, 4000], instrument=Instrument.EPISODES, attributes=LABELS),
    )
    assert exporting({"OTEL_RESOURCE_ATTRIBUTES": "team=x"}).export(batch) == Delivered()
    collector.wait_until(lambda: len(collector.metrics()) >= 5)
    received = {one.name: one for one in collector.metrics()}
    assert len(collector.metrics()) == 5
    for one in received.values():
        assert one.resource == {
            "host.name": "box",
            "team": "x",
            "service.name": "headroom-proxy",
            "service.instance.id": "6f1c",
        }
        assert one.scope[0] == "otel_logtail"
        assert one.temporality == 2
        assert (one.start_ns, one.time_ns) == (T0 - 60_000 * MS, T0)
    duration = received["log.overhead.duration"]
    assert (duration.kind, duration.unit, duration.value, duration.sum) == ("histogram", "s", 4, 3.101)
    assert (duration.raw["min"], duration.raw["max"]) == (0.1, 2)
    assert duration.bounds == [bound / 1e9 for bound in BOUNDS]
    assert duration.buckets == [0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 1, *[0] * 10]
    assert duration.attributes == {"headroom.path": "/v1/messages"}
    stage = received["log.overhead.stage.duration"]
    assert (stage.value, stage.sum, stage.attributes["stage"]) == (1, 0.025, "read")
    breaches = received["log.overhead.breaches"]
    assert (breaches.kind, breaches.monotonic, breaches.unit, breaches.value) == ("sum", True, "{sample}", 3)
    assert breaches.attributes == {"cause": "compress", "severity": "stall"}
    number = received["log.overhead.episodes"]
    assert (number.kind, number.monotonic, number.unit, number.value) == ("sum", True, "{episode}", 2)
    lasted = received["log.overhead.episode.duration"]
    assert (lasted.kind, lasted.unit, lasted.value, lasted.sum) == ("histogram", "s", 2, 7.0)


def test_what_the_engine_counts_arrives_interval_by_interval(collector: Collector, exporting: Exporting) -> None:
    points = real_points([*range(1, 40), 600, 2500])
    assert exporting().export(intervals(*points)) == Delivered()
    collector.wait_until(lambda: len(collector.metrics()) >= len(points))
    assert [(one.name, one.unit, one.time_ns, one.raw["asDouble"]) for one in collector.maxima()] == [
        ("log.overhead.max_duration", "s", one.time_ns, one.delta.max_ns / 1e9)
        for one in points
        if one.series.instrument is Instrument.DURATION
    ]
    received = [
        (one.time_ns, one.name.removeprefix("log.overhead."), dict(one.attributes), one.value)
        for one in collector.metrics()
    ]
    names = {Instrument.DURATION: "duration", Instrument.STAGE: "stage.duration", Instrument.BREACHES: "breaches"}
    expected = [
        (one.time_ns, names[one.series.instrument], dict(one.series.attributes), one.total.count) for one in points
    ]
    assert sorted(received, key=repr) == sorted(expected, key=repr)
    assert sum(one.value for one in collector.metrics() if one.name == "log.overhead.duration") == 41
    times = [one.time_ns for one in collector.metrics() if one.name == "log.overhead.duration"]
    assert times == sorted(times)


def test_exponential_histograms_arrive_with_every_count(collector: Collector, exporting: Exporting) -> None:
    assert exporting(histogram="exponential").export(intervals(point([0, 1, 500, 500, 60_000]))) == Delivered()
    collector.wait_until(lambda: collector.metrics())
    (received,) = collector.metrics()
    assert (received.kind, received.value, received.sum) == ("exponentialHistogram", 5, 61.001)
    assert int(received.raw["zeroCount"]) == 1
    assert sum(int(n) for n in received.raw["positive"]["bucketCounts"]) == 4


def test_an_episode_arrives_with_its_ids_events_and_dropped_count(collector: Collector, exporting: Exporting) -> None:
    record = episode([600, 2500], dropped=3)
    assert exporting().export(episodes(record, episode([700], id=2, span_id=b"\x09" * 8))) == Delivered()
    collector.wait_until(lambda: len(collector.spans()) >= 2)
    stall, degraded = collector.spans()
    assert (stall.name, stall.kind) == ("log.overhead.episode", 1)
    assert (stall.trace_id, stall.span_id) == (record.episode.trace_id.hex(), record.episode.span_id.hex())
    assert (stall.start_ns, stall.end_ns) == (record.episode.start_ns, record.episode.end_ns)
    assert stall.attributes == {
        "server.port": 8787,
        "count": 5,
        "peak_ms": 2500,
        "severity": "stall",
        "cause": "compress",
        "dominant_stage": "deep_copy",
        "error.type": "stall",
        "log.file.name": "proxy-8787.log",
        "log.file.path": "/var/log/headroom/proxy-8787.log",
    }
    assert [(event.name, event.time_ns) for event in stall.events] == [
        ("log.overhead", breach.time_ns) for breach in record.breaches
    ]
    assert [event.attributes["log.record.uid"] for event in stall.events] == [b.uid.hex() for b in record.breaches]
    assert [event.attributes["value_ms"] for event in stall.events] == [600, 2500]
    assert (stall.dropped_events, stall.status) == (3, 2)
    assert (degraded.span_id, degraded.dropped_events, degraded.status) == ("09" * 8, 0, 0)
    assert stall.resource["service.instance.id"] == "6f1c"


def test_sending_a_batch_again_is_the_same_line(collector: Collector, exporting: Exporting) -> None:
    batches = (intervals(point([1, 2, 3])), episodes(episode([600, 700])))
    for batch in batches * 2:
        assert exporting().export(batch) == Delivered()
    collector.wait_until(lambda: len(collector.lines()) >= 4)
    metrics, spans, metrics_again, spans_again = collector.lines()
    assert (metrics_again, spans_again) == (metrics, spans)


def test_a_batch_larger_than_a_grpc_message_arrives_whole(collector: Collector, exporting: Exporting) -> None:
    records = [episode([600] * 128, id=n, span_id=n.to_bytes(8, "big")) for n in range(1, 151)]
    assert exporting().export(episodes(*records)) == Delivered()
    collector.wait_until(lambda: len(collector.spans()) >= 150, timeout=30)
    assert [int(span.span_id, 16) for span in collector.spans()] == list(range(1, 151))
    assert all(len(span.events) == 128 for span in collector.spans())


def test_while_the_collector_is_down_nothing_is_delivered_and_afterwards_the_same_exporter_works(
    collector: Collector, exporting: Exporting
) -> None:
    exporter = exporting()
    assert exporter.export(intervals(point([1], time_ns=T0))) == Delivered()
    collector.stop()
    assert isinstance(exporter.export(intervals(point([1, 2], time_ns=T0 + 1))), Retry)
    collector.start()
    collector.wait_until(lambda: exporter.export(intervals(point([1, 2], time_ns=T0 + 1))) == Delivered())
    collector.wait_until(lambda: len(collector.metrics()) >= 2)
    assert [(one.time_ns, one.value) for one in collector.metrics()] == [(T0, 1), (T0 + 1, 2)]


def test_what_prometheus_sees_has_the_names_of_its_conventions(collector: Collector, exporting: Exporting) -> None:
    batch = intervals(point([100, 700]), point([600, 700, 2500], instrument=Instrument.BREACHES, attributes=LABELS))
    assert exporting().export(batch) == Delivered()
    collector.wait_until(lambda: "log_overhead_breaches_total" in collector.scrape())
    lines = collector.scrape().splitlines()
    assert 'job="headroom-proxy"' in next(line for line in lines if line.startswith("log_overhead_breaches_total{"))
    count = next(line for line in lines if line.startswith("log_overhead_duration_seconds_count{"))
    assert count.split("}")[1].split()[0] == "2"


@pytest.mark.parametrize(("spoken", "heard"), [("grpc", "http"), ("http/protobuf", "grpc")])
def test_the_wrong_protocol_for_a_port_loses_nothing_and_the_message_has_the_fix(
    collector: Collector, spoken: str, heard: str
) -> None:
    endpoint = collector.http_endpoint if heard == "http" else collector.grpc_endpoint
    context = ExporterContext(
        {"OTEL_EXPORTER_OTLP_TIMEOUT": "3000"}, {"otlp_endpoint": endpoint, "otlp_protocol": spoken}
    )
    exporter = make(context)
    try:
        answer = exporter.export(intervals(point([1])))
    finally:
        exporter.close()
    assert isinstance(answer, Retry)
    assert "--otlp-protocol" in answer.why
