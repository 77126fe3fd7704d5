"""The receiver never accepts one item: it is found, quarantined and named, and all others are delivered once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import MS, SLOW_MS, T0, durations, line
from tests.support.receiver import BAD_DATA, Partly, Request, Take, flags, receiving

STALLS = [line(number, ms=SLOW_MS, at=T0 + number * timedelta(seconds=10)) for number in range(20)]
ONE = SLOW_MS + 7 / 1000


def values(request: Request) -> list[float]:
    """The durations (ms) of the breaches in its spans."""
    events = [event for span in request.spans for event in span.events]
    return [a.value.double_value for event in events for a in event.attributes if a.key == "value_ms"]


def strange(request: Request) -> bool:
    """Return whether a request has the one span or the one point."""
    return ONE in values(request) or any(point.count == 4 for _, point in request.points)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_span_and_a_point_are_quarantined_and_the_rest_is_delivered(tmp_path: Path, protocol: str) -> None:
    with receiving(protocol) as receiver:
        receiver.judge = lambda request: BAD_DATA if strange(request) else Take()
        with Daemon(tmp_path, *flags(protocol), endpoint=receiver.endpoint) as daemon:
            daemon.write(*STALLS)
            said = daemon.once()
            assert receiver.counted() == len(STALLS)  # what the point told is in the later ones
            assert receiver.breaches() == durations(0, len(STALLS), ms=SLOW_MS) - durations(7, 8, ms=SLOW_MS)
            set_aside = daemon.rows("SELECT stream, count(*) FROM refused WHERE held GROUP BY stream ORDER BY stream")
            assert set_aside == [("episodes", 1), ("intervals", 1)]
            assert said.count("was quarantined") == 2
            (span_id,) = daemon.rows(f"SELECT hex(span_id) FROM episode WHERE peak_ns = {round(ONE * MS)}")[0]
            assert f"(span {span_id.lower()})" in said
            assert daemon.once().count("quarantined") == 0  # not sent again


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_what_is_accepted_in_part_is_never_sent_again(tmp_path: Path, protocol: str) -> None:
    """The receiver has decided: what it took would be there twice, and what it rejected it rejects again."""
    with receiving(protocol) as receiver:
        receiver.judge = lambda request: Partly(1) if strange(request) else Take()
        with Daemon(tmp_path, *flags(protocol), endpoint=receiver.endpoint) as daemon:
            daemon.write(*STALLS)
            said = daemon.once()
            spans = [span.span_id for request, _ in receiver.asked for span in request.spans]
            points = [
                (series, point.start_time_unix_nano, point.time_unix_nano)
                for request, _ in receiver.asked
                for series, point in request.points
            ]
            assert len(spans) == len(set(spans)) == len(STALLS)
            assert len(points) == len(set(points)) > len(STALLS)
            partly = sum(isinstance(answer, Partly) for _, answer in receiver.asked)
            assert daemon.rows("SELECT refused FROM exporter") == [(partly,)]
            assert partly >= 2
            assert said.count("the receiver rejected 1 ") == 2  # once for each stream, and counted from then on
            assert "too strange" in said
            assert daemon.rows("SELECT * FROM refused") == []


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_success_with_a_warning_is_a_success(tmp_path: Path, protocol: str) -> None:
    """A message without a rejection: the specification's way to warn the sender."""
    with receiving(protocol) as receiver:
        receiver.judge = lambda _request: Partly(0, "this endpoint is old")
        with Daemon(tmp_path, *flags(protocol), endpoint=receiver.endpoint) as daemon:
            daemon.write(*STALLS)
            daemon.once()
            sent = [value for request, _ in receiver.asked for value in values(request)]
            assert sent == [SLOW_MS + n / 1000 for n in range(len(STALLS))]
            assert daemon.rows("SELECT * FROM refused") == []
