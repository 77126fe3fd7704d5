"""A receiver that never accepts anything: it refuses the data, or the address or token is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from otel_logtail.delivery.rules import RULES
from tests.support.daemon import Daemon
from tests.support.lines import SLOW_MS, T0, durations, line
from tests.support.receiver import BAD_DATA, Fail, flags, receiving, take
from tests.support.together import together_fixture

STALLS = [line(number, ms=SLOW_MS, at=T0 + number * timedelta(seconds=10)) for number in range(40)]


def few_are_quarantined(folder: Path, protocol: str) -> None:
    with receiving(protocol) as receiver:
        receiver.judge = lambda _request: BAD_DATA
        with Daemon(folder, *flags(protocol), "--from-start", endpoint=receiver.endpoint) as daemon:
            daemon.write(*STALLS)
            daemon.start()
            daemon.wait_until(lambda: "otlp: everything is refused" in daemon.said())
            # the first items of the stream of intervals are the 0 of each series, which are not kept
            daemon.wait_until(lambda: daemon.rows("SELECT 1 FROM refused"))
            aside = dict(daemon.rows("SELECT stream, count(*) FROM refused GROUP BY stream"))
            assert max(aside.values()) <= RULES.refusals_in_a_row + 1
            receiver.judge = take
            daemon.wait_until(lambda: "otlp: no longer refused" in daemon.said())
            daemon.wait_until(lambda: receiver.counted() == len(STALLS))
            daemon.stop()
            (spans,) = daemon.rows("SELECT count(*) FROM refused WHERE stream = 'episodes'")[0]
            assert spans <= RULES.refusals_in_a_row + 3  # what the time until the change was good for
            assert receiver.breaches() == durations(spans, len(STALLS), ms=SLOW_MS)
            assert daemon.said().count("everything is refused") == 1


refused = together_fixture(few_are_quarantined)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_few_items_are_quarantined_and_the_others_wait(refused: Callable[..., None], protocol: str) -> None:
    refused(protocol=protocol)


def none_is_quarantined(folder: Path, protocol: str, answer: Fail) -> None:
    with receiving(protocol) as receiver:
        receiver.judge = lambda _request: answer if len(receiver.asked) < 3 else take(_request)
        with Daemon(folder, *flags(protocol), "--from-start", endpoint=receiver.endpoint) as daemon:
            daemon.write(*STALLS)
            daemon.start()
            daemon.wait_until(lambda: receiver.counted() == len(STALLS))
            daemon.wait_until(lambda: receiver.breaches() == durations(0, len(STALLS), ms=SLOW_MS))
            daemon.stop()
            assert daemon.rows("SELECT * FROM refused") == []
            said = daemon.said()
            assert said.count("warning: otlp") == 1
            assert "OTLP endpoint" in said or "OTEL_EXPORTER_OTLP_HEADERS" in said  # what to do about it


misplaced = together_fixture(none_is_quarantined)


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        ("http", Fail(404, "")),
        ("http", Fail(401, "")),
        ("grpc", Fail(0, "UNIMPLEMENTED")),
        ("grpc", Fail(0, "UNAUTHENTICATED")),
    ],
)
def test_a_wrong_address_or_token_sets_nothing_aside(
    misplaced: Callable[..., None], protocol: str, answer: Fail
) -> None:
    misplaced(protocol=protocol, answer=answer)
