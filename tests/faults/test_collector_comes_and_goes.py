"""A real collector that is missing at first, then starts, is stopped halfway and starts again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.collector import Collector, find_collector
from tests.support.daemon import Daemon
from tests.support.lines import MS, SLOW_MS, durations, lines
from tests.support.receiver import flags


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_in_the_end_it_has_everything_once(tmp_path: Path, protocol: str) -> None:
    collector = Collector(find_collector(), tmp_path)
    endpoint = collector.http_endpoint if protocol == "http" else collector.grpc_endpoint

    def counted() -> int:
        totals = [point.value for point in collector.metrics() if point.name == "log.overhead.duration"]
        return max(totals, default=0)

    with Daemon(tmp_path, *flags(protocol), "--from-start", endpoint=endpoint) as daemon:
        try:
            daemon.write(lines(0, 90), lines(90, 100, ms=SLOW_MS))
            daemon.start()
            daemon.wait_until(lambda: "will retry" in daemon.said())
            daemon.write(lines(200, 300))
            collector.start()
            daemon.wait_until(lambda: counted() == 200)
            daemon.write(lines(400, 490), lines(490, 500, ms=SLOW_MS), lines(600, 700))
            collector.stop()
            daemon.write(lines(800, 890), lines(890, 900, ms=SLOW_MS), lines(1000, 1100))
            daemon.wait_until(lambda: daemon.counter("samples") == 600)
            collector.start()
            daemon.wait_until(lambda: counted() == 600)
            daemon.wait_until(lambda: len({span.span_id for span in collector.spans()}) == 3)
            daemon.stop()
            collector.stop()
        finally:
            collector.kill()
        spans = {span.span_id: span for span in collector.spans()}
        values = [round(event.attributes["value_ms"] * MS) for span in spans.values() for event in span.events]
        slow = [durations(first, first + 10, ms=SLOW_MS) for first in (90, 490, 890)]
        assert Counter(values) == slow[0] + slow[1] + slow[2]
        assert daemon.rows("SELECT * FROM refused") == []
