from __future__ import annotations

from math import isclose

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_logtail.counts import SCALE, count
from otel_logtail.exporters.otlp import metrics
from otel_logtail.exporters.otlp import requests as otlp
from otel_logtail.exporters.otlp.encode import BACKLOG, Request
from otel_logtail.exporters.otlp.encoding import MAX_BYTES, Encoding, ExportRequest
from otel_logtail.exporters.otlp.metrics import downscale
from otel_logtail.exporters.otlp.points import encode_points
from otel_logtail.model import Counts, ExportBatch, Instrument, Point, Stream
from tests.support.otlp_items import BOUNDS, LABELS, MS, SOURCE, T0, breach, episode, episodes, intervals, part, point

ENCODING = Encoding(version="1.2.3", host="box")


def metrics_of(request: Request[ExportRequest]) -> list[Metric]:
    assert isinstance(request.message, ExportMetricsServiceRequest)
    return [m for r in request.message.resource_metrics for s in r.scope_metrics for m in s.metrics]


def spans_of(request: Request[ExportRequest]) -> list[Span]:
    assert isinstance(request.message, ExportTraceServiceRequest)
    return [span for r in request.message.resource_spans for s in r.scope_spans for span in s.spans]


def values(attributes: list[KeyValue]) -> dict[str, object]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value") or "") for a in attributes}


def only(batch: ExportBatch, encoding: Encoding = ENCODING) -> Request[ExportRequest]:
    (request,) = otlp.requests(batch, encoding)
    return request


# --- metrics ----------------------------------------------------------------------------------------------------


def test_durations_are_a_cumulative_histogram_in_seconds() -> None:
    (metric,) = metrics_of(only(intervals(point([100, 500, 501, 2000]))))
    assert (metric.name, metric.unit) == ("log.overhead.duration", "s")
    assert metric.histogram.aggregation_temporality == 2
    (data,) = metric.histogram.data_points
    assert (data.count, data.sum, data.min, data.max) == (4, 3.101, 0.1, 2.0)
    assert (data.start_time_unix_nano, data.time_unix_nano) == (T0 - 60_000 * MS, T0)
    assert values(list(data.attributes)) == {"headroom.path": "/v1/messages"}
    by_bound = dict(zip([*data.explicit_bounds, float("inf")], data.bucket_counts, strict=True))
    assert {bound: n for bound, n in by_bound.items() if n} == {0.1: 1, 0.5: 1, 1.0: 1, 2.0: 1}


def test_bounds_in_seconds_are_the_numbers_that_people_write() -> None:
    (metric,) = metrics_of(only(intervals(point([1]))))
    below = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    expected = [*below, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60]
    assert list(metric.histogram.data_points[0].explicit_bounds) == expected


@pytest.mark.parametrize("delta", [False, True])
def test_the_longest_sample_and_stall_of_an_interval_are_gauges(delta: bool) -> None:
    batch = intervals(
        point([100, 2500, 700], delta_ms=[100, 700]),
        point([9000, 4000], delta_ms=[4000], instrument=Instrument.EPISODES, attributes=LABELS),
        point([50, 60], delta_ms=[60], instrument=Instrument.STAGE),
        point([700], delta_ms=[700], instrument=Instrument.BREACHES),
        point([1], id=0, attributes=(("headroom.path", "/idle"),)),
    )
    found = {
        metric.name: [(data.as_double, data.time_unix_nano, values(list(data.attributes))) for data in points]
        for metric in metrics_of(only(batch, msgspec.structs.replace(ENCODING, delta=delta)))
        if (points := metric.gauge.data_points)
    }
    assert found == {
        "log.overhead.max_duration": [(0.7, T0, {"headroom.path": "/v1/messages"})],
        "log.overhead.episode.max_duration": [(4.0, T0, dict(LABELS))],
    }


