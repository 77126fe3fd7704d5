"""The receiver refuses one item for ever: it is found, set aside and named, and all others are delivered."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.receiving import (
    BAD_DATA,
    MS,
    SLOW_MS,
    T0,
    Answer,
    Daemon,
    Partly,
    Request,
    Take,
    durations,
    flags,
    line,
    receiving,
)

STALLS = [line(number, ms=SLOW_MS, at=T0 + number * timedelta(seconds=10)) for number in range(20)]
ONE = SLOW_MS + 7 / 1000


def values(request: Request) -> list[float]:
    """The durations (ms) of the breaches in its spans."""
    events = [event for span in request.spans for event in span.events]
    return [a.value.double_value for event in events for a in event.attributes if a.key == "value_ms"]


@pytest.mark.parametrize("no", [BAD_DATA, Partly(1)])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_span_and_a_point_are_set_aside_and_the_rest_is_delivered(tmp_path: Path, protocol: str, no: Answer) -> None:
    with receiving(protocol) as receiver:

        def judge(request: Request) -> Answer:
            strange = any(point.count == 4 for _, point in request.points)
            return no if strange or ONE in values(request) else Take()

        receiver.judge = judge
        with Daemon(tmp_path, *flags(protocol), endpoint=receiver.endpoint) as daemon:
            daemon.write(*STALLS)
            said = daemon.once()
            assert receiver.counted() == len(STALLS)  # what the point told is in the later ones
            assert receiver.breaches() == durations(0, len(STALLS), ms=SLOW_MS) - durations(7, 8, ms=SLOW_MS)
            set_aside = daemon.rows("SELECT stream, count(*) FROM refused GROUP BY stream ORDER BY stream")
            assert set_aside == [("episodes", 1), ("intervals", 1)]
            assert said.count("was refused and set aside") == 2
            (span_id,) = daemon.rows(f"SELECT hex(span_id) FROM episode WHERE peak_ns = {round(ONE * MS)}")[0]
            assert f"(span {span_id.lower()})" in said
            assert daemon.once().count("refused") == 0  # gone for good


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_success_with_a_warning_is_a_success(tmp_path: Path, protocol: str) -> None:
    """Nothing rejected, and a message: the specification's way to say something to the sender."""
    with receiving(protocol) as receiver:
        receiver.judge = lambda _request: Partly(0, "this endpoint is old")
        with Daemon(tmp_path, *flags(protocol), endpoint=receiver.endpoint) as daemon:
            daemon.write(*STALLS)
            daemon.once()
            sent = [value for request, _ in receiver.asked for value in values(request)]
            assert sent == [SLOW_MS + n / 1000 for n in range(len(STALLS))]
            assert daemon.rows("SELECT * FROM refused") == []
