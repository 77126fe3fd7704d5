"""Schema, version and flags: the parts of a message that identify its sender."""

from __future__ import annotations

import re
from typing import Any

import pytest

from otel_logtail.exporters.otlp.encoding import ITSELF, Encoding, Events
from otel_logtail.exporters.otlp.logs import encode_breaches
from otel_logtail.exporters.otlp.requests import requests
from otel_logtail.model import ExportBatch, HealthRecord, HealthValue, Stream
from tests.support.otlp_items import T0, breach, episode, episodes, intervals, point

ENCODING = Encoding(version="1.2.3", resource=(("service.version", "0.42"),))


def health(source: str) -> ExportBatch:
    value = HealthValue("otel_logtail.bytes", "By", "Read.", "counter", (), 1234, source)
    return ExportBatch(Stream.SELF, (HealthRecord(0, "6f1c", T0, T0 + 1, (value,)),))


def message_of(batch: ExportBatch, encoding: Encoding = ENCODING) -> Any:
    (request,) = requests(batch, encoding)
    return request.message


def resource_of(batch: ExportBatch) -> dict[str, str]:
    (group,) = message_of(batch).resource_metrics
    return {a.key: a.value.string_value for a in group.resource.attributes}


def test_resources_and_scopes_name_the_version_of_their_conventions() -> None:
    metrics = [*message_of(intervals(point([1]))).resource_metrics, *message_of(health("headroom")).resource_metrics]
    spans = message_of(episodes(episode([600]))).resource_spans
    logs = encode_breaches([breach(1, 600, time_ns=T0)], ENCODING).resource_logs
    urls = [group.schema_url for group in (*metrics, *spans, *logs)]
    urls += [scope.schema_url for group in metrics for scope in group.scope_metrics]
    urls += [scope.schema_url for group in spans for scope in group.scope_spans]
    urls += [scope.schema_url for group in logs for scope in group.scope_logs]
    assert len(urls) == 8
    assert all(re.fullmatch(r"https://opentelemetry\.io/schemas/1\.[0-9]+\.0", url) for url in urls)


def test_the_resource_of_the_program_itself_has_its_own_version() -> None:
    own = resource_of(health(""))
    assert (own["service.name"], own["service.version"]) == (ITSELF, "1.2.3")
    assert "service.version" not in resource_of(health("headroom"))
    assert resource_of(intervals(point([1])))["service.version"] == "0.42"  # that of the observed program


@pytest.mark.parametrize(
    ("kind", "started_ns", "start_ns"),
    [
        ("counter", T0 + 5, T0),
        ("updowncounter", T0 + 5, T0 + 5),
        ("updowncounter", T0 + 20, T0 + 9),  # the clock was set back
        ("gauge", T0 + 5, 0),
    ],
)
def test_counters_start_with_the_store_and_values_that_fall_with_the_process(
    kind: Any, started_ns: int, start_ns: int
) -> None:
    value = HealthValue("otel_logtail.x", "By", "Read.", kind, (), 1)
    batch = ExportBatch(Stream.SELF, (HealthRecord(0, "6f1c", T0, T0 + 9, (value,)),))
    (group,) = message_of(batch, Encoding("1", started_ns=started_ns)).resource_metrics
    (metric,) = group.scope_metrics[0].metrics
    (data,) = getattr(metric, metric.WhichOneof("data")).data_points
    assert (data.start_time_unix_nano, data.time_unix_nano) == (start_ns, T0 + 9)


@pytest.mark.parametrize("events", ["span", "log", "both", "spans"])
def test_spans_are_sampled(events: Events) -> None:
    (group,) = message_of(episodes(episode([600, 700])), Encoding("1.2.3", events=events)).resource_spans
    flags = [span.flags for scope in group.scope_spans for span in scope.spans]
    assert flags == [0x101] * (3 if events == "spans" else 1)  # sampled, and "has is_remote"