def test_stages_breaches_and_episodes_have_the_names_and_units_of_the_design() -> None:
    batch = intervals(
        point([1, 2], instrument=Instrument.STAGE, attributes=(("headroom.path", "/x"), ("stage", "read"))),
        point([600, 700, 2500], instrument=Instrument.BREACHES, attributes=LABELS),
        point([3000, 4000], instrument=Instrument.EPISODES, attributes=LABELS),
    )
    request = only(batch)
    assert request.count == 3
    stage, breaches, number, duration = metrics_of(request)
    assert (stage.name, stage.unit, stage.WhichOneof("data")) == ("log.overhead.stage.duration", "s", "histogram")
    assert values(list(stage.histogram.data_points[0].attributes)) == {"headroom.path": "/x", "stage": "read"}
    assert (breaches.name, breaches.unit) == ("log.overhead.breaches", "{sample}")
    assert (breaches.sum.is_monotonic, breaches.sum.aggregation_temporality) == (True, 2)
    (data,) = breaches.sum.data_points
    assert (data.as_int, values(list(data.attributes))) == (3, {"cause": "compress", "severity": "stall"})
    assert (number.name, number.unit) == ("log.overhead.episodes", "{episode}")
    assert (number.sum.is_monotonic, number.sum.data_points[0].as_int) == (True, 2)
    assert (duration.name, duration.unit) == ("log.overhead.episode.duration", "s")
    assert (duration.histogram.data_points[0].count, duration.histogram.data_points[0].sum) == (2, 7.0)


def test_points_of_one_source_share_a_resource_and_those_of_one_metric_a_metric() -> None:
    other = msgspec.structs.replace(SOURCE, id=2, name="other")
    batch = intervals(
        point([1], attributes=(("headroom.path", "/a"),)),
        point([1], source=other),
        point([1], attributes=(("headroom.path", "/b"),)),
    )
    message = only(batch).message
    assert isinstance(message, ExportMetricsServiceRequest)
    found = [
        (values(list(r.resource.attributes))["service.name"], len(s.metrics[0].histogram.data_points))
        for r in message.resource_metrics
        for s in r.scope_metrics
    ]
    assert found == [("headroom-proxy", 2), ("other", 1)]


def test_the_resource_is_the_source_this_machine_and_the_users_attributes() -> None:
    encoding = Encoding("1", "box", (("team", "x"), ("service.name", "mine"), ("host.name", "laptop")))
    for batch in (intervals(point([1])), episodes(episode([600]))):
        message = only(batch, encoding).message
        parts = message.resource_metrics if isinstance(message, ExportMetricsServiceRequest) else message.resource_spans
        assert values(list(parts[0].resource.attributes)) == {
            "host.name": "laptop",
            "team": "x",
            "service.name": "headroom-proxy",
            "service.instance.id": "6f1c",
        }
    message = only(intervals(point([1]))).message
    assert isinstance(message, ExportMetricsServiceRequest)
    assert values(list(message.resource_metrics[0].resource.attributes))["host.name"] == "box"
    scope = message.resource_metrics[0].scope_metrics[0].scope
    assert (scope.name, scope.version) == ("otel_logtail", "1.2.3")


def test_live_data_has_each_series_once_in_a_request() -> None:
    a, b = (("headroom.path", "/a"),), (("headroom.path", "/b"),)
    batch = intervals(
        point([1], attributes=a, time_ns=T0),
        point([1], attributes=b, time_ns=T0),
        point([1, 1], attributes=a, time_ns=T0 + 1),
        point([1, 1, 1], attributes=a, time_ns=T0 + 2),
    )
    assert [request.count for request in otlp.requests(batch, ENCODING)] == [2, 1, 1]


def test_a_backlog_has_many_times_of_a_series_in_a_request_in_their_order() -> None:
    points = [point([1] * (n + 1), time_ns=T0 + n) for n in range(BACKLOG)]
    (metric,) = metrics_of(only(intervals(*points)))
    found = [(data.time_unix_nano - T0, data.count) for data in metric.histogram.data_points]
    assert found == [(n, n + 1) for n in range(BACKLOG)]


def _others() -> list[Point]:
    """Return so many points of other series that a batch is a backlog; each request may have one of them."""
    return [point([1], id=n, attributes=(("headroom.path", f"/{n}"),), time_ns=T0 - 1) for n in range(BACKLOG)]


