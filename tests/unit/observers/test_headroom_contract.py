"""headroom's observer keeps the contract of observers."""

from __future__ import annotations

from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.headroom.observer import HeadroomObserver
from otel_logtail.testing import ObserverContract
from tests.support.places import CAPTURES


def lines(name: str) -> list[bytes]:
    return [line for line in (CAPTURES / name).read_bytes().split(b"\n") if b"STAGE_TIMINGS" in line]


class TestHeadroom(ObserverContract):
    # its lines hold no text of a client: path, request id and session id are headroom's own
    true_lines = lines("0.42.0-stall.log")
    other_lines = lines("0.42.0-mixed.log") + lines("0.42.0-invalid.log")
    mark_lines = (b"2026-11-23 18:15:56,535 - headroom.proxy - INFO - Headroom Proxy started (version 0.42.0)",)

    def observer(self) -> Observer:
        return HeadroomObserver(ObserverContext())
