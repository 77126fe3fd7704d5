"""A real collector that takes less in a request than we would send gets halves, until all of it is there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.collector import Collector, find_collector
from tests.support.daemon import Daemon
from tests.support.lines import MS, T0, line

EPISODES, BREACHES = 60, 100
BYTES_OF_AN_EPISODE = 20_000  # and some more, with a hundred events


def limited(folder: Path, protocol: str, limit: Mapping[str, object]) -> Collector:
    config = folder / "limit.json"
    word = "grpc" if protocol == "grpc" else "http"
    config.write_text(json.dumps({"receivers": {"otlp": {"protocols": {word: limit}}}}))
    return Collector(find_collector(), folder, "collector.yaml", str(config))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A log of sixty stalls of a hundred breaches each, one a minute: more than a megabyte of span events."""
    made = Daemon(tmp_path)
    for episode in range(EPISODES):
        begin = T0 + episode * timedelta(minutes=1)
        breaches = range(episode * BREACHES, (episode + 1) * BREACHES)
        made.write(*(line(n, ms=600, at=begin + n % BREACHES * timedelta(milliseconds=10)) for n in breaches))
    made.write(line(0, at=T0 + timedelta(minutes=EPISODES)))
    yield made


@pytest.mark.parametrize(
    ("protocol", "limit"),
    [
        ("http/protobuf", {"max_request_body_size": 4 * BYTES_OF_AN_EPISODE}),
        ("grpc", {"max_recv_msg_size_mib": 1}),
    ],
)
def test_requests_are_halved_until_they_are_taken_and_everything_arrives_once(
    tmp_path: Path, daemon: Daemon, protocol: str, limit: Mapping[str, object]
) -> None:
    folder = tmp_path / "collector"
    folder.mkdir()
    with limited(folder, protocol, limit) as collector:
        endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
        said = Daemon(tmp_path, "--otlp-protocol", protocol, endpoint=endpoint).once()
        assert "refused" not in said
        assert "warning" not in said
        collector.wait_until(lambda: len(collector.spans()) >= EPISODES)
        collector.stop()
        spans = collector.spans()
        found = Counter(round(event.attributes["value_ms"] * MS) for span in spans for event in span.events)
        assert found == Counter(600 * MS + n * 1000 for n in range(EPISODES * BREACHES))
        assert len(spans) == len({span.span_id for span in spans}) == EPISODES
        requests = [text for text in collector.lines() if "resourceSpans" in text]
        assert 2 <= len(requests) < EPISODES
        assert max(point.value for point in collector.metrics() if point.name == "log.overhead.duration") == 6001
    assert daemon.rows("SELECT count(*) FROM refused") == [(0,)]


def test_an_item_beyond_the_receivers_limit_is_quarantined_and_delays_no_other_signal(
    tmp_path: Path, daemon: Daemon
) -> None:
    folder = tmp_path / "collector"
    folder.mkdir()
    with limited(folder, "http/protobuf", {"max_request_body_size": BYTES_OF_AN_EPISODE // 2}) as collector:
        said = Daemon(tmp_path, endpoint=collector.http_endpoint).once(code=1)
        collector.stop()
        assert "was quarantined" in said
        assert daemon.rows("SELECT count(*) FROM refused")[0][0] >= 5
        assert max(point.value for point in collector.metrics() if point.name == "log.overhead.duration") == 6001