def test_a_time_of_a_series_or_source_that_goes_back_starts_a_new_request() -> None:
    a, b = (("headroom.path", "/a"),), (("headroom.path", "/b"),)
    other = msgspec.structs.replace(SOURCE, id=2, name="other")
    batch = intervals(
        *_others(),
        point([1], attributes=a, time_ns=T0 + 2),
        point([1], attributes=b, time_ns=T0 + 1),  # of one source
        point([1], attributes=b, time_ns=T0 + 1),  # the same time of a series
        point([1], attributes=a, time_ns=T0, source=other),
        point([1], attributes=a, time_ns=T0 + 1),
    )
    assert [request.count for request in otlp.requests(batch, ENCODING)] == [BACKLOG + 1, 1, 3]


def test_the_same_series_with_other_bounds_starts_a_new_request() -> None:
    batch = intervals(point([1]), point([1], bounds_ns=BOUNDS[:3]))
    assert [request.count for request in otlp.requests(batch, ENCODING)] == [1, 1]


_series = st.sampled_from([(("headroom.path", "/a"),), (("headroom.path", "/b"),), (("headroom.path", "/c"),)])


@given(
    st.lists(st.tuples(_series, st.sampled_from(list(Instrument)), st.integers(0, 20)), max_size=30), st.integers(1, 20)
)
def test_requests_hold_all_points_in_order_and_times_grow(
    kinds: list[tuple[tuple[tuple[str, str], ...], Instrument, int]], most: int
) -> None:
    points = _others() + [
        point([1], id=number, attributes=attributes, instrument=instrument, time_ns=T0 + past_ns)
        for number, (attributes, instrument, past_ns) in enumerate(kinds)
    ]
    requests = list(otlp.requests(intervals(*points), Encoding("1", max_records=most)))
    assert sum(request.count for request in requests) == len(points)
    rest = iter(points)
    for request in requests:
        expected = [next(rest) for _ in range(request.count)]
        sent = [
            (metric.name, str(values(list(data.attributes))), data.time_unix_nano)
            for metric in metrics_of(request)
            for data in (*metric.histogram.data_points, *metric.sum.data_points)
        ]
        assert len(sent) <= max(most, 2)
        assert {time_ns for _, _, time_ns in sent} == {one.time_ns for one in expected}
        times: dict[tuple[str, str], int] = {}
        for name, attributes, time_ns in sent:
            assert time_ns > times.get((name, attributes), 0)
            times[name, attributes] = time_ns
        in_order = [one.time_ns for one in expected]
        assert in_order == sorted(in_order)


_linked = msgspec.structs.replace(breach(2, 700, time_ns=T0), trace=bytes(range(24)))
_points = st.builds(
    lambda instrument, durations_ms, last, exemplars, attributes, id_: msgspec.structs.replace(
        point(durations_ms, delta_ms=durations_ms[:last], id=id_, instrument=instrument, attributes=attributes),
        exemplars=exemplars if instrument is Instrument.DURATION else (),
    ),
    st.sampled_from(list(Instrument)),
    st.lists(st.integers(0, 100_000), max_size=5),
    st.integers(0, 5),
    st.sampled_from([(), (breach(1, 600, time_ns=T0 - 1),), (breach(1, 600, time_ns=T0 - 20_000 * MS), _linked)]),
    _series,
    st.integers(0, 3),
)


@given(st.lists(_points, max_size=12), st.booleans(), st.booleans())
def test_points_are_encoded_as_by_the_opentelemetry_package(
    points: list[Point], exponential: bool, delta: bool
) -> None:
    encoding = msgspec.structs.replace(ENCODING, exponential=exponential, delta=delta)
    assert encode_points(points, encoding) == metrics.encode_points(points, encoding)


def test_a_request_stays_under_its_size_and_nothing_is_lost_by_splitting() -> None:
    points = [point([1], id=n, attributes=(("headroom.path", f"/{n}"),)) for n in range(100)]
    requests = list(otlp.requests(intervals(*points), Encoding("1", max_bytes=4000)))
    assert len(requests) > 1
    assert all(request.message.ByteSize() <= 4000 for request in requests)
    assert sum(request.count for request in requests) == 100
    sent = [
        values(list(d.attributes))["headroom.path"] for r in requests for d in metrics_of(r)[0].histogram.data_points
    ]
    assert sent == [f"/{n}" for n in range(100)]


