"""Breaches and episodes as an exporter gets them, made by hand."""

from __future__ import annotations

from otel_logtail.model import BreachRecord, Episode, EpisodeRecord, ExportBatch, Item, Severity, SourceInfo, Stream
from tests.support.pieces import NOON, SECOND

SOURCE = SourceInfo(
    id=1,
    name="headroom-proxy",
    observer="headroom",
    event="headroom.overhead",
    instance="f" * 32,
    threshold_ns=SECOND // 2,
    stall_ns=2 * SECOND,
    quiet_ns=3 * SECOND,
)


def breach(number: int, *, time_ns: int = NOON, duration_ns: int = 612_345_678) -> BreachRecord:
    return BreachRecord(
        id=number,
        source=SOURCE,
        live="/logs/proxy.log",
        path="/logs/proxy.log",
        offset=100 * number,
        uid=number.to_bytes(16, "big"),
        time_ns=time_ns,
        duration_ns=duration_ns,
        severity=Severity.STALL if duration_ns >= 2 * SECOND else Severity.DEGRADED,
        cause="wait",
        stage="pre_upstream_wait",
        attributes=(("headroom.path", "anthropic_messages"),),
        trace_id=b"\1" * 16,
        span_id=b"\2" * 8,
    )


def episode(number: int, *, start_ns: int = NOON, end_ns: int = NOON + 5 * SECOND + 1) -> EpisodeRecord:
    stall = Episode(
        live="/logs/proxy.log",
        attributes=(("headroom.path", "anthropic_messages"),),
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        start_ns=start_ns,
        end_ns=end_ns,
        last_ns=end_ns,
        count=17,
        peak_ns=2_500_500_000,
        severity=Severity.STALL,
        cause="wait",
        stage="read_request_json",
    )
    return EpisodeRecord(number, SOURCE, stall, (breach(1),))


def breaches(*items: Item) -> ExportBatch:
    return ExportBatch(Stream.BREACHES, items)


def episodes(*items: Item) -> ExportBatch:
    return ExportBatch(Stream.EPISODES, items)
