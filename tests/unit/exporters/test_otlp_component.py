"""An exporter in its own telemetry: its type, the address of its receiver, and the number of records of a batch."""

from __future__ import annotations

import pytest

from otel_logtail.exporters.otlp.component import component_of, records_of
from otel_logtail.exporters.otlp.config import Signal
from otel_logtail.exporters.otlp.encoding import Encoding
from otel_logtail.exporters.otlp.endpoint import Protocol
from otel_logtail.exporters.otlp.requests import requests
from otel_logtail.model import ExportBatch, Instrument
from tests.support.otlp_items import episode, episodes, intervals, point
from tests.support.sent import of_requests

ENCODINGS = {
    "cumulative": Encoding("1"),
    "delta": Encoding("1", delta=True),
    "exponential": Encoding("1", exponential=True),
    "spans": Encoding("1", events="spans"),
}
BATCHES = {
    "intervals": intervals(
        point([1, 600], delta_ms=[600]),
        point([1, 600], instrument=Instrument.STAGE, delta_ms=[600]),
        point([600], instrument=Instrument.EPISODES, delta_ms=[600]),
        point([600], instrument=Instrument.BREACHES, delta_ms=[600]),
        point([600], instrument=Instrument.EPISODE_TIME, delta_ms=[600]),
        point([5], id=0, attributes=()),
    ),
    "episodes": episodes(episode([600, 2500]), episode([700], id=2, span_id=bytes(8))),
}


@pytest.mark.parametrize("form", ENCODINGS)
@pytest.mark.parametrize("name", BATCHES)
def test_the_number_of_records_is_that_of_the_requests(name: str, form: str) -> None:
    batch, encoding = BATCHES[name], ENCODINGS[form]
    sent = [one for one in of_requests(r.message for r in requests(batch, encoding)) if one.kind != "event"]
    assert records_of(batch, encoding) == len(sent) > 0


def test_a_batch_without_items_has_no_records() -> None:
    assert records_of(ExportBatch(BATCHES["intervals"].stream, ()), ENCODINGS["cumulative"]) == 0


@pytest.mark.parametrize(
    ("protocol", "endpoint", "kind", "address"),
    [
        ("http/protobuf", "http://collector:4318/v1/traces", "otlp_http_span_exporter", ("collector", 4318)),
        ("http/protobuf", "https://otlp.example/v1/traces", "otlp_http_span_exporter", ("otlp.example", 443)),
        ("grpc", "collector:4317", "otlp_grpc_span_exporter", ("collector", 4317)),
        ("grpc", "[::1]:4317", "otlp_grpc_span_exporter", ("::1", 4317)),
        ("grpc", "unix:///run/otlp.sock", "otlp_grpc_span_exporter", ()),
        ("grpc", "collector:port", "otlp_grpc_span_exporter", ()),
    ],
)
def test_a_component_has_its_type_and_its_receiver(
    protocol: Protocol, endpoint: str, kind: str, address: tuple[str | int, ...]
) -> None:
    found = dict(component_of(Signal(protocol, endpoint, tls=False, timeout_s=1.0), "traces"))
    assert found.pop("otel.component.type") == kind
    assert tuple(found.values()) == address
    assert list(found) == ["server.address", "server.port"][: len(address)]