def test_an_item_larger_than_the_limit_is_sent_alone() -> None:
    requests = list(otlp.requests(episodes(episode([600] * 9), episode([600], id=2)), Encoding("1", max_bytes=600)))
    assert [request.count for request in requests] == [1, 1]
    assert MAX_BYTES < 4 * 1024 * 1024


def test_an_empty_batch_gives_no_request() -> None:
    assert list(otlp.requests(intervals(), ENCODING)) == []
    assert list(otlp.requests(episodes(), ENCODING)) == []


def test_the_same_items_are_the_same_bytes() -> None:
    for batch in (intervals(point([1, 2])), episodes(episode([600, 700]))):
        assert only(batch).message.SerializeToString() == only(batch).message.SerializeToString()


@pytest.mark.parametrize("stream", [stream for stream in Stream if stream is not Stream.INTERVALS])
def test_an_item_of_another_stream_is_a_mistake(stream: Stream) -> None:
    with pytest.raises(TypeError, match="Point among"):
        next(otlp.requests(ExportBatch(stream, (point([1]),)), ENCODING))
    with pytest.raises(TypeError, match="EpisodeRecord among Point items"):
        next(otlp.requests(ExportBatch(Stream.INTERVALS, (episode([600]),)), ENCODING))


@pytest.mark.parametrize("exponential", [False, True])
def test_exemplars_lead_from_a_point_to_the_span_of_its_worst_breaches(exponential: bool) -> None:
    exemplars = (breach(7, 600, time_ns=T0 - 9 * MS), breach(8, 2500, time_ns=T0 - 5 * MS))
    batch = intervals(msgspec.structs.replace(point([600, 2500]), exemplars=exemplars))
    (metric,) = metrics_of(only(batch, msgspec.structs.replace(ENCODING, exponential=exponential)))
    data = metric.exponential_histogram if exponential else metric.histogram
    told = [(e.as_double, e.time_unix_nano, e.trace_id, e.span_id) for e in data.data_points[0].exemplars]
    assert told == [
        (0.6, T0 - 9 * MS, bytes(range(1, 17)), bytes(range(1, 9))),
        (2.5, T0 - 5 * MS, bytes(range(1, 17)), bytes(range(1, 9))),
    ]


@pytest.mark.parametrize("exponential", [False, True])
@pytest.mark.parametrize(("delta", "start_ns"), [(False, T0 - 60_000 * MS), (True, T0 - 10_000 * MS)])
def test_exemplars_lie_behind_the_start_of_their_data_point_and_not_behind_its_end(
    exponential: bool, delta: bool, start_ns: int
) -> None:
    times_ns = (start_ns - 1, start_ns, start_ns + 1, T0 - 1, T0, T0 + 1)
    exemplars = tuple(breach(n, 600, time_ns=time_ns) for n, time_ns in enumerate(times_ns))
    batch = intervals(msgspec.structs.replace(point([600] * 6, delta_ms=[600] * 6), exemplars=exemplars))
    metric, _ = metrics_of(only(batch, msgspec.structs.replace(ENCODING, exponential=exponential, delta=delta)))
    (data,) = (metric.exponential_histogram if exponential else metric.histogram).data_points
    assert data.start_time_unix_nano == start_ns
    assert [e.time_unix_nano for e in data.exemplars] == [start_ns + 1, T0 - 1, T0]


def test_a_span_without_events_has_dropped_none() -> None:
    without = msgspec.structs.replace(ENCODING, events="log")
    (span,) = spans_of(only(episodes(episode([600, 2500], dropped=3)), without))
    assert (len(span.events), span.dropped_events_count) == (0, 0)
    assert values(list(span.attributes))["count"] == 5


# --- delta ------------------------------------------------------------------------------------------------------

DELTA = Encoding(version="1", delta=True)


@pytest.mark.parametrize("exponential", [False, True])
def test_a_delta_has_the_counts_since_the_series_last_point(exponential: bool) -> None:
    one = point([100, 500, 900], delta_ms=[900], previous_ns=T0 - 7)
    metric, maximum = metrics_of(only(intervals(one), msgspec.structs.replace(DELTA, exponential=exponential)))
    assert [point.as_double for point in maximum.gauge.data_points] == [0.9]
    histogram = metric.exponential_histogram if exponential else metric.histogram
    assert histogram.aggregation_temporality == 1
    (data,) = histogram.data_points
    assert (data.count, data.sum, data.min, data.max) == (1, 0.9, 0.9, 0.9)
    assert (data.start_time_unix_nano, data.time_unix_nano) == (T0 - 7, T0)


def test_a_delta_of_breaches_is_a_delta_sum() -> None:
    one = point([600, 700, 800], delta_ms=[800], instrument=Instrument.BREACHES, attributes=LABELS)
    (metric,) = metrics_of(only(intervals(one), DELTA))
    assert (metric.sum.aggregation_temporality, metric.sum.data_points[0].as_int) == (1, 1)


def test_silent_series_are_repeated_in_cumulative_and_left_out_in_delta() -> None:
    silent = point([1, 2], id=0, attributes=(("headroom.path", "/silent"),))
    batch = intervals(point([1, 2], delta_ms=[2]), silent)
    assert only(batch).count == 2
    assert only(batch, DELTA).count == 1
    assert list(otlp.requests(intervals(silent), DELTA)) == []


@pytest.mark.parametrize("exponential", [False, True])
def test_the_0_of_a_series_has_no_least_and_no_greatest_value(exponential: bool) -> None:
    zero = msgspec.structs.replace(point([1]), id=0, delta=Counts(), total=Counts(explicit=[0] * 16))
    (metric,) = metrics_of(only(intervals(zero), Encoding("1", exponential=exponential)))
    (data,) = metric.exponential_histogram.data_points if exponential else metric.histogram.data_points
    assert (data.count, data.HasField("min"), data.HasField("max")) == (0, False, False)
    (metric,) = metrics_of(only(intervals(point([0])), Encoding("1", exponential=exponential)))
    (data,) = metric.exponential_histogram.data_points if exponential else metric.histogram.data_points
    assert (data.count, data.HasField("min"), data.HasField("max")) == (1, True, True)


def test_what_makes_points_other_series_is_their_form() -> None:
    base = Encoding("1", "box", (("a", "b"), ("c", "d")))
    forms = {
        msgspec.structs.replace(base, **{name: value}).form
        for name, value in (
            ("version", "2"),
            ("host", "other"),
            ("resource", (("a", "b"),)),
            ("exponential", True),
            ("delta", True),
        )
    }
    assert len(forms | {base.form}) == 6
    for name, value in (("resource", (("c", "d"), ("a", "b"))), ("events", "log"), ("max_bytes", 7)):
        assert msgspec.structs.replace(base, **{name: value}).form == base.form


# --- exponential histograms -------------------------------------------------------------------------------------


def test_exponential_histograms_hold_the_same_counts() -> None:
    batch = intervals(point([0, 1, 500, 500, 60_000]))
    (metric,) = metrics_of(only(batch, Encoding("1", exponential=True, max_buckets=1280)))
    assert (metric.name, metric.exponential_histogram.aggregation_temporality) == ("log.overhead.duration", 2)
    (data,) = metric.exponential_histogram.data_points
    assert (data.count, data.zero_count, sum(data.positive.bucket_counts)) == (5, 1, 4)
    assert (data.sum, data.min, data.max) == (61.001, 0.0, 60.0)
    assert data.scale == SCALE  # 1 ms to 60 s at the store's resolution
    assert len(data.positive.bucket_counts) <= 1280
    assert not data.negative.bucket_counts


def test_only_zeros_are_an_exponential_histogram_without_buckets() -> None:
    (metric,) = metrics_of(only(intervals(point([0, 0])), Encoding("1", exponential=True)))
    (data,) = metric.exponential_histogram.data_points
    assert (data.count, data.zero_count, list(data.positive.bucket_counts), data.scale) == (2, 2, [], 3)


@given(st.dictionaries(st.integers(-3000, 3000), st.integers(1, 1000), max_size=60), st.integers(2, 160))
def test_downscaling_keeps_every_count_in_a_bucket_that_holds_its_old_one(sparse: dict[int, int], most: int) -> None:
    scale, buckets = downscale(sparse, most)
    shift = SCALE - scale
    assert sum(buckets.bucket_counts) == sum(sparse.values())
    assert len(buckets.bucket_counts) <= most
    expected: dict[int, int] = {}
    for index, own in sparse.items():
        expected[index // 2**shift] = expected.get(index // 2**shift, 0) + own
    dense = {buckets.offset + place: n for place, n in enumerate(buckets.bucket_counts) if n}
    assert dense == expected
    if shift:  # and no coarser than it must be, with room for 20 octaves
        number = (max(sparse) >> (shift - 1)) - (min(sparse) >> (shift - 1)) + 1 if sparse else 0
        assert max(number, 1280 >> (shift - 1)) > most


@pytest.mark.parametrize(("most", "width"), [(160, 0.0906), (1280, 0.0109)])
def test_buckets_from_a_millisecond_to_a_quarter_of_an_hour_have_the_documented_width(most: int, width: float) -> None:
    batch = intervals(point([1, 900_000]))
    (metric,) = metrics_of(only(batch, Encoding("1", exponential=True, max_buckets=most)))
    (data,) = metric.exponential_histogram.data_points
    assert len(data.positive.bucket_counts) <= most
    assert 2 ** (2**-data.scale) - 1 <= width


def test_buckets_keep_their_bounds_while_a_series_grows() -> None:
    durations_ns = [ms * 10**6 for ms in (5, 6, 40, 900, 0, 1, 30_000)]
    grown = [count(durations_ns[:number], ()).exponential for number in range(1, len(durations_ns) + 1)]
    assert {downscale(sparse, 160)[0] for sparse in grown} == {3}


def test_another_limit_on_buckets_is_another_form_of_exponential_histograms_only() -> None:
    for exponential in (False, True):
        forms = {Encoding("1", exponential=exponential, max_buckets=most).form for most in (160, 1280)}
        assert len(forms) == 1 + exponential


@given(st.lists(st.integers(1, 3600 * 10**9), min_size=1, max_size=50), st.sampled_from([160, 1280]))
def test_every_value_is_within_the_bounds_of_its_bucket(durations_ns: list[int], most: int) -> None:
    scale, buckets = downscale(count(durations_ns, ()).exponential, most)
    filled = {buckets.offset + place for place, n in enumerate(buckets.bucket_counts) if n}
    for duration_ns in durations_ns:
        value = duration_ns / 1e9
        bounds = [(2 ** (i / 2**scale), 2 ** ((i + 1) / 2**scale)) for i in filled]
        assert any(
            low < value <= high or isclose(value, low, rel_tol=1e-9) or isclose(value, high, rel_tol=1e-9)
            for low, high in bounds
        )


# --- spans ------------------------------------------------------------------------------------------------------


def test_an_episode_is_a_span_with_the_ids_and_times_of_the_store() -> None:
    (span,) = spans_of(only(episodes(episode([600, 2500]))))
    assert (span.name, span.kind) == ("log.overhead.episode", Span.SpanKind.SPAN_KIND_INTERNAL)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (bytes(range(1, 17)), bytes(range(1, 9)), b"")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (T0 + 200 * MS - 2500 * MS, T0 + 200 * MS)
    assert values(list(span.attributes)) == {
        "server.port": 8787,
        "count": 2,
        "peak_ms": 2500.0,
        "severity": "stall",
        "error.type": "stall",
        "cause": "compress",
        "dominant_stage": "deep_copy",
        "log.file.name": "proxy-8787.log",
        "log.file.path": "/var/log/headroom/proxy-8787.log",
    }


def test_a_part_is_a_child_span_of_its_episode_with_all_its_breaches() -> None:
    (span,) = spans_of(only(ExportBatch(Stream.PARTS, (part([600, 2500], number=2),))))
    assert span.name == "log.overhead.episode.part"
    assert (span.trace_id, span.span_id, span.parent_span_id) == (bytes(range(1, 17)), b"\2" * 8, bytes(range(1, 9)))
    assert [event.time_unix_nano for event in span.events] == [T0 + 100 * MS, T0 + 200 * MS]
    assert (span.dropped_events_count, span.status.code) == (0, 2)
    content = values(list(span.attributes))
    assert (content["part"], content["count"], content["severity"]) == (2, 2, "stall")


def test_the_span_of_an_episode_in_parts_has_their_number_and_no_events() -> None:
    record = msgspec.structs.replace(episode([600, 2500], dropped=300), parts=3, breaches=())
    (span,) = spans_of(only(episodes(record)))
    assert (len(span.events), span.dropped_events_count) == (0, 0)
    content = values(list(span.attributes))
    assert (content["parts"], content["count"]) == (3, 302)


def test_breaches_can_be_child_spans_of_their_episode_or_part() -> None:
    encoding = msgspec.structs.replace(ENCODING, events="spans")
    first, *children = spans_of(only(episodes(episode([600, 2500])), encoding))
    assert (len(first.events), first.dropped_events_count) == (0, 0)
    assert [(span.name, span.trace_id, span.parent_span_id) for span in children] == [
        ("log.overhead", first.trace_id, first.span_id)
    ] * 2
    assert [(span.start_time_unix_nano, span.end_time_unix_nano) for span in children] == [
        (T0 - 500 * MS, T0 + 100 * MS),
        (T0 + 200 * MS - 2500 * MS, T0 + 200 * MS),
    ]
    assert [span.status.code for span in children] == [0, 2]
    assert len({span.span_id for span in (first, *children)}) == 3
    assert values(list(children[0].attributes))["value_ms"] == 600.0
    of_a_part, child = spans_of(only(ExportBatch(Stream.PARTS, (part([600]),)), encoding))
    assert child.parent_span_id == of_a_part.span_id


def test_a_stall_is_an_error_and_a_degraded_episode_is_not() -> None:
    stall, degraded = (spans_of(only(episodes(episode([value]))))[0] for value in (2500, 600))
    assert (stall.status.code, stall.status.message) == (2, "a sample of 2500 ms")
    assert values(list(stall.attributes))["error.type"] == "stall"
    assert (degraded.status.code, degraded.status.message) == (0, "")
    assert "error.type" not in values(list(degraded.attributes))


def test_each_breach_is_a_span_event_at_its_own_time() -> None:
    (span,) = spans_of(only(episodes(episode([600.5, 2500]))))
    assert [(event.name, event.time_unix_nano) for event in span.events] == [
        ("log.overhead", T0 + 100 * MS),
        ("log.overhead", T0 + 200 * MS),
    ]
    assert values(list(span.events[0].attributes)) == {
        "headroom.path": "/v1/messages",
        "server.port": 8787,
        "severity": "degraded",
        "value_ms": 600.5,
        "cause": "compress",
        "stage": "deep_copy",
        "log.record.uid": "00000000000000000000000000000001",
    }


def test_breaches_beyond_those_of_the_record_are_counted_as_dropped() -> None:
    (span,) = spans_of(only(episodes(episode([600] * 128, dropped=372))))
    assert (len(span.events), span.dropped_events_count) == (128, 372)
    (span,) = spans_of(only(episodes(episode([600]))))
    assert span.dropped_events_count == 0


def test_episodes_of_one_source_share_a_resource() -> None:
    message = only(episodes(episode([600]), episode([700], id=2, span_id=bytes(range(2, 10))))).message
    assert isinstance(message, ExportTraceServiceRequest)
    assert [len(r.scope_spans[0].spans) for r in message.resource_spans] == [2]


def test_a_point_carries_the_times_of_the_log_and_no_others() -> None:
    one = point([1], time_ns=5, start_ns=1)
    (data,) = metrics_of(only(intervals(one)))[0].histogram.data_points
    assert (data.start_time_unix_nano, data.time_unix_nano) == (1, 5)
